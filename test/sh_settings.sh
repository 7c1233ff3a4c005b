#!/bin/sh
# ronde-test: timeout=60
# A setting that must be alike on all ranks and is not is an error on each, naming it and both values.
set -u
case $("${MPIRUN:-mpirun}" --version 2>&1) in
*"Open MPI"*) ;;
*) echo "the colon syntax of Open MPI's mpirun is used" >&2; exit 77 ;;
esac
failed=0
for setting in SLICE_BYTES=256K SLOTS=8 WIRE_BUFFER_BYTES=1M CACHE_CAPACITY=9 RANKS_PER_NODE=1 ALLREDUCE=0-:ring; do
    name=$(echo "${setting%%=*}" | tr '[:upper:]' '[:lower:]')
    out=$(timeout 20 tools/mpirun.sh -np 1 "$BUILD/bin/ronde-info" : -np 1 env "RONDE_$setting" "$BUILD/bin/ronde-info" 2>&1)
    status=$?
    if [ $status -eq 0 ] || ! printf '%s\n' "$out" | grep -q "setting $name differs: rank 0 has .* rank 1 has"; then
        echo "RONDE_$setting on rank 1 alone: status $status" >&2
        printf '%s\n' "$out" >&2
        failed=1
    fi
done
exit $failed
