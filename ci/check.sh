#!/usr/bin/env bash
# Format, lints and documentation, with warnings denied.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check
cargo clippy --all-targets --features loom,tracing -- -D warnings
cargo clippy --bin ebbtide --no-default-features --features cli -- -D warnings
cargo clippy --lib --no-default-features -- -D warnings
# The fuzz targets are built from the command's own sources; the fuzzer itself is not linked.
cargo clippy --locked --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target/fuzz-check -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features --document-private-items
