#!/usr/bin/env bash
# Changes the code of src/sync, src/table and src/graph one place at a time, and shows which
# changes no test notices: a survivor is a test that is missing, or a change that means the same.
# Usage: ci/mutants.sh [-f 'src/graph/**'] [--shard 0/8] [any option of cargo mutants]
#
# Each mutant meets the unit tests, the models and the kill sweeps, and is
# done with at its first failure. There are some 1,800, too many for one night on two cores;
# --shard takes a part.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
export CARGO_TERM_COLOR=never EBBTIDE_KILLS=5
case " $* " in
*" -f "* | *" --file "*) files=() ;;
*) files=(-f 'src/sync/**' -f 'src/table/**' -f 'src/graph/**') ;;
esac
exec cargo mutants --test-tool nextest --features loom "${files[@]}" --output target \
    --minimum-test-timeout 120 --build-timeout 600 "$@" -- --lib
