#!/usr/bin/env bash
# The long form of the stops in tests/step: a process is stopped before every access of the segment and every system
# call of every operation, others do whole other things meanwhile, and it goes on, or is killed after one step, or at
# once; then everything is checked.
# Usage: ci/stop-sweep.sh                          every pair of operation and scenario (some hours on a quiet machine)
#        ci/stop-sweep.sh OPERATION [SCENARIO]     one operation, or one pair, by the names in the output
#        ci/stop-sweep.sh --seconds N              random points of all pairs for N seconds, two processes at times
#        ci/stop-sweep.sh --narrow ...             the same with tags of a few bits, so that every tag wraps
# EBBTIDE_LIVENESS=portable sweeps the other back end; EBBTIDE_STEP_EVERY=8 stops only at every 8th point;
# EBBTIDE_STOP_INSTRUCTIONS=1 stops before every instruction; EBBTIDE_STOP_FATE='goes on', 'steps' or 'dies' chooses one
# fate; EBBTIDE_SEED repeats the choices of a random run. A violation prints how to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."
features=()
if [ "${1:-}" = --narrow ]; then
    features=(--features narrow)
    shift
fi
export EBBTIDE_STEP=stops
if [ "${1:-}" = --seconds ]; then
    export EBBTIDE_STOP_SECONDS="$2"
elif [ $# -gt 0 ]; then
    export EBBTIDE_STEP_OP="$1"
    [ $# -lt 2 ] || export EBBTIDE_STOP_LIFE="$2"
fi
exec cargo test --quiet "${features[@]}" --test step
