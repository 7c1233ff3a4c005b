#!/bin/sh
# ronde-test: timeout=300
# No warning in any of our sources, of gcc and of clang.
set -u
cd "$(dirname "$0")/.."
warnings=${WARNINGS:--Wall -Wextra}
mpi=$("${MPICC:-mpicc}" -show | tr ' ' '\n' | sed -n 's/^-I/-isystem /p')
failed=0

# The optimiser finds warnings that reading alone does not, but reading is five times as fast: gcc
# has compiled everything with the optimiser already, so its warnings there are on the screen.
check() { # compiler file
    case $2 in
    examples/*) includes="-Iinclude $mpi" ;;
    src/net/* | src/preload/* | test/* | benchmarks/*) includes="-Iinclude -Isrc $mpi" ;;
    *) includes="-Iinclude -Isrc" ;;
    esac
    # shellcheck disable=SC2086
    "$1" -std=c11 -D_GNU_SOURCE -fsyntax-only -Werror $warnings $includes "$2" || failed=1
}

files=$(find src test benchmarks examples -name '*.c' ! -path 'src/cuda/*' ! -path 'test/abi/*')
for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for file in $files; do check $compiler "$file"; done
done
[ $failed = 0 ] || exit 1
command -v clang >/dev/null || { echo "no clang here: warnings of gcc only" >&2; exit 77; }
