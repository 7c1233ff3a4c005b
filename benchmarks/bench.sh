#!/bin/sh
# The standard set of measurements: `make bench`. Ronde and MPI in turns, in one process, on this
# machine; results under $BUILD/bench: *.json (rows), *.txt (what ronde-perf printed), *.png and
# summary.md (made by plot.py). Under six minutes; FULL=1 goes to 256 MiB and takes longer.
# Arguments: names of parts (below), all by default. PERF_ARGS: more options for ronde-perf.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
MPIRUN=${MPIRUN:-mpirun}
perf=$BUILD/bin/ronde-perf
out=$BUILD/bench
largest=64M
[ "${FULL:-0}" = 0 ] || largest=256M
cpus=$(nproc)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
standard="allreduce-np2 allreduce-np4 broadcast-np2 allgather-np2
    resnet50-np2 resnet50-np4 1000x1K-np2 1000x1K-np4"
parts=${*:-$standard}

# tools/mpirun.sh starts MPI so that ranks without a CPU of their own make way for each other. Where
# each has one, MPI is faster without that: there it gets its own defaults, the best that it has.
launch() {
    ranks=$1
    shift
    if [ "$ranks" -gt "$cpus" ]; then
        tools/mpirun.sh -np "$ranks" "$@"
    else
        "$MPIRUN" -np "$ranks" "$@" </dev/null
    fi
}

measure() { # part ranks arguments of ronde-perf
    part=$1 ranks=$2
    shift 2
    echo "== $part"
    # shellcheck disable=SC2086
    launch "$ranks" timeout "${PART_SECONDS:-600}" "$perf" "$@" --impl ronde,mpi --path both \
        --memory arena,private --json "$out/$part.json" ${PERF_ARGS:-} >"$out/$part.txt"
    cat "$out/$part.txt"
}

mkdir -p "$out"
for part in $parts; do
    rm -f "$out/$part.json" "$out/$part.txt" "$out/$part.png"
    ranks=${part##*-np} what=${part%-np*}
    case $what in
    allreduce) measure "$part" "$ranks" allreduce -b 4 -e $largest -f 4 ;;
    broadcast | allgather) measure "$part" "$ranks" "$what" -b 64 -e $largest -f 4 ;;
    *) measure "$part" "$ranks" steps --list "$what" ;;
    esac
done

for python in ${PYTHON:-} python3 /usr/bin/python3; do
    "$python" -c 'import numpy, matplotlib' 2>/dev/null && exec "$python" benchmarks/plot.py "$out"
done
echo "plots need python3 with numpy and matplotlib: tools/install-deps.sh bench" >&2
exit 1
