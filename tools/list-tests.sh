#!/bin/sh
# Writes the list of tests for ctest: BUILD=folder tools/list-tests.sh >folder/test/CTestTestfile.cmake
# What a test wants stands in its first lines, e.g. "ronde-test: np=2,4/2 threads=4 timeout=30"; the
# words are explained in docs/testing.md. Several such lines make several sets of runs.
set -eu
mpirun=${MPIRUN:-mpirun}
asan=${ASAN:-} tsan=${TSAN:-}
mpich=$BUILD-mpich
top=$PWD

# add NAME PROCESSORS ENVIRONMENT COMMAND...; uses timeout, serial, source.
add() {
    name=$1 processors=$2 environment=$3
    shift 3
    printf 'add_test([=[%s]=]' "$name"
    for word in "$@"; do printf ' [=[%s]=]' "$word"; done
    printf ')\nset_tests_properties([=[%s]=] PROPERTIES TIMEOUT %s SKIP_RETURN_CODE 77' \
        "$name" "$timeout"
    printf ' WORKING_DIRECTORY [=[%s]=] PROCESSORS %s LABELS "%s" ENVIRONMENT [=[TEST_TIMEOUT=%s%s]=]' \
        "$top" "$processors" "${source%%_*}" "$timeout" "$environment"
    [ -z "$serial" ] || printf ' RUN_SERIAL TRUE'
    printf ')\n'
}

# The runs of one line of words: split "4/2" is 4 ranks, 2 on each node.
add_line() {
    np='' threads='' settings='' args='' mpich_np='' timeout=60 serial='' plain='' with_tsan=yes with_asan=yes
    case ${source%%_*} in
    unit) plain=yes ;;
    mpi) with_tsan='' ;;
    sh | py) with_tsan='' with_asan='' ;;
    esac
    for word in $1; do
        case $word in
        np=*) np="$np,${word#*=}" plain='' ;;
        threads=*) threads="$threads,${word#*=}" plain='' ;;
        settings=*) settings=${word#*=} ;;
        args=*) args=$(echo "${word#*=}" | tr , ' ') ;;
        mpich=*) mpich_np=$mpich_np,${word#*=} ;;
        timeout=*) timeout=${word#*=} ;;
        sanitizers=yes) with_asan=yes with_tsan=yes ;;
        sanitizers=address) with_asan=yes with_tsan='' ;;
        sanitizers=no) with_asan='' with_tsan='' ;;
        serial) serial=yes ;;
        hosts=*) ;; # for test/sh_hosts*.sh, which read it themselves
        *) echo "$file: ronde-test knows no '$word' (see docs/testing.md)" >&2; exit 1 ;;
        esac
    done
    if [ -n "$asan" ]; then
        [ -n "$with_asan" ] || return 0
        timeout=$((timeout * 3))
    elif [ -n "$tsan" ]; then
        [ -n "$with_tsan" ] || return 0
        np='' timeout=$((timeout * 5)) # MPI itself was not built for the thread sanitizer
    fi
    program=$BUILD/test/$source
    suffix=${settings:++$settings}${args:+$(echo "+$args" | tr ' ' ,)}

    if [ "${source%%_*}" = sh ]; then
        processors=1
        ! grep -q mpirun "$file" || processors=2
        # shellcheck disable=SC2086
        add "$source$suffix" $processors "" $(sed -n '1s/^#! *//p' "$file") "$top/$file" $args
        return 0
    fi
    if [ "${source%%_*}" = py ]; then
        for n in $(echo "$np" | tr , ' '); do
            add "$source.np$n" "$n" "" tools/pytest.sh "$n" "$file"
        done
        [ -e "$mpich/lib/libronde.so" ] || return 0
        serial=yes
        for n in $(echo "$mpich_np" | tr , ' '); do
            add "$source.mpich$n" "$n" ";MPIRUN=mpirun.mpich;BUILD=$mpich" tools/pytest.sh "$n" "$file"
        done
        return 0
    fi
    [ -z "$plain" ] || add "$source$suffix" 1 "" "$program" $args
    for n in $(echo "$np" | tr , ' '); do
        ranks=${n%/*} nodes=
        [ "$ranks" = "$n" ] || nodes=";RONDE_RANKS_PER_NODE=${n#*/}"
        add "$source.np$(echo "$n" | tr / x)$suffix" "$ranks" "$nodes" tools/mpirun.sh -np "$ranks" \
            "$program" ${settings:+--settings "$settings"} $args
    done
    for n in $(echo "$threads" | tr , ' '); do
        ranks=${n%/*} nodes=
        [ "$ranks" = "$n" ] || nodes=${n#*/}
        add "$source.threads$(echo "$n" | tr / x)$suffix" "$ranks" "" "$program" --threads "$ranks" \
            ${nodes:+--per-node "$nodes"} ${settings:+--settings "$settings"} $args
    done
    [ -x "$mpich/test/$source" ] && [ -z "$asan$tsan" ] || return 0
    serial=yes # its ranks spin while they wait
    for n in $(echo "$mpich_np" | tr , ' '); do
        add "$source.mpich$n$suffix" "$n" ";MPIRUN=mpirun.mpich" tools/mpirun.sh -np "$n" \
            "$mpich/test/$source" ${settings:+--settings "$settings"} $args
    done
}

for file in test/unit_*.c test/mpi_*.c test/ranks_*.c test/sh_*.sh test/python/test_*.py; do
    [ -e "$file" ] || continue
    source=$(basename "${file%.*}")
    [ "${file#test/python/}" = "$file" ] || source=py_${source#test_}
    lines=$(sed -n '1,20s|.*ronde-test: *||p' "$file" | sed 's| *\*/.*||')
    if [ -z "$lines" ]; then
        case $source in
        ranks_*) lines="np=2 threads=2" ;;
        mpi_* | py_*) lines="np=2" ;;
        sh_hosts*) lines="timeout=180 serial" ;; # the hosts share one bridge
        esac
        add_line "$lines"
    else
        echo "$lines" | while IFS= read -r line; do add_line "$line"; done
    fi
done
