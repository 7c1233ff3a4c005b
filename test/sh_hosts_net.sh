#!/bin/bash
# ronde-test: timeout=150
# The network between hosts, over TCP: hosts come out as nodes, and everything that a network must
# do works between them. hosts.sh starts mpirun; runs do not collide.
here=$(dirname "$0")
program=${BUILD:-build}/test/mpi_net
[ -x "$program" ] || { echo "$program is not built: make tests" >&2; exit 1; }
! ldd "$program" | grep -q libmpich ||
    { echo "SKIPPED sh_hosts_net: hosts.sh knows Open MPI only" >&2; exit 77; }

for per_host in 1 2; do
    timeout --kill-after=5 60 "$here/hosts.sh" --hosts 2 --per-host $per_host -- \
        "$program" --nodes 2 --per-node $per_host
    status=$?
    [ $status -ne 124 ] || echo "sh_hosts_net: 2 hosts x $per_host timed out" >&2
    [ $status -eq 0 ] || exit $status
done
