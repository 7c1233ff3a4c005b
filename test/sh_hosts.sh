#!/bin/bash
# ronde-test: timeout=400 sanitizers=address serial
# Real hosts (network namespaces, TCP between them): the tests that say hosts=RANKS/PER_HOST in their
# first lines, and the demo. The bits of a result are the same there as on pretended nodes.
set -u
cd "$(dirname "$0")/.." || exit 1
program() { echo "$BUILD/test/$1"; }
[ -x "$(program ranks_allreduce)" ] || { echo "the tests are not built: make tests" >&2; exit 1; }
! ldd "$(program ranks_allreduce)" | grep -q libmpich ||
    { echo "SKIPPED sh_hosts: hosts.sh knows Open MPI only" >&2; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset RONDE_RANKS_PER_NODE # hosts are as they are
unset TEST_TIMEOUT         # of this script, not of what it runs

# on_hosts RANKS PER_HOST PROGRAM ARGUMENT...: what it says goes to $scratch/out.
on_hosts() {
    local ranks=$1 per_host=$2 status
    shift 2
    TEST_TIMEOUT=90 timeout --kill-after=5 100 \
        test/hosts.sh --hosts $((ranks / per_host)) --per-host "$per_host" -- "$@" >"$scratch/out" 2>&1
    status=$?
    if [ $status -eq 77 ]; then
        cat "$scratch/out" >&2
        exit 77
    fi
    [ $status -eq 0 ] && return
    cat "$scratch/out" >&2
    echo "FAILED (status $status): $* with $ranks ranks, $per_host on a host" >&2
    exit 1
}

# must_say TEXT: else the run was not what it seemed to be.
must_say() {
    grep -qF -- "$1" "$scratch/out" || { cat "$scratch/out" >&2; echo "FAILED: no '$1'" >&2; exit 1; }
}

for file in test/ranks_*.c; do
    name=$(basename "$file" .c)
    repeats=
    [ "$name" != ranks_bits ] || repeats=4
    for run in $(sed -n '1,20s|.*ronde-test:.* hosts=\([^ ]*\).*|\1|p' "$file" | tr , ' '); do
        ranks=${run%/*} per_host=${run#*/}
        on_hosts "$ranks" "$per_host" "$(program "$name")" $repeats
        must_say "$ranks ranks, $((ranks / per_host)) nodes: passed"
        [ -n "$repeats" ] || continue
        bits=$(grep '^bits ' "$scratch/out")
        RONDE_RANKS_PER_NODE=$per_host tools/mpirun.sh -np "$ranks" "$(program "$name")" 1 \
            >"$scratch/out" 2>&1
        must_say "$bits"
    done
done

digits=$BUILD/bin/digits
if [ -x "$digits" ]; then
    on_hosts 4 2 "$digits" --fp64 --epochs 1 --quiet
    must_say "parameters identical on all ranks: yes"
fi
