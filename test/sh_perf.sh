#!/bin/sh
# ronde-test: timeout=150
# ronde-perf measures every collective with right results and rows that programs can read; it and
# ronde-info refuse what they cannot use by its name; ronde-info shows every setting.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
perf=$BUILD/bin/ronde-perf info=$BUILD/bin/ronde-info
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "sh_perf: $*" >&2; exit 1; }

# ---- rows ------------------------------------------------------------------------------------
run() { # name arguments of ronde-perf
    json=$scratch/$1.json
    shift
    tools/mpirun.sh -np 2 "$perf" "$@" --json "$json" >"$scratch/out" 2>&1 ||
        { cat "$scratch/out" >&2; fail "ronde-perf $* ended badly"; }
}
fast="-n 3 -w 2 --batch 2 --impl ronde,mpi --path both --memory both"
for collective in allreduce broadcast allgather; do
    # shellcheck disable=SC2086
    run $collective $collective -b 4 -e 64K -f 16 $fast
    # shellcheck disable=SC2086
    run $collective-in-place $collective -b 4K -e 12K -i 4K $fast --in-place -r 1
done
for op in average min max prod; do
    run "$op" allreduce -b 60 -e 60 -n 3 -w 0 -o $op --path both --memory both
done
for dtype in bool uint8 int16 int64 half bfloat16 double; do
    run $dtype allreduce -b 4000 -e 4000 -n 3 -w 0 -d $dtype --path both --memory both
done
printf '# a comment\nfirst 1000\nsecond 3 # and one\n' >"$scratch/list \"x\""
# shellcheck disable=SC2086
run file steps --list "$scratch/list \"x\"" $fast
# shellcheck disable=SC2086
run many steps --list 100x1K $fast
few="-n 3 -w 2 --batch 2"
# shellcheck disable=SC2086
run floor allreduce -b 4 -e 4M -f 64 $few --impl ronde,floor --path direct
# shellcheck disable=SC2086
run floor-steps steps --list 10x1000 $few --impl floor

# shellcheck disable=SC2086
run algo allreduce -b 4K -e 64K -f 16 $few --path direct --algo default,ring,spread,flood \
    --wire as-is,bfloat16 --settings ranks_per_node=1

# ---- gloo, where it was built --------------------------------------------------------------------
gloo=$BUILD/lib/ronde-perf-gloo.so
if [ -e "$gloo" ]; then
    for collective in allreduce broadcast allgather; do
        # shellcheck disable=SC2086
        run gloo-$collective $collective -b 4 -e 1M -f 64 $few --impl mpi,gloo
    done
    for op in min max prod; do
        run gloo-$op allreduce -b 4004 -e 4004 -n 3 -w 0 -d int64 -o $op --impl gloo
    done
    # shellcheck disable=SC2086
    run gloo-in-place allreduce -b 4004 -e 4004 $few --impl gloo --in-place
    # shellcheck disable=SC2086
    run gloo-steps steps --list 10x1000 $few --impl gloo
else
    echo "sh_perf: NOT TESTED: gloo (no $gloo: libgloo-dev is not installed)" >&2
fi

python3 - "$scratch" <<'PYTHON' || fail "rows are not as they should be"
import json, pathlib, sys

common = {"impl", "op", "dtype", "redop", "path", "memory", "ranks", "hosts", "bytes",
          "time_us_min", "time_us_p50", "time_us_p99", "algbw_gbs", "busbw_gbs", "wrong"}
folder = pathlib.Path(sys.argv[1])
for path in folder.glob("*.json"):
    rows = json.loads(path.read_text())
    assert rows, path
    for row in rows:
        steps = row["op"] == "steps"
        assert path.stem == "algo" or not {"algo", "wire"} & set(row), row
        assert set(row) - {"algo", "wire"} == common | {"list" if steps else "count"}, row
        assert row["wrong"] == 0 and row["ranks"] == 2 and row["hosts"] == 1, row
        assert 0 < row["time_us_min"] <= row["time_us_p50"] <= row["time_us_p99"], row
        factor = {"broadcast": 1, "allgather": 0.5}.get(row["op"], 1)
        assert abs(row["busbw_gbs"] - factor * row["algbw_gbs"]) <= 1e-4 * row["algbw_gbs"], row
    seen = {(row["impl"], row["path"], row["memory"]) for row in rows}
    if path.stem == "allreduce":
        assert seen == {("mpi", "direct", "private")} | {
            ("ronde", p, m) for p in ("named", "direct") for m in ("arena", "private")}, seen
        assert {row["bytes"] for row in rows} == {4, 64, 1024, 16384}, rows
    if path.stem == "algo":
        ways = [(row["bytes"], row["algo"], row.get("wire")) for row in rows]
        assert sorted(ways, key=str) == sorted(
            ((size, algo, wire) for size in (4096, 65536) for wire in (None, "bfloat16")
             for algo in ("default", "ring", "spread", "flood")), key=str), ways
    if path.stem == "floor":
        assert seen == {("ronde", "direct", "private"), ("floor", "copy", "private"),
                        ("floor", "stream", "private")}, seen
        # A copy of 256 bytes is faster than one of 1 MiB, or it is no copy.
        floor = {row["bytes"]: row["time_us_p50"] for row in rows if row["impl"] == "floor"}
        assert floor[1 << 20] > 5 * floor[256], floor
    if path.stem in ("gloo-allreduce", "gloo-broadcast", "gloo-allgather"):
        assert seen == {("mpi", "direct", "private"), ("gloo", "direct", "private")}, seen
    if path.stem == "gloo-steps":
        assert seen == {("gloo", "each", "private"), ("gloo", "flat", "private")}, seen
    if path.stem == "many":
        assert {("ronde", "named", "arena"), ("ronde", "flat", "private"),
                ("mpi", "each", "private"), ("mpi", "flat", "private")} <= seen, seen
        assert {row["bytes"] for row in rows} == {102400}, rows
    if path.stem == "file":
        assert rows[0]["list"].endswith('list "x"') and rows[0]["bytes"] == 4012, rows
