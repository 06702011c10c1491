#!/usr/bin/env bash
# Changes the code of src/sync, src/table and src/graph one place at a time, and shows which
# changes no test notices: a survivor is a test that is missing, or a change that means the same.
# Usage: ci/mutants.sh [units|models|checker|whole] [-f 'src/graph/**'] [--shard 0/8] [any option of cargo mutants]
#
#   units    meets the unit tests, in the crate without src/api: some 2 s for each mutant.
#   models   what units left over meets the models as well, with at most one preemption and
#            without the longest (.config/nextest.toml).
#   checker  src/table/check, of which units knows little: its own tests, in the whole crate.
#   whole    what is left over meets everything in the whole crate that is a unit test: src/api,
#            the kill sweeps, the models at their own bounds. A minute for each mutant.
# Without a word: the first three, of named files the first two. What is left over is kept in target/mutants/missed.txt (remove
# it to begin anew), the tool's own results beside it. docs/mutants.md has the figures.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/mutants
missed=$work/missed.txt
cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
export CARGO_TERM_COLOR=never CARGO_PROFILE_TEST_LTO=off EBBTIDE_KILLS=5
mkdir -p "$work"
touch "$missed"
named=no
case " $* " in *" -f "* | *" --file "*) named=yes ;; esac
case "${1-}" in
units | models | checker | whole) passes=("$1"); shift ;;
*)
    # Of named files the checker knows nothing.
    passes=(units models)
    [[ $named = yes ]] || passes+=(checker)
    ;;
esac

quoted() { sed 's/[][\\.*^$+?(){}|]/\\&/g' <<<"$1"; }

# What is left over, as regular expressions, each the name of one mutant; lines may have moved
# since. (Deleted fields the tool takes whatever is named, so they are met by the first pass alone.)
left_over() {
    names=(-E 'delete field')
    while IFS=: read -r file _ _ what; do
        names+=(-F "^$(quoted "$file"):[0-9]+:[0-9]+:$(quoted "$what")\$")
    done <"$missed"
    [[ ${#names[@]} -gt 2 ]]
}

# The crate without src/api and what is made of it.
core() {
    local core=$work/core
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
        printf '[features]\nserde = []\nloom = ["dep:loom"]\n[dependencies]\n'
        sed -n '/^\[dependencies\]/,/^\[dev-dependencies\]/p' Cargo.toml |
            grep -E '^(nix|libc|memmap2|crossbeam-utils|thiserror|getrandom|bytemuck|loom) '
        printf '[dev-dependencies]\n'
        grep -E '^(tempfile|proptest) ' Cargo.toml
        # Without link-time work between its parts, a change compiles its own part only.
        printf '[profile.test]\nlto = "off"\ndebug = false\nincremental = true\n'
        printf '[profile.test.package."*"]\nopt-level = 3\n'
    } >"$core/Cargo.toml"
    cd "$core"
}

# Keeps what a pass (its results, and whether it replaces what was left over) has missed; nothing
# of one that did not come to its end (2: some were missed; 3: some hung).
keep() {
    local found=$1/mutants.out/missed.txt
    [[ $ended = [023] && -e $found ]] || return 0
    if [[ $2 = all ]]; then sort -u -o "$missed" "$found"; else sort -u -o "$missed" "$missed" "$found"; fi
}

status=0
for pass in "${passes[@]}"; do
    out=$work/$pass ended=0 files=()
    export CARGO_TARGET_DIR=$work/build-$pass
    case "$pass" in
    units)
        [[ $named = yes ]] || files=(-f 'src/sync/**' -f 'src/table/*.rs' -f 'src/table/resources/**' -f 'src/graph/**')
        (core; CARGO_PROFILE_TEST_OPT_LEVEL=0 cargo mutants --in-place --no-default-features "${files[@]}" --output "$out" \
            --timeout 20 --build-timeout 600 "$@" -- --lib) || ended=$?
        keep "$out" added
        ;;
    models)
        left_over || continue
        (core; EBBTIDE_MODEL_BOUND=1 NEXTEST_PROFILE=mutants CARGO_PROFILE_TEST_OPT_LEVEL=1 \
            cargo mutants --in-place --test-tool nextest --features loom -f 'src/sync/**' -f 'src/table/**' -f 'src/graph/**' \
            "${names[@]}" --output "$out" --timeout 120 --build-timeout 600 -- --lib) || ended=$?
        keep "$out" all
        ;;
    checker)
        copy=$work/crate
        rm -rf "$copy"
        mkdir -p "$copy"
        git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$copy"
        [[ $named = yes ]] || files=(-f 'src/table/check/**')
        (cd "$copy"; RUST_TEST_THREADS=8 CARGO_PROFILE_TEST_OPT_LEVEL=0 cargo mutants --in-place --no-default-features \
            "${files[@]}" --output "$out" --timeout 60 --build-timeout 600 "$@" -- --lib -- table::check) || ended=$?
        keep "$out" added
        ;;
    whole)
        left_over || continue
        cargo mutants --test-tool nextest --features loom -f 'src/sync/**' -f 'src/table/**' -f 'src/graph/**' \
            "${names[@]}" --output "$out" --timeout 900 --build-timeout 900 "$@" -- --lib || ended=$?
        keep "$out" all
        ;;
    esac
    [[ $ended = 0 ]] || status=$ended
done
exit $status
