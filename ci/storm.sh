#!/usr/bin/env bash
# The long form of the random storm: rounds of kills until there were so many.
# Usage: ci/storm.sh [KILLS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
kills="${1:-20000}"
export EBBTIDE_KILLS=250
export EBBTIDE_ROUNDS=$(((kills + EBBTIDE_KILLS - 1) / EBBTIDE_KILLS))
export EBBTIDE_SEED="${2:-$RANDOM$RANDOM}"
echo "random storm: $EBBTIDE_ROUNDS rounds of $EBBTIDE_KILLS kills, seed $EBBTIDE_SEED"
cargo test --test storm after_any_storm -- --nocapture
