#!/bin/sh
# ronde-test: timeout=120
# The bits of sums that round do not change from run to run, nor with the fusion threshold, the thread
# that drives the library, or whether ranks are processes or threads.
set -eu
cd "$(dirname "$0")/.."
program=$BUILD/test/ranks_bits
[ -x "$program" ] || { echo "$program is not built: make tests" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# bits COMMAND...: appends the line that tells the bits.
bits() {
    "$@" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; echo "FAILED: $*" >&2; exit 1; }
    grep '^bits ' "$scratch/out" >>"$scratch/bits" ||
        { echo "FAILED: $* does not tell its bits" >&2; exit 1; }
}

# compare RANKS PER_NODE
compare() {
    : >"$scratch/bits"
    for settings in "" "" fusion_threshold=0 fusion_threshold=1K progress=thread; do
        RONDE_RANKS_PER_NODE=$2 bits tools/mpirun.sh -np "$1" "$program" --settings "$settings" 1
    done
    bits "$program" --threads "$1" --per-node "$2" 2
    [ "$(sort -u "$scratch/bits" | wc -l)" -eq 1 ] || {
        echo "FAILED: $1 ranks, $2 on a node: other bits from run to run" >&2
        cat "$scratch/bits" >&2
        exit 1
    }
}

compare 3 3
compare 4 2
compare 5 2
