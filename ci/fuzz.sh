#!/usr/bin/env bash
# Runs each fuzz target for so many seconds under AddressSanitizer.
# Usage: ci/fuzz.sh [SECONDS_PER_TARGET] [TARGET...]
# Installs cargo-fuzz if it is not there. The stable toolchain will do: it has the
# sanitizer's runtime, and RUSTC_BOOTSTRAP lets it use it.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1
seconds="${1:-60}"
shift || true
targets=("$@")
command -v cargo-fuzz > /dev/null || cargo install cargo-fuzz --locked
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cargo fuzz list)
fi
# A crash leaves its private directory behind; those of another run are not ours.
export EBBTIDE_FUZZ_PREFIX="ebbtide-fuzz-$$-"
trap 'rm -rf "/dev/shm/$EBBTIDE_FUZZ_PREFIX"*' EXIT
# Threads of an attachment that outlive an input, and what the test's own statics hold,
# are no leaks; a call that takes a minute is a hang.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
for target in "${targets[@]}"; do
    echo "fuzzing $target for $seconds s"
    # A write takes twelve bytes, so begin with inputs that make some.
    corpus="fuzz/corpus/$target"
    mkdir -p "$corpus"
    for writes in {1..32}; do
        head -c $((1 + 12 * writes)) /dev/urandom > "$corpus/seed-$writes"
    done
    cargo fuzz run "$target" -- -max_total_time="$seconds" -timeout=120 -rss_limit_mb=2048 \
        -max_len=4096 -len_control=0 -close_fd_mask=1 -print_final_stats=1
done
