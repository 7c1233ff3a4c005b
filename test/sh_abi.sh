#!/bin/sh
# ronde-test: timeout=60
# The library exports what test/abi says and nothing else, and public structures and constants are
# as they were. A deliberate change: BUILD=build test/sh_abi.sh --update, and say so in CHANGELOG.md.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

nm -D --defined-only "$BUILD/lib/libronde.so" | awk '$2 != "A" { print $3 }' |
    LC_ALL=C sort >"$scratch/symbols.txt"
sed -n 's/^ *\(RONDE_[A-Z0-9_]*\) = .*/VALUE(\1);/p' include/ronde.h include/ronde_train.h \
    >"$scratch/enumerators.h"
"${CC:-gcc}" -std=c99 -Iinclude -I"$scratch" test/abi/layout.c -o "$scratch/layout"
"$scratch/layout" >"$scratch/layout.txt"

if [ "${1:-}" = --update ]; then
    cp "$scratch/symbols.txt" "$scratch/layout.txt" test/abi/
    exit 0
fi
failed=0
diff -u test/abi/symbols.txt "$scratch/symbols.txt" || failed=1
if [ "$(getconf LONG_BIT)" = 64 ]; then
    diff -u test/abi/layout.txt "$scratch/layout.txt" || failed=1
fi

# Every function that the headers declare is in the map, and the other way round.
sed -n 's/^ *\(ronde_[a-z0-9_]*\);/\1/p' src/ronde.map | LC_ALL=C sort >"$scratch/map"
cat include/*.h | tr '\n' ' ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
    grep -o '\bronde_[a-z0-9_]*(' | tr -d '(' | LC_ALL=C sort -u >"$scratch/declared"
diff -u "$scratch/declared" "$scratch/map" || failed=1

# The archive hides nothing, so its names must not take anybody's: ronde_ or ronde__.
nm -g --defined-only "$BUILD/lib/libronde.a" | awk 'NF == 3 { print $3 }' | grep -v '^ronde_' &&
    { echo "these names of libronde.a lack the prefix ronde_" >&2; failed=1; }
exit $failed
