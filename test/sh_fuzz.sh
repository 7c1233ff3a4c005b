#!/bin/sh
# ronde-test: timeout=180 sanitizers=address
# What comes over the wire is read or refused: the kept inputs of the fuzzer (test/fuzz/README.md) replay
# in this build; and where clang has libFuzzer it looks for more, from there, for 15 s.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build} CC=${CC:-gcc}
corpus=test/fuzz/corpus
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "sh_fuzz: $*" >&2; exit 1; }

files=$(find $corpus -type f | wc -l) bytes=$(cat $corpus/* | wc -c)
[ "$files" -lt 200 ] && [ "$bytes" -lt 204800 ] ||
    fail "$corpus has $files files of $bytes bytes: merge it, as test/fuzz/README.md says"

flags="-std=c11 -D_GNU_SOURCE -pthread -O1 -g -Iinclude -Isrc"
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=all"
libraries="$BUILD/lib/libronde.a -ldl -lrt -lm"

# ---- the kept inputs -----------------------------------------------------------------------------
# shellcheck disable=SC2086
$CC $flags ${WARNINGS:-} ${ASAN:+$sanitizers} -o "$scratch/replay" test/fuzz/fuzz_message.c $libraries ||
    fail "the replaying program does not compile"
"$scratch/replay" $corpus/* >"$scratch/out" || { cat "$scratch/out"; fail "a kept input fails"; }
cat "$scratch/out"
for script in $corpus/taken-* $corpus/refused-*; do
    "$scratch/replay" -c "$script" "$scratch/raw" "$scratch/wire" >/dev/null
    for kind in raw wire; do
        kept=$corpus/$kind-${script##*/}
        [ ! -e "$kept" ] || cmp -s "$kept" "$scratch/$kind" ||
            fail "$kept is not what $script says today: make it anew (test/fuzz/README.md)"
    done
done
[ -z "${ASAN:-}" ] || exit 0 # the fuzzer brings its own sanitizers, so the plain build runs it

# ---- new ones ------------------------------------------------------------------------------------
echo 'int LLVMFuzzerTestOneInput(const char *, long); int LLVMFuzzerTestOneInput(const char *data,
long n) { return n > 1 && data[0] == data[1] ? 0 : 0; }' >"$scratch/try.c"
# shellcheck disable=SC2086
clang -fsanitize=fuzzer $sanitizers -o "$scratch/try" "$scratch/try.c" 2>/dev/null || {
    echo "no clang with libFuzzer here (Debian: clang, libclang-rt-dev): replayed the kept inputs only"
    exit 77
}
sources=
for name in message negotiation leader leader_batch decide batch stall request; do
    sources="$sources src/coordinator/$name.c"
done
# shellcheck disable=SC2086
clang $flags -DWITH_LIBFUZZER -fsanitize=fuzzer $sanitizers -o "$scratch/fuzz" \
    test/fuzz/fuzz_message.c $sources $libraries || fail "the fuzzer does not compile"
mkdir -p "$scratch/new" "$BUILD/test"
# Stacks of every allocation, as the other tests want them, would take most of the time.
if ! ASAN_OPTIONS= "$scratch/fuzz" -max_total_time="${FUZZ_SECONDS:-15}" -max_len=2048 -timeout=20 \
    -malloc_limit_mb=64 -artifact_prefix="$BUILD/test/fuzz-" -print_final_stats=1 \
    "$scratch/new" $corpus >"$scratch/log" 2>&1; then
    tail -n 60 "$scratch/log" >&2
    fail "trouble: the input lies in $BUILD/test; it becomes a test in $corpus"
fi
sed -n 's/^stat::number_of_executed_units: */inputs tried: /p' "$scratch/log"
