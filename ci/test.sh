#!/usr/bin/env bash
# The tests a newcomer runs (most run on both liveness back ends by themselves), some
# with the portable one forced on everything (and with tracing), the models, the examples, the benches
# in test mode, and the instruction budgets.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test
EBBTIDE_LIVENESS=portable cargo test --test process --features tracing
EBBTIDE_LIVENESS=portable cargo test --test step
cargo test --features loom --lib loom_tests -- --nocapture
cargo test --features narrow --lib search_tests -- --nocapture
cargo test --features loom,narrow --lib loom_tests::late -- --nocapture
for example in quick_start two_processes coordination; do
    cargo run --quiet --example "$example"
done
cargo bench --bench suite -- --test >/dev/null
ci/instructions.sh
ci/instructions.sh --prove
cargo run --quiet --release -- demo
cargo run --quiet --release -- demo --runners 6 --kill 2 --stop 1 --hang 1 --timeout 2s
