#!/bin/sh
# Runs what the build folder holds under ctest and counts: BUILD=folder tools/run-tests.sh [name...]
# A name stands for all tests that begin with it. The last line is "N passed, N failed, N skipped";
# the exit status is 0 where none failed and at least one passed. (ctest's own report tells neither
# a test that ran out of time from one that failed, nor why one was skipped.)
set -eu
folder=$BUILD/test
log=$folder/Testing/Temporary
mkdir -p "$folder"
export BUILD
export LSAN_OPTIONS="suppressions=$PWD/test/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
# MPI's libraries keep no frame pointers; without this its own leaks would not be known as such.
export ASAN_OPTIONS="fast_unwind_on_malloc=0:malloc_context_size=40:${ASAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:${TSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TMPDIR="${TMPDIR:-/tmp}"

tools/list-tests.sh >"$folder/CTestTestfile.cmake"
names=
for name in "$@"; do names="$names${names:+|}$name"; done

set -- -j "${JOBS:-2}" --output-on-failure
if ctest --help | grep -q output-junit; then set -- "$@" --output-junit junit.xml; fi
[ -z "$names" ] || set -- "$@" -R "^($names)"
rm -f "$log/LastTest.log"
(cd "$folder" && ctest "$@" 2>&1 </dev/null || :) | tee "$folder/ctest.out" |
    sed -u -e '/^ *Start *[0-9]*: /d' -e '/tests passed, /,$d' # ours follows

# ctest's lines say passed or not; the log says what a test printed last, and whether it gave up.
awk -v log_file="$log/LastTest.log" '
    /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
        name = $0
        sub(/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /, "", name)
        seconds = $(NF - 1)
        if (name ~ /\*\*\*Skipped/) result = "skipped"
        else if (name ~ /\*\*\*Timeout/) result = "timed out"
        else if (name ~ / Passed /) result = "passed"
        else result = "failed"
        sub(/ .*/, "", name)
        results[name] = result
        times[name] = seconds
    }
    END {
        while ((getline line <log_file) > 0) {
            if (line ~ /^[0-9]+\/[0-9]+ Testing: /) {
                name = line
                sub(/^[0-9]+\/[0-9]+ Testing: /, "", name)
                inside = 0
                last[name] = ""
            } else if (line == "Output:") {
                inside = (getline line <log_file) # past a line of dashes
            } else if (line == "<end of output>") {
                inside = 0
            } else if (inside && line ~ /^-----/ && results[name] == "skipped") {
                inside = 0 # mpirun has its say about exit codes
            } else if (inside && line ~ /[^ ]/) {
                last[name] = line
                if (line ~ /^ronde-test: timed out/ && results[name] == "failed")
                    results[name] = "timed out"
            }
        }
        sort = "sort -rn | head -n 10"
        print "\nThe slowest:"
        for (name in times) printf "%8.2f s  %s\n", times[name], name | sort
        close(sort)
        for (name in results) count[results[name]]++
        if (count["skipped"]) {
            print "\nSkipped:"
            for (name in results)
                if (results[name] == "skipped") print "  " name ": " last[name] | "sort"
            close("sort")
        }
        if (count["failed"] + count["timed out"]) {
            print "\nNot passed:"
            for (name in results)
                if (results[name] == "failed" || results[name] == "timed out")
                    print "  " name ": " results[name] | "sort"
            close("sort")
        }
        failed = count["failed"] + count["timed out"]
        printf "\n%d passed, %d failed, %d skipped\n", count["passed"], failed, count["skipped"]
        exit failed > 0 || count["passed"] == 0
    }' "$folder/ctest.out"
