#!/usr/bin/env bash
# The long form of the explicit-state search: more rounds, more stops, more states, with the
# shipped widths and with narrow tags. Needs some 8 GB of memory.
# Usage: ci/search.sh [TEST FILTER]      e.g. ci/search.sh terms
set -euo pipefail
cd "$(dirname "$0")/.."
export EBBTIDE_SEARCH=long
filter="search_tests::${1:-}"
# One search at a time: each keeps all the states that it has seen.
cargo test --lib "$filter" -- --nocapture --test-threads=1
cargo test --features narrow --lib "$filter" -- --nocapture --test-threads=1
