#!/usr/bin/env bash
# The long form of tests/step: a SIGKILL after every instruction of every operation, and a
# survivor that must do everything and find nothing wrong.
# Usage: ci/kill-sweep.sh                     every operation (about an hour on one quiet processor)
#        ci/kill-sweep.sh peers               raw_sync, a robust pthread mutex, Python, in the same way
#        ci/kill-sweep.sh OPERATION...        some of them, by the names in the table
# EBBTIDE_LIVENESS=portable sweeps the other back end;
# EBBTIDE_STEP_EVERY=16 kills only after every 16th instruction; EBBTIDE_STEP_JSON=1 prints lines of JSON instead of the table.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = peers ]; then
    exec env EBBTIDE_STEP=peers cargo test --quiet --test step
fi
if [ $# = 0 ]; then
    exec env EBBTIDE_STEP=full cargo test --quiet --test step
fi
for operation in "$@"; do
    EBBTIDE_STEP=full EBBTIDE_STEP_OP="$operation" cargo test --quiet --test step
done
