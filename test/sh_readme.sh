#!/bin/sh
# ronde-test: timeout=60
# The first C program of README.md does what a reader expects: it compiles as it stands, with no
# warning, against the public headers alone, and runs on two ranks.
set -eu
cd "$(dirname "$0")/.."
[ -f README.md ] || { echo "no README.md here" >&2; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md >"$scratch/readme.c"
[ -s "$scratch/readme.c" ] || { echo "README.md holds no C program" >&2; exit 1; }
"${MPICC:-mpicc}" -Wall -Wextra -Werror -Iinclude "$scratch/readme.c" -o "$scratch/readme" \
    -L"$BUILD/lib" -Wl,-rpath,"$BUILD/lib" -lronde
tools/mpirun.sh -np 2 "$scratch/readme"
