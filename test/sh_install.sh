#!/bin/sh
# ronde-test: timeout=120
# What `make install` puts down is complete: a stranger's program finds it with pkg-config, links,
# carries the soname, and runs on two ranks.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
unset MAKEFLAGS MAKELEVEL MFLAGS
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# DESTDIR goes before everything and is mentioned nowhere.
make install DESTDIR="$scratch/stage" PREFIX=/opt/ronde >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
! grep -r "$scratch" "$scratch/stage/opt/ronde/lib/pkgconfig"
grep -q '^prefix=/opt/ronde$' "$scratch/stage/opt/ronde/lib/pkgconfig/ronde.pc"

prefix=$scratch/prefix
make install PREFIX="$prefix" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
find "$prefix" -type f -o -type l | sed "s|$prefix/|installed: |" | sort
cat >"$scratch/stranger.c" <<'C'
#include <ronde.h>
#include <stdio.h>

int main(void)
{
    ronde_context *context = NULL;
    double mine, sum = 0;
    int size;
    if (ronde_open(NULL, &context) != RONDE_OK) {
        fprintf(stderr, "%s\n", ronde_last_error());
        return 1;
    }
    size = ronde_size(context);
    mine = ronde_rank(context) + 1;
    if (ronde_allreduce(context, "mine", &mine, &sum, 1, RONDE_FLOAT64, RONDE_SUM, NULL) != RONDE_OK)
        fprintf(stderr, "%s\n", ronde_last_error());
    ronde_close(&context);
    return !(size == 2 && sum == 3);
}
C
cd "$scratch"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
if command -v pkg-config >/dev/null; then
    flags=$(pkg-config --cflags --libs ronde)
    [ "$(pkg-config --modversion ronde).x" != .x ]
else
    flags="-I$prefix/include -L$prefix/lib -lronde"
fi
# shellcheck disable=SC2086
"${CC:-gcc}" stranger.c $flags -o stranger
objdump -p "$prefix/lib/libronde.so" | grep -q 'SONAME *libronde.so.0$'
objdump -p stranger | grep -q 'NEEDED *libronde.so.0$'
LD_LIBRARY_PATH=$prefix/lib "$top/tools/mpirun.sh" -np 2 ./stranger

# Nor does it take a C compiler that knows of MPI to link the archive.
if command -v pkg-config >/dev/null; then
    # shellcheck disable=SC2046
    "${CC:-gcc}" stranger.c -I"$prefix/include" "$prefix/lib/libronde.a" \
        $(pkg-config --static --libs ronde | sed 's/-lronde//') -o stranger_static
    "$top/tools/mpirun.sh" -np 2 ./stranger_static
fi
"$prefix/bin/ronde-info" >/dev/null

# Each program has its page, and each page is where man looks for it.
for program in "$prefix"/bin/*; do
    name=$(basename "$program")
    [ -s "$prefix/share/man/man1/$name.1" ] || { echo "$name has no manual page" >&2; exit 1; }
done
[ -s "$prefix/share/man/man7/ronde.7" ]

# What the library records, the installed program reads.
RONDE_TIMELINE=$scratch/t LD_LIBRARY_PATH=$prefix/lib "$top/tools/mpirun.sh" -np 2 ./stranger
if command -v python3 >/dev/null; then
    "$prefix/bin/ronde-trace" "$scratch"/t.*.json | grep -q 'allreduce mine'
fi
