#!/bin/sh
# ronde-test: timeout=300
# Programs run alike with libronde-mpi.so and without: every result of every call has the same
# bits, whether all calls that can be taken are (RONDE_MPI=all) or those that the rows name; the log
# says that they were; and where it must not act it does not. Where MPI leaves open what the bits are
# (the order of addition, NaN, signs of zeros) it says which differ, and holds the library to its own
# word: all ranks have the same.
set -eu
library=$BUILD/lib/libronde-mpi.so
place=$(mktemp -d)
# A sanitizer's runtime wants to come before all other libraries.
runtime=
[ -z "${ASAN:-}" ] || runtime=$("${CC:-gcc}" -print-file-name=libasan.so):
if [ "${TSAN:-}" ]; then
    runtime=$("${CC:-gcc}" -print-file-name=libtsan.so):
    # MPI is not compiled for it: what it does inside looks like races and wrong orders of locks.
    for part in libopen libmpi libevent mca_ libpmix libgfortran; do
        printf 'race:%s\ndeadlock:%s\nmutex:%s\n' "$part" "$part" "$part"
    done >"$place/suppressions"
    export TSAN_OPTIONS="${TSAN_OPTIONS:-}:suppressions=$place/suppressions"
fi
trap 'rm -rf "$place"' EXIT
failed=0
complain() { echo "$*" >&2; failed=1; }

# run ranks name mode [command ...]: the program with the library, or without where mode is none
run() {
    ranks=$1 name=$2 mode=$3 program=$4
    shift 4
    {
        if [ "$mode" = none ]; then
            timeout 60 tools/mpirun.sh -np "$ranks" "$@" "$program" "$place/$name"
        else
            RONDE_MPI=$mode timeout 60 tools/mpirun.sh -np "$ranks" \
                env LD_PRELOAD="$runtime$library" "$@" "$program" "$place/$name"
        fi
    } >"$place/$name.log" 2>&1 || { complain "$name ends with $?"; cat "$place/$name.log" >&2; }
}
same() { # name name ranks
    for rank in $(seq 0 $(($3 - 1))); do
        if ! cmp -s "$place/$1.$rank" "$place/$2.$rank"; then
            complain "$1 and $2 differ at rank $rank:"
            diff "$place/$1.$rank" "$place/$2.$rank" | head -n 6 >&2
        fi
    done
}
loose() { # plain taken ranks
    for rank in $(seq 0 $(($3 - 1))); do
        cmp -s "$place/$2.loose.0" "$place/$2.loose.$rank" ||
            complain "$2: ranks 0 and $rank differ in what MPI leaves open"
    done
    [ -s "$place/$2.loose.0" ] || return 0
    diff "$place/$1.loose.0" "$place/$2.loose.0" | awk -v name="$2" '
        /^>/ { $1 = $NF = ""; all = all (all ? ";" : "") $0 }
        END { if (all) print name " has other bits than MPI, which leaves them open:" all }'
}
taken() { grep -q "taken: .*$2 [1-9][0-9]* of" "$place/$1.log" || complain "$1: $2 was never taken"; }

only_mpi() { # library: it shows MPI's names only, and calls PMPI only
    nm -D --defined-only "$1" | awk '$2 ~ /[A-Z]/ && $3 !~ /^(MPI_|mpi_)/ { print $3; bad = 1 } END { exit bad }' ||
        complain "$1 shows more than MPI's names"
    nm -D --undefined-only "$1" | grep -E ' p?MPI_' && complain "$1 calls MPI by names that it takes over"
    return 0
}

check_mpi() { # build ranks ...
    program=$1/test/mpi_preload library=$1/lib/libronde-mpi.so
    shift
    only_mpi "$library"
    for np in "$@"; do
        run "$np" "plain$np" none "$program"
        run "$np" "all$np" log,all "$program"
        same "plain$np" "all$np" "$np"
        loose "plain$np" "all$np" "$np"
        [ "$np" -gt 1 ] || continue
        for call in allreduce reduce reduce_scatter bcast allgather alltoall alltoallv barrier; do
            taken "all$np" $call
        done
    done
}

# A Fortran program, by mpif.h and by the module; MPI's compiler for it beside the one for C.
check_fortran() { # build compiler options
    if ! command -v "$2" >/dev/null; then
        echo "not tested: calls from Fortran, for want of $2"
        return 0
    fi
    library=$1/lib/libronde-mpi.so
    fortran=$2
    shift 2
    for way in "" -DMPIF_H; do
        program=$place/fortran
        # newer compilers want to be told that mpif.h means what it says
        if ! "$fortran" $way "$@" -w -o "$program" test/preload_calls.F90 >"$place/log" 2>&1 &&
            ! "$fortran" $way "$@" -w -fallow-argument-mismatch -o "$program" \
                test/preload_calls.F90 >"$place/log" 2>&1; then
            complain "$fortran $way does not compile test/preload_calls.F90"
            cat "$place/log" >&2
            continue
        fi
        run 2 "fortran$way" none "$program"
        run 2 "fortran-all$way" log,all "$program"
        same "fortran$way" "fortran-all$way" 2
        for call in allreduce reduce reduce_scatter bcast allgather alltoall alltoallv barrier; do
            taken "fortran-all$way" $call
        done
    done
}

check_mpi "$BUILD" 1 2 3 4
run 2 rows2 log "$program"
same plain2 rows2 2
taken rows2 allreduce
taken rows2 barrier
run 2 off2 off,log "$program"
same plain2 off2 2
grep -q 'everything is passed on: RONDE_MPI=off' "$place/off2.log" || complain "off does not say so"
case $("${MPIRUN:-mpirun}" --version 2>&1) in
*"Open MPI"*)
    run 2 nodes2 log,all "$program" OMPI_COMM_WORLD_LOCAL_SIZE=1
    same plain2 nodes2 2
    grep -q 'passed on: there are several nodes' "$place/nodes2.log" || complain "nodes are not seen" ;;
esac
check_fortran "$BUILD" mpifort

mpich=$BUILD-mpich
if [ -x "$mpich/test/mpi_preload" ] && [ -e "$mpich/lib/libronde-mpi.so" ]; then
    MPIRUN=mpirun.mpich
    export MPIRUN
    check_mpi "$mpich" 2
    # the library of the other MPI stays out of it
    library=$BUILD/lib/libronde-mpi.so
    run 2 other2 log,all "$mpich/test/mpi_preload"
    same plain2 other2 2
    # MPICH 4.0.2 as Debian has it does not know MPI_IN_PLACE from Fortran
    check_fortran "$mpich" mpifort.mpich -DNO_IN_PLACE
fi
exit $failed
