#!/usr/bin/env bash
# The long form of the kill sweeps: more random kills behind every operation.
# Usage: ci/safety.sh [RANDOM_KILLS_PER_OPERATION] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
export EBBTIDE_KILLS="${1:-2000}"
export EBBTIDE_SEED="${2:-$RANDOM$RANDOM}"
echo "kill sweep: $EBBTIDE_KILLS random kills per operation, seed $EBBTIDE_SEED"
cargo test --release --lib kill:: -- --nocapture --test-threads=1
