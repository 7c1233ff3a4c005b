#!/bin/sh
# ronde-test: timeout=150
# Any of four ranks is killed or stopped at any moment, and the others' calls return an error that
# names it, in time, and they can close: 50 rounds, over one node and pretended ones. Fewer with
# MPICH, whose ranks spin while they wait, one after the other.
#     ROUNDS=300 SEED=1 BUILD=build test/sh_survivors.sh
set -u
export RONDE_HEARTBEAT=1.5 RONDE_LOG=error
seed=${SEED:-$(date +%s)}
case $("${MPIRUN:-mpirun}" --version 2>&1) in
*"Open MPI"*) rounds=${ROUNDS:-50} at_once=4 options=--enable-recovery ;;
*)
    rounds=${ROUNDS:-12} at_once=1 options=-disable-auto-cleanup
    export UCX_TLS=^cma ;; # which ends the process that reads a dead one's memory
esac
echo "$rounds rounds from seed $seed" >&2

# Every way with every topology and variant: 18 rounds.
round=0
while [ $round -lt "$rounds" ]; do
    way=$([ $((round % 2)) = 0 ] && echo kill || echo stop)
    per_node=$(echo 0 2 1 | cut -d ' ' -f $((round / 2 % 3 + 1)))
    variant=$(echo named direct mixed | cut -d ' ' -f $((round / 6 % 3 + 1)))
    echo "$per_node $way $variant $((seed + round)) tools/mpirun.sh $options -np 4"
    round=$((round + 1))
# shellcheck disable=SC2016
done | xargs -P $at_once -L 1 sh -c 'export RONDE_RANKS_PER_NODE=$1; shift
    exec test/survivors.sh "$@"' - >&2
