#!/bin/sh
# One round of mpi_survivor: survivors.sh kill|stop named|direct|mixed SEED LAUNCHER...
# LAUNCHER with its arguments starts four ranks. Exit status 0 where the three survivors were right,
# ended with exit status 0, and nobody is left; else everything is printed.
way=$1 variant=$2 seed=$3
round="$way $variant $seed, ${RONDE_RANKS_PER_NODE:-0} ranks per node"
shift 3
log=$(mktemp)
pause=0.1 limit=400 # looks: 40 s

processes() { sed -n 's/^process \([0-9]*\).*/\1/p' "$log"; }
count() { grep -c "$1" "$log"; }

# The inner shell tells how each rank ended, which mpirun does not once it is told to bear losses.
# MPICH's tells the survivors of a death by SIGUSR1.
# shellcheck disable=SC2016
timeout -k 5 60 "$@" sh -c 'trap "" USR1; "$@"; status=$?; echo "exited $status"; exit $status' - \
    "$BUILD/test/mpi_survivor" "$way" "$variant" "$seed" >"$log" 2>&1 </dev/null &
launcher=$!
wanted=4
[ "$way" = kill ] || wanted=3
while [ "$(count '^exited')" -lt $wanted ] && [ $limit -gt 0 ] && kill -0 $launcher; do
    sleep $pause
    limit=$((limit - 1))
done

# The stopped one, and in a round that went wrong whoever hangs.
left=0
for process in $(processes); do
    ! kill -KILL "$process" 2>/dev/null || left=$((left + 1))
done
sleep $pause
# Open MPI's waits for ever where a rank of another host ended without MPI_Finalize.
kill -TERM $launcher 2>/dev/null
wait $launcher 2>/dev/null

right=$(count '^survivor [0-9]: right') ended=$(count '^exited 0$')
by_mpi=$(count '^survivor [0-9]: right (mpi')
if [ "$right" -eq 3 ] && [ "$ended" -eq 3 ] && [ $left -eq $((4 - wanted)) ]; then
    echo "survivors were right: $round ($by_mpi told by MPI)"
    rm -f "$log"
    exit 0
fi
echo "survivors were wrong: $round: $right of 3 were right, $ended of 3 ended, $left left"
cat "$log"
rm -f "$log"
exit 1
