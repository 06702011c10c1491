#!/usr/bin/env bash
# Changes the code of src/sync, src/table and src/graph one place at a time, and shows which
# changes no test notices: a survivor is a test that is missing, or a change that means the same.
# Usage: ci/mutants.sh [--survivors] [-f 'src/graph/**'] [--shard 0/8] [any option of cargo mutants]
#
# First pass: each mutant meets the unit tests and the models with at most one preemption, and is
# done with at its first failure. What is compiled is the crate without src/api, so that a mutant
# costs a build of seconds. The twins and the longest models are left out (.config/nextest.toml).
# `--survivors`: what the first pass left over meets everything in the whole crate that is a unit
# test: src/api, the kill sweeps, the checker's tests, the models at their own bounds.
# docs/mutants.md has the figures. Results: target/mutants/{first,second}/mutants.out, and all
# first passes' survivors in target/mutants/missed.txt (remove it to begin anew).
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/mutants
cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
export CARGO_TERM_COLOR=never EBBTIDE_KILLS=5 CARGO_PROFILE_TEST_OPT_LEVEL=1 CARGO_PROFILE_TEST_LTO=off
mkdir -p "$work"

quoted() { sed 's/[][\\.*^$+?(){}|]/\\&/g' <<<"$1"; }

if [[ ${1-} == --survivors ]]; then
    shift
    # As regular expressions, each the name of one mutant; lines may have moved since.
    names=()
    while IFS=: read -r file _ _ what; do
        names+=(-F "^$(quoted "$file"):[0-9]+:[0-9]+:$(quoted "$what")\$")
    done <"$work/missed.txt"
    [[ ${#names[@]} -gt 0 ]] || exit 0
    CARGO_TARGET_DIR=$work/whole exec cargo mutants --test-tool nextest --features loom \
        -f 'src/sync/**' -f 'src/table/**' -f 'src/graph/**' "${names[@]}" --output "$work/second" --timeout 900 --build-timeout 900 "$@" -- --lib
fi

case " $* " in
*" -f "* | *" --file "*) files=() ;;
*) files=(-f 'src/sync/**' -f 'src/table/**' -f 'src/graph/**') ;;
esac

# The crate without src/api and what is made of it.
core=$work/core
rm -rf "$core"
mkdir -p "$core"
cp -r src loom_tests Cargo.lock .cargo .config "$core"
rm -r "$core/src/api" "$core/src/bin"
sed -i -e '1i #![allow(dead_code, unused)]' -e '/^\/\/[\/!]/d' -e '/^#!\[warn/d' -e '/^mod api;/d' \
    -e '/^pub use api/d' -e '/^#\[cfg(test)\]$/,/^mod kill;/d' -e '/^#\[cfg(doctest)\]/,/^mod /d' \
    "$core/src/lib.rs"
# These need a segment that src/api made.
sed -i '/^#\[cfg(test)\]$/{N;/mod tests;/d}' "$core/src/table/check/mod.rs"
{
    printf '[package]\nname = "ebbtide-core"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n'
    printf '[features]\ndefault = ["loom"]\nserde = []\nloom = ["dep:loom"]\n[dependencies]\n'
    sed -n '/^\[dependencies\]/,/^\[dev-dependencies\]/p' Cargo.toml |
        grep -E '^(nix|libc|memmap2|crossbeam-utils|thiserror|getrandom|bytemuck|loom) '
    printf '[dev-dependencies]\n'
    grep -E '^(tempfile|proptest) ' Cargo.toml
    # Without link-time work between its parts, a change compiles its own part only.
    printf '[profile.test]\nopt-level = 1\nlto = "off"\ndebug = false\nincremental = true\n'
    printf '[profile.test.package."*"]\nopt-level = 3\n'
} >"$core/Cargo.toml"

export EBBTIDE_MODEL_BOUND=1 NEXTEST_PROFILE=mutants CARGO_TARGET_DIR=$work/build
cd "$core"
status=0
cargo mutants --in-place --test-tool nextest "${files[@]}" --output "$work/first" \
    --timeout 60 --build-timeout 600 "$@" -- --lib || status=$?
touch "$work/missed.txt"
[[ ! -e $work/first/mutants.out/missed.txt ]] ||
    sort -u -o "$work/missed.txt" "$work/missed.txt" "$work/first/mutants.out/missed.txt"
exit $status
