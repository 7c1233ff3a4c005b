#!/bin/sh
# ronde-test: timeout=60
# A tensor that a rank never submits is reported on standard error long before it is an error: the
# tensor, its op, who is missing, and what that rank has pending instead, the most similar name first.
set -eu
program=$BUILD/test/ranks_stall
[ -x "$program" ] || { echo "$program is not built: make tests" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# check RANKS RANKS_PER_NODE
check() {
    missing=$(($1 - 1))
    RONDE_STALL_WARN=0.5 RONDE_RANKS_PER_NODE=$2 \
        tools/mpirun.sh -np "$1" "$program" --settings stall_abort=1 >"$scratch/out" 2>&1 || {
        cat "$scratch/out" >&2
        echo "$1 ranks, $2 on a node: the test itself did not pass" >&2
        exit 1
    }
    # The first such line is the report: after 0.5 s, not the error after 1 s.
    line=$(grep -m1 'lonely' "$scratch/out" || :)
    for word in lonely "rank $missing\|ranks $missing" lonelx sum; do
        echo "$line" | grep -q -- "$word" || {
            echo "$1 ranks, $2 on a node: no '$word' in the report: $line" >&2
            failures=1
        }
    done
    grep -q "join waits, and nothing was submitted for .* s, by rank $missing" "$scratch/out" || {
        echo "$1 ranks, $2 on a node: no report of the join" >&2
        failures=1
    }
    case $line in
    *zebra*lonelx*)
        echo "$1 ranks, $2 on a node: the similar name is not first: $line" >&2
        failures=1 ;;
    esac
}

check 2 0
check 3 0
check 4 2
exit $failures