PYTHON

# ---- the list ----------------------------------------------------------------------------------
"$perf" steps --list resnet50 --show-list >"$scratch/resnet50"
grep -v '^#' benchmarks/lists/resnet50.txt | cmp - "$scratch/resnet50" ||
    fail "benchmarks/lists/resnet50.txt is not the list that is compiled in"
awk '{ n += $2 } END { exit !(NR == 161 && n == 25557032) }' "$scratch/resnet50" ||
    fail "ResNet-50 has 161 tensors of 25557032 elements"

# ---- refusals ------------------------------------------------------------------------------------
refuses() { # what the message names, then a command
    named=$1 status=0
    shift
    "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    case $status in 1 | 2) ;; *) fail "$* ended with $status" ;; esac
    grep -q -e "$named" "$scratch/err" || { cat "$scratch/err" >&2; fail "$* did not name $named"; }
}
refuses "name a collective" "$perf"
refuses "alltoall" "$perf" alltoall
refuses "12Q" "$perf" allreduce -b 12Q
refuses "minbytes" "$perf" allreduce -b -4
refuses "64.*16" "$perf" allreduce -b 64 -e 16
refuses "xor" "$perf" allreduce -o xor
refuses "float12" "$perf" allreduce -d float12
refuses "root 7" "$perf" broadcast -r 7
refuses "sideways" "$perf" allreduce --path named,sideways
refuses "heap" "$perf" allreduce --memory heap
refuses "floor" "$perf" allgather --impl floor
refuses "in-place" "$perf" allreduce --in-place --impl floor
refuses "rung.*ring" "$perf" allreduce --algo ring,rung
for empty in "" ring, ring,,flood; do
    refuses "empty name" "$perf" allreduce --algo "$empty"
done
refuses "allreduce alone" "$perf" broadcast --algo ring
refuses "one context's" "$perf" allreduce --algo ring --memory both
refuses "float64" "$perf" allreduce -d float64 --wire float16
if [ -e "$gloo" ]; then
    refuses "gloo.*float32" "$perf" allreduce -d half --impl gloo
    refuses "gloo.*sum" "$perf" allreduce -o average --impl gloo
fi
mkdir "$scratch/bin"
cp "$perf" "$scratch/bin"
refuses "libgloo-dev" "$scratch/bin/ronde-perf" allreduce --impl gloo
refuses "--frobnicate" "$perf" allreduce --frobnicate
refuses "--json" "$perf" allreduce --json
refuses "no-such-folder" "$perf" allreduce --json "$scratch/no-such-folder/x.json"
refuses "no-such-list" "$perf" steps --list no-such-list
refuses "bfloat16" "$perf" allreduce -d bfloat16 --impl mpi
refuses "slots" "$perf" allreduce --settings slots=none
refuses "slots" "$info" --settings slots=none
refuses "extra" "$info" extra
"$perf" --help | grep -q -e --memory || fail "ronde-perf --help says too little"

# ---- ronde-info -------------------------------------------------------------------------------
RONDE_SLOTS=8 "$info" --settings log=error >"$scratch/info"
grep -q '^Ronde [0-9]' "$scratch/info" && grep -q '^MPI [0-9]' "$scratch/info" ||
    fail "ronde-info prints no versions"
for name in $(sed -n 's/^ *{"\([a-z_]*\)", AT(.*/\1/p' src/base/settings.c); do
    grep -q "\b$name\b" "$scratch/info" || fail "ronde-info does not print the setting $name"
done
grep '\bslots\b' "$scratch/info" | grep -q '\b8\b.*environment' || fail "slots is not 8"
grep '\blog\b' "$scratch/info" | grep -q '\berror\b.*options' || fail "log is not error"
tools/mpirun.sh -np 3 "$info" >"$scratch/info3" || fail "ronde-info ended badly under mpirun"
[ "$(grep -c '^Ronde [0-9]' "$scratch/info3")" = 1 ] || fail "more than one rank printed"
