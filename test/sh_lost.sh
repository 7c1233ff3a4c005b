#!/bin/sh
# ronde-test: timeout=100
# A rank that is killed is an error on the others, which names it; and they can close. Named, direct, and
# while the others do nothing.
set -u
case $("${MPIRUN:-mpirun}" --version 2>&1) in
*"Open MPI"*) ;;
*) echo "only Open MPI is asked to keep survivors running" >&2; exit 77 ;;
esac
failed=0
for way in named direct idle; do
    for set in 2 3 4/2; do # ranks, or ranks/ranks on a pretended node
        ranks=${set%/*}
        [ "$set" = "$ranks" ] && unset RONDE_RANKS_PER_NODE || export RONDE_RANKS_PER_NODE="${set#*/}"
        out=$(timeout 30 tools/mpirun.sh --enable-recovery -np $ranks "$BUILD/test/mpi_lost" $way 2>&1)
        right=$(printf '%s\n' "$out" | grep -c '^survivor [0-9]*: right')
        if [ "$right" -ne $((ranks - 1)) ]; then
            echo "$way, $set ranks: $right of $((ranks - 1)) survivors were right" >&2
            printf '%s\n' "$out" >&2
            failed=1
        fi
    done
done
exit $failed
