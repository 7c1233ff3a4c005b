#!/bin/sh
# ronde-test: timeout=300
# The kernels on aarch64: unit_reduce, cross-compiled and run by qemu, passes there and has the same
# bits in all results as here.
set -eu
cross=${CROSS_CC:-aarch64-linux-gnu-gcc} qemu=
skip() { echo "the kernels were not run on aarch64: $*"; exit 77; }
for name in qemu-aarch64 qemu-aarch64-static; do
    ! command -v "$name" >/dev/null || qemu=$name
done
case $(uname -m) in aarch64) skip "this machine is one, so unit_reduce did that" ;; esac
command -v "$cross" >/dev/null || skip "no $cross (gcc-aarch64-linux-gnu)"
[ "$qemu" ] || skip "no qemu-aarch64 (qemu-user)"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
echo 'int main(void) { return 0; }' >"$place/nothing.c"
"$cross" -static -o "$place/nothing" "$place/nothing.c" 2>/dev/null ||
    skip "$cross links nothing (libc6-dev-arm64-cross)"
# As the Makefile has it.
"$cross" -std=c11 -D_GNU_SOURCE -pthread -ffp-contract=off -O2 -Iinclude -Isrc -static \
    -o "$place/unit_reduce" test/unit_reduce.c test/check.c src/reduce/*.c src/base/cpu.c \
    src/base/cgroup.c src/base/status.c src/base/dtype.c -lm
here=$("$BUILD/test/unit_reduce" digest) || { echo "unit_reduce fails here" >&2; exit 1; }
there=$("$qemu" "$place/unit_reduce" digest) || { echo "unit_reduce fails on aarch64" >&2; exit 1; }
if [ -z "$here" ] || [ "$here" != "$there" ]; then
    echo "the digest of all results is $here here and $there on aarch64" >&2
    exit 1
fi
