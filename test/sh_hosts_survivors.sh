#!/bin/bash
# ronde-test: timeout=150 serial
# As sh_survivors.sh, over two hosts with two ranks each, over TCP: a rank of any host is killed or
# stopped.
#     ROUNDS=50 SEED=1 BUILD=build test/sh_hosts_survivors.sh
# Two things that Open MPI 4.1 does over TCP are not ours to mend: it ends a process whose first message
# to a rank comes after that one's death, so ranks are connected at the start; and now and then MPI_Test
# never returns from a socket whose other end has died, so sockets get a thread of their own.
set -u
if [ -z "${HOSTS:-}" ]; then
    ! ldd "$BUILD/test/mpi_survivor" | grep -q libmpich ||
        { echo "SKIPPED sh_hosts_survivors: hosts.sh knows Open MPI only" >&2; exit 77; }
    export RONDE_HEARTBEAT=1.5 RONDE_LOG=error
    exec test/hosts.sh --hosts 2 --slots 2 -- "$0"
fi

seed=${SEED:-$(date +%s)} rounds=${ROUNDS:-12}
echo "$rounds rounds from seed $seed" >&2
for ((round = 0; round < rounds; round++)); do
    ways=(kill stop) variants=(named direct mixed)
    echo "${ways[round % 2]} ${variants[round / 2 % 3]} $((seed + round))" \
        "$MPIRUN --enable-recovery --mca mpi_preconnect_mpi 1 --mca btl_tcp_progress_thread 1" \
        "--oversubscribe -np 4"
done | xargs -P 3 -L 1 test/survivors.sh >&2
