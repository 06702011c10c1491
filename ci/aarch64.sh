#!/usr/bin/env bash
# Tests on AArch64: cross-compiled, and run on an emulated machine (qemu-system-aarch64, no
# hardware support) under Debian's kernel for it. What it needs is an x86-64 Debian with
# `rustup component add rust-src` (RUSTC_BOOTSTRAP as in ci/sanitize.sh, to build the standard
# library): the emulator, the kernel, the cross compiler and a shell are fetched by apt and
# unpacked below target/aarch64 (about 120 MB); nothing is installed, and root not needed.
# Usage: ci/aarch64.sh [TARGET…] [-- ARGUMENT…]    `lib`, or a target of tests/; step by default
#   ci/aarch64.sh                                          the short form of the kill harness
#   EBBTIDE_STEP=full EBBTIDE_STEP_OP=lock ci/aarch64.sh   one operation, at every instruction
#   ci/aarch64.sh lib process -- --test-threads 2          the arguments go to each of them
# All EBBTIDE_ variables are handed on. Its own:
#   EBBTIDE_GUEST_CPU=cortex-a53   without the atomic instructions of ARMv8.1; neoverse-n1 by default, with them
#   EBBTIDE_GUEST_PARALLEL=1       the guest's two cores run at once, by the clock on the wall
#   EBBTIDE_GUEST_SECONDS=3600     after which it is given up
set -euo pipefail
cd "$(dirname "$0")/.."
targets=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do targets+=("$1"); shift; done
[ $# -gt 0 ] && shift
[ ${#targets[@]} -gt 0 ] || targets=(step)
if ! command -v apt-get >/dev/null || [ "$(uname -m)" != x86_64 ]; then
    echo "ci/aarch64.sh: written for Debian's packages on x86-64" >&2
    exit 2
fi
cache="$PWD/target/aarch64"
tools="$cache/tools" guest="$cache/guest" rootfs="$cache/rootfs"
libraries="$tools/usr/lib/x86_64-linux-gnu:$tools/lib/x86_64-linux-gnu"

# What is fetched: the emulator and the cross compiler with all they lack here; the guest's
# kernel, a shell, and the Python that some tests have as a program. apt's lists and packages are kept apart from the system's.
if [ ! -e "$cache/fetched" ]; then
    rm -rf "$tools" "$guest"
    mkdir -p "$cache"/apt/{lists,cache/archives}/partial "$tools" "$guest"
    apt=(-o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o Debug::NoLocking=1
        -o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" -qq)
    apt-get "${apt[@]}" update
    apt-get "${apt[@]}" install --yes --no-install-recommends --download-only \
        qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross cpio
    named() { apt-cache "${apt[@]}" depends "$1:arm64" | sed -n "s/.*Depends: *\($2\):arm64\$/\1/p"; }
    kernel="$(named linux-image-arm64 'linux-image-[^ ]*-arm64')"
    python="$(named python3-minimal 'python3\.[0-9]*-minimal')"
    wanted=("$kernel" busybox-static "$python" "lib$python" "lib${python%-minimal}-stdlib"
        libexpat1 libffi8 zlib1g)
    (cd "$cache/apt/cache/archives" && apt-get "${apt[@]}" download "${wanted[@]/%/:arm64}")
    for package in "$cache"/apt/cache/archives/*.deb; do
        case "$package" in
        *_arm64.deb) dpkg -x "$package" "$guest" ;;
        *) dpkg -x "$package" "$tools" ;;
        esac
    done
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec "%s" --sysroot="%s" "$@"\n' \
        "$libraries" "$tools/usr/bin/aarch64-linux-gnu-gcc" "$tools" >"$cache/cc"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec "%s" "$@"\n' \
        "$libraries" "$tools/usr/bin/aarch64-linux-gnu-ar" >"$cache/ar"
    chmod +x "$cache/cc" "$cache/ar"
    touch "$cache/fetched"
fi

# The standard library is built from the toolchain's sources: so no other target is fetched.
target=aarch64-unknown-linux-gnu
selected=()
for name in "${targets[@]}"; do
    if [ "$name" = lib ]; then selected+=(--lib); else selected+=(--test "$name"); fi
done
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$cache/cc"
export CC_aarch64_unknown_linux_gnu="$cache/cc" AR_aarch64_unknown_linux_gnu="$cache/ar"
RUSTC_BOOTSTRAP=1 CARGO_TERM_COLOR=never cargo test --no-run -Zbuild-std --target "$target" \
    "${selected[@]}" 2>&1 | tee "$cache/build.log"

# The guest's files: this repository at the same path as here, for the tests that read it.
rm -rf "$rootfs"
mkdir -p "$rootfs"/{bin,lib,proc,sys,dev,tmp,etc,root} "$rootfs$PWD"
cp "$guest/bin/busybox" "$rootfs/bin/"
cp -r "$guest"/usr/lib/python3* "$guest"/{,usr/}lib/aarch64-linux-gnu/*.so.* "$rootfs/lib/"
cp "$guest"/usr/bin/python3.* "$rootfs/bin/python3"
for library in ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libgcc_s.so.1 libdl.so.2 libpthread.so.0; do
    cp "$tools/usr/aarch64-linux-gnu/lib/$library" "$rootfs/lib/"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$rootfs$PWD"
cat >"$rootfs/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
export HOME=/root PYTHONHOME=/
echo "aarch64: Linux $(uname -r), $(nproc) processors, $(grep -m 1 Features /proc/cpuinfo)"
run() {
    name="$1"
    shift
    echo "aarch64: == $name"
    "$@" 2>&1
    echo "aarch64: $name: exit $?"
}
. /tests
poweroff -f
INIT
chmod +x "$rootfs/init"
{
    for name in "${!EBBTIDE_@}"; do printf 'export %s=%q\n' "$name" "${!name}"; done
    printf 'cd %q\n' "$PWD"
} >"$rootfs/tests"
binaries=0
while read -r binary; do
    binary="$(realpath "$binary")"
    built="${binary%/deps/*}"
    mkdir -p "$rootfs$built/deps" "$rootfs${built%/*}/tmp"
    cp "$binary" "$rootfs$binary"
    [ ! -e "$built/ebbtide" ] || cp "$built/ebbtide" "$rootfs$built/"
    name="${binary##*/}"
    printf 'run %q %q' "${name%-*}" "$binary" >>"$rootfs/tests"
    [ $# -eq 0 ] || printf ' %q' "$@" >>"$rootfs/tests"
    echo >>"$rootfs/tests"
    binaries=$((binaries + 1))
done < <(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$cache/build.log")
[ "$binaries" = ${#targets[@]} ] || { echo "ci/aarch64.sh: $binaries binaries?" >&2; exit 1; }
cpio="$(command -v cpio || echo "$tools/bin/cpio")"
(cd "$rootfs" && find . | "$cpio" --create --format=newc --owner=0:0 --quiet) >"$cache/initrd"

# The guest's clock counts instructions, one a nanosecond, and skips what is slept: so no load
# here makes a test there late, and a run takes no longer than it must.
clock=(-icount shift=0,sleep=off)
[ -z "${EBBTIDE_GUEST_PARALLEL:-}" ] || clock=()
LD_LIBRARY_PATH="$libraries" timeout --foreground "${EBBTIDE_GUEST_SECONDS:-3600}" \
    "$tools/usr/bin/qemu-system-aarch64" -L "$tools/usr/share/qemu" \
    -M virt -cpu "${EBBTIDE_GUEST_CPU:-neoverse-n1}" -smp 2 -m 4G "${clock[@]}" \
    -nographic -nic none -no-reboot \
    -kernel "$guest"/boot/vmlinuz-* -initrd "$cache/initrd" \
    -append 'console=ttyAMA0 quiet loglevel=3 panic=-1 rdinit=/init' </dev/null |
    sed -u 's/\r//g' | tee "$cache/console.log" || echo "ci/aarch64.sh: the machine did not power off by itself" >&2
passed="$(grep -c '^aarch64: .*: exit 0$' "$cache/console.log" || true)"
echo "ci/aarch64.sh: $passed of ${#targets[@]} passed"
[ "$passed" = ${#targets[@]} ]
