#!/bin/sh
# The standard set of measurements: `make bench`. Ronde, Open MPI, MPICH, Gloo and the memory's
# floor on this machine; docs/performance.md says how, and what came out. Results under $BUILD/bench:
# launches/ (rows and what ronde-perf printed, a launch each), and by plot.py a *.json (medians over
# the launches), a *.png for each part, and summary.md. Under ten minutes; FULL=1 goes to 256 MiB
# and takes longer. Arguments: names of parts (below), all by default. MPICH_PERF: a ronde-perf that
# was built with MPICH. ROUNDS: launches of each (3 of an allreduce, 2 of others). PERF_ARGS: more
# options for ronde-perf.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
out=$BUILD/bench launches=$BUILD/bench/launches
largest=64M largest_hosts=16M
[ "${FULL:-0}" = 0 ] || largest=256M largest_hosts=256M
cpus=$(nproc)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Open MPI may read another process's memory where that is permitted, as it does by default.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-cma}
standard="allreduce-np2 allreduce-np4 broadcast-np2 allgather-np2
    resnet50-np2 resnet50-np4 1000x1K-np2 1000x1K-np4 hosts4-1gbit hosts4-10gbit"
parts=${*:-$standard}

gloo=
[ -e "$BUILD/lib/ronde-perf-gloo.so" ] && gloo=,gloo
mpich=
[ -x "${MPICH_PERF:-}" ] && command -v mpirun.mpich >/dev/null && mpich=mpich

say() { echo "bench: $*" >&2; }
[ -n "$gloo" ] || say "no Gloo here (Debian: libgloo-dev), so it is not compared"
[ -n "$mpich" ] || say "no MPICH here (Debian: libmpich-dev, mpich), so it is not compared"

# tools/mpirun.sh starts Open MPI so that ranks without a CPU of their own make way for each other.
# Where each has one, it is faster without that: there it gets its own defaults, its best.
launch_openmpi() { # ranks command...
    ranks=$1
    shift
    if [ "$ranks" -gt "$cpus" ]; then
        tools/mpirun.sh -np "$ranks" "$@"
    else
        "${MPIRUN:-mpirun}" -np "$ranks" "$@" </dev/null
    fi
}

# One launch; the lines of rank 0 are kept and shown, and rows go to a file beside them.
measure() { # part launcher round command...
    name=$launches/$1.$2.$3
    shift 3
    # shellcheck disable=SC2086
    if "$@" --json "$name.json" ${PERF_ARGS:-} >"$name.txt" 2>&1; then
        cat "$name.txt"
    else
        cat "$name.txt" >&2
        rm -f "$name.json"
        say "$name.txt: this launch ended badly, and is left out"
        failed=1
    fi
}

# Rounds alternate between the two MPIs, so that the machine's drift meets both.
measure_here() { # part ranks peers arguments of ronde-perf
    part=$1 ranks=$2 peers=$3 round=1 rounds=${ROUNDS:-2}
    shift 3
    [ "$1" != allreduce ] || rounds=${ROUNDS:-3}
    while [ "$round" -le "$rounds" ]; do
        echo "== $part, round $round of $rounds"
        measure "$part" openmpi "$round" launch_openmpi "$ranks" timeout 600 \
            "$BUILD/bin/ronde-perf" "$@" --impl "ronde,mpi$peers" --path both --memory both
        [ -z "$mpich" ] || measure_mpich "$@"
        # Gloo's steps take long where ranks outnumber CPUs: once, too.
        [ "$1" != steps ] || [ "$ranks" -le "$cpus" ] || peers=,floor
        round=$((round + 1))
    done
}

# MPICH's ranks never give their CPU away. Where ranks outnumber CPUs an operation takes it
# milliseconds, so one launch with few calls says all there is to say, of an allreduce.
measure_mpich() { # arguments of ronde-perf
    few=
    if [ "$ranks" -gt "$cpus" ]; then
        [ "$1" = allreduce ] && [ "$round" = 1 ] || return 0
        few="-n 3 -w 1 --batch 2"
    fi
    path=direct
    [ "$1" != steps ] || path=both
    # shellcheck disable=SC2086
    measure "$part" mpich "$round" mpirun.mpich -np "$ranks" timeout 600 "$MPICH_PERF" "$@" \
        --impl ronde,mpi --path $path --memory both $few </dev/null
}

# Four network namespaces as hosts, one rank each.
measure_hosts() { # part rate
    part=$1
    echo "== $part"
    measure "$part" openmpi 1 timeout 300 test/hosts.sh --hosts 4 --per-host 1 --rate "$2" -- \
        "$(realpath "$BUILD/bin/ronde-perf")" allreduce -b 4K -e "$largest_hosts" -f 4 -n 5 -w 2 \
        --batch 2 --impl "ronde,mpi$gloo" --path direct
    # The same against the bound of a plain TCP stream, and Open MPI's other algorithms.
    MPI_ALGORITHMS="default 4:1048576" benchmarks/hosts.sh "$2" -b 1M -e "$largest_hosts" -f 4 \
        -n 3 -w 1 --batch 1 >"$out/$part.bound.txt" || say "$part: benchmarks/hosts.sh: $?"
    cat "$out/$part.bound.txt"
}

mkdir -p "$launches"
failed=0
for part in $parts; do
    rm -f "$launches/$part".* "$out/$part.json" "$out/$part.png"
    ranks=${part##*-np} what=${part%-np*}
    case $what in
    allreduce) measure_here "$part" "$ranks" "$gloo,floor" allreduce -b 4 -e $largest -f 4 ;;
    broadcast | allgather) measure_here "$part" "$ranks" "$gloo" "$what" -b 64 -e $largest -f 4 ;;
    hosts4-*) measure_hosts "$part" "${part#hosts4-}" ;;
    *) measure_here "$part" "$ranks" "$gloo,floor" steps --list "$what" ;;
    esac
done

for python in ${PYTHON:-} python3 /usr/bin/python3; do
    "$python" -c 'import numpy, matplotlib' 2>/dev/null || continue
    "$python" benchmarks/plot.py "$out"
    exit "$failed"
done
say "plots need python3 with numpy and matplotlib: tools/install-deps.sh bench"
exit 1
