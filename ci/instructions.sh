#!/usr/bin/env bash
# The instruction budgets of the hot paths (benches/instructions/budget.txt), by callgrind.
# Without valgrind it says so and succeeds.
# Usage: ci/instructions.sh [--prove]     --prove: shows that exceeding a budget fails
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --prove ]; then
    command -v valgrind >/dev/null || { echo "instructions: nothing proved without valgrind"; exit 0; }
    if output=$(cargo bench --quiet --bench instructions -- --halve lock-unlock begin-end 2>&1); then
        echo "$output"
        echo "instructions: halved budgets were not exceeded: the check cannot fail" >&2
        exit 1
    fi
    grep -q "over budget" <<<"$output" || { echo "$output"; exit 1; }
    echo "instructions: halved budgets fail, as they should"
    exit 0
fi
cargo bench --quiet --bench instructions
