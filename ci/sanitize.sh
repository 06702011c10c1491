#!/usr/bin/env bash
# The tests under AddressSanitizer and ThreadSanitizer (x86-64 Linux).
# Usage: ci/sanitize.sh [address|thread] [TEST FILTER…]   (both, and all that fit, by default)
#
# The sanitizers are compiler flags that the stable toolchain has but hides; RUSTC_BOOTSTRAP
# shows them. ThreadSanitizer needs a standard library that is instrumented as well, so that
# one is built from the toolchain's own sources (`rustup component add rust-src`).
#
# What is left out, and why:
# - address, the tests that limit the address space: the sanitizer's own shadow needs terabytes of it.
# - thread, `kill::`, `loom_tests`, `search_tests`: the victims are killed, the models are single-threaded.
# - thread, `fork`: the sanitizer does not support new threads in a forked child.
# - thread, `cli::` and `signals`: it delivers a signal only at calls that it intercepts, and
#   our sleeps are bare futex calls, so a signalled process would be told at its next bound.
# - thread, `hostile`: they run for minutes there, and find nothing that address does not.
set -euo pipefail
cd "$(dirname "$0")/.."
which="${1:-both}"
[ $# -gt 0 ] && shift
case "$which" in
both | address | thread) ;;
*) echo "usage: ci/sanitize.sh [address|thread] [TEST FILTER…]" >&2; exit 2 ;;
esac
export RUSTC_BOOTSTRAP=1 CARGO_TERM_COLOR=never
# The same name as the host's, given as a target, keeps build scripts free of the sanitizer.
target="$(rustc -vV | sed -n 's/^host: //p')"

if [ "$which" != thread ]; then
    echo "== AddressSanitizer"
    # What a process that is killed or exits in the middle leaves is no leak.
    ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS="-Zsanitizer=address" \
        cargo test --target "$target" --target-dir target/asan --lib --test process --test storm --test environment --no-fail-fast -- \
        --skip without_address_space --skip first_attachment_that_fails_for_want_of_a_thread "$@"
fi

if [ "$which" != address ]; then
    echo "== ThreadSanitizer"
    rustup component add rust-src
    TSAN_OPTIONS="suppressions=$PWD/ci/thread-sanitizer.supp:halt_on_error=1:exitcode=66" \
        RUSTFLAGS="-Zsanitizer=thread" \
        cargo test -Zbuild-std --target "$target" --target-dir target/tsan --lib --test process -- \
        --skip kill:: --skip loom_tests --skip search_tests --skip fork --skip cli:: --skip signals --skip hostile "$@"
fi
