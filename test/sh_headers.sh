#!/bin/sh
# ronde-test: timeout=60
# The public headers compile alone: as C99 without extensions, and as C++.
set -eu
cd "$(dirname "$0")/.."
strict="-Wall -Wextra -pedantic-errors -Werror -Iinclude -fsyntax-only"
try() { echo "$*"; "$@"; }
for header in include/*.h; do
    compiler=${CC:-gcc} cxx=g++
    if grep -q '<mpi.h>' "$header"; then
        # mpi.h is the MPI's and not held to our warnings.
        flags=$("${MPICC:-mpicc}" -show | tr ' ' '\n' | sed -n 's/^-I/-isystem /p')
    else
        flags=
    fi
    try "$compiler" -std=c99 -x c $strict $flags "$header"
    try "$compiler" -std=c11 -x c -Wstrict-prototypes $strict $flags "$header"
    if command -v $cxx >/dev/null; then
        try $cxx -std=c++11 -x c++ $strict $flags "$header"
    fi
done
# ronde.h needs nothing but these two.
includes=$(sed -n 's/^ *# *include *//p' include/ronde.h | sort | tr '\n' ' ')
[ "$includes" = "<stddef.h> <stdint.h> " ] || { echo "ronde.h includes $includes" >&2; exit 1; }
includes=$(sed -n 's/^ *# *include *//p' include/ronde_train.h)
[ "$includes" = '"ronde.h"' ] || { echo "ronde_train.h includes $includes" >&2; exit 1; }
command -v g++ >/dev/null || { echo "no g++ here: not compiled as C++" >&2; exit 77; }
