#!/bin/sh
# ronde-test: timeout=60
# ronde-sim agrees with SimGrid SMPI, in which the executor itself runs: within 1 % at 47 and 64 ranks
# for ring, doubling and circulant, at 12 for spread and flood. docs/simulation.md says where they differ.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0
benchmarks/smpi.sh --ranks "47 64" --algo "ring doubling circulant" --bytes "1024 65536 1048576" \
    --within 1 >"$scratch/rows" || status=$?
[ $status -ne 0 ] || benchmarks/smpi.sh --ranks 12 --algo "spread flood" \
    --bytes "1024 65536 1048576" --within 1 >>"$scratch/rows" || status=$?
[ $status -ne 77 ] || exit 77
cat "$scratch/rows"
[ $status -eq 0 ] || { echo "sh_smpi: ronde-sim and SMPI are too far apart" >&2; exit 1; }
rows=$(grep -c -v '^#' "$scratch/rows") # an empty comparison proves nothing
[ "$rows" -ge 24 ] || { echo "sh_smpi: only $rows rows" >&2; exit 1; }
