#!/bin/sh
# What libronde-mpi.so does for a program that knows MPI only: ronde-mpi_loops with it and without,
# in turns. Of each row the medians over the launches: of MPI's time without the library, of the
# time with it, and of three ratios, which are above 1 where the library is faster: between the launches,
# within those with the library (MPI's own calls in turns with the library's: the steadiest), and
# within those without, where it tells the noise.
#   benchmarks/drop-in.sh [-n RANKS] [-r TURNS] [ronde-mpi_loops' options ...]
# BUILD and MPIRUN say which build and launcher (BUILD=build-mpich MPIRUN=mpirun.mpich for MPICH).
# RONDE_MPI=all takes every call, for choosing the rows of src/preload/preload_rows.c.
# MPI gets what suits it best: where each rank has a CPU its own defaults, else idle ranks yield.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
MPIRUN=${MPIRUN:-mpirun}
ranks=2 turns=5
while getopts n:r: option; do
    case $option in
    n) ranks=$OPTARG ;;
    r) turns=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ "${1:-}" != -- ] || shift
export MPIRUN OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
library=$PWD/$BUILD/lib/libronde-mpi.so
case $BUILD in /*) library=$BUILD/lib/libronde-mpi.so ;; esac

launch() { # with|without arguments
    how=$1 preload=
    shift
    [ "$how" = without ] || preload=LD_PRELOAD=$library
    if [ "$ranks" -gt "$(nproc)" ]; then
        tools/mpirun.sh -np "$ranks" env $preload "$BUILD/bin/ronde-mpi_loops" "$@"
    else
        "$MPIRUN" -np "$ranks" env $preload "$BUILD/bin/ronde-mpi_loops" "$@" </dev/null
    fi | sed "s/^/$how /"
}

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
for turn in $(seq "$turns"); do
    if [ $((turn % 2)) = 0 ]; then order="with without"; else order="without with"; fi
    for how in $order; do launch "$how" "$@" >>"$rows"; done
done

# Rows are "how loop call bytes by-name by-mpi", in the order in which they are to be shown.
awk '
    function median(how, what,    n, i, j, t, v) {
        n = count[how]
        for (i = 1; i <= n; i++) v[i] = value[how, what, i]
        for (i = 2; i <= n; i++) {
            t = v[i]
            for (j = i; j > 1 && v[j - 1] > t; j--) v[j] = v[j - 1]
            v[j] = t
        }
        return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    NF == 6 && $5 > 0 && $6 > 0 {
        row = $2 " " $3 " " $4
        if (!(row in seen)) { seen[row] = 1; rows[++all] = row }
        how = $1 " " row
        value[how, "time", ++count[how]] = $5
        value[how, "ratio", count[how]] = $6 / $5
    }
    END {
        printf "%-4s %-20s %10s %10s %10s %8s %8s %8s\n", "loop", "call", "bytes", "MPI us", \
            "Ronde us", "launches", "within", "noise"
        for (i = 1; i <= all; i++) {
            split(rows[i], field, " ")
            mpi = median("without " rows[i], "time"); ronde = median("with " rows[i], "time")
            printf "%-4s %-20s %10s %10.2f %10.2f %8.2f %8.2f %8.2f\n", field[1], field[2], \
                field[3], mpi, ronde, ronde ? mpi / ronde : 0, median("with " rows[i], "ratio"), \
                median("without " rows[i], "ratio")
        }
    }' "$rows"
