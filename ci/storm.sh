#!/usr/bin/env bash
# The long form of the random storm: rounds of kills and stops until KILLS kills;
# for each of them processes are stopped two or three times.
# Usage: ci/storm.sh [KILLS] [SEED] [CARGO OPTION…]   (for instance: ci/storm.sh 5000 1 --features narrow)
set -euo pipefail
cd "$(dirname "$0")/.."
kills="${1:-20000}"
export EBBTIDE_SEED="${2:-$RANDOM$RANDOM}"
shift $(($# < 2 ? $# : 2))
export EBBTIDE_KILLS=250
# Of ten rounds five have EBBTIDE_KILLS kills, three half of them, and two a quarter.
per_ten_rounds=$((EBBTIDE_KILLS * 70 / 10))
export EBBTIDE_ROUNDS=$(((kills * 10 + per_ten_rounds - 1) / per_ten_rounds))
echo "random storm: $EBBTIDE_ROUNDS rounds of up to $EBBTIDE_KILLS kills, seed $EBBTIDE_SEED"
cargo test "$@" --test storm after_any_storm -- --nocapture
