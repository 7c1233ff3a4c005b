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
    for ranks in 2 3; do
        out=$(timeout 30 tools/mpirun.sh --enable-recovery -np $ranks "$BUILD/test/mpi_lost" $way 2>&1)
        right=$(printf '%s\n' "$out" | grep -c '^survivor [0-9]*: right')
        if [ "$right" -ne $((ranks - 1)) ]; then
            echo "$way, $ranks ranks: $right of $((ranks - 1)) survivors were right" >&2
            printf '%s\n' "$out" >&2
            failed=1
        fi
    done
done
exit $failed
