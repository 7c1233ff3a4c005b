#!/bin/sh
# ronde-test: timeout=60
# ronde-sim answers for 100 000 ranks in less than a second, writes rows that programs can read, says
# which model an answer is from, and refuses what it cannot use by its name.
set -eu
cd "$(dirname "$0")/.."
sim=${BUILD:-build}/bin/ronde-sim
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "sh_sim: $*" >&2; exit 1; }

limit=1 # s of CPU; sanitizers take several times as long
! grep -q -e __asan_init -e __tsan_init "$sim" || limit=10
(ulimit -t $limit && "$sim" allreduce --ranks 100000 --model formula --algo all --json "$scratch/large.json") \
    >"$scratch/large" || fail "100 000 ranks take longer than $limit s of CPU"
"$sim" allreduce --ranks 16 --ranks-per-node 2 --algo all --json "$scratch/small.json" >"$scratch/small"
"$sim" negotiate --ranks 8192 --ranks-per-node 8 --json "$scratch/control.json" >/dev/null
"$sim" select --ranks 64 -e 1M --json "$scratch/select.json" >/dev/null
python3 - "$scratch" <<'PYTHON' || fail "rows are not as they should be"
import json, pathlib, sys

read = lambda name: json.loads((pathlib.Path(sys.argv[1]) / (name + ".json")).read_text())
for name, models, nodes in ("large", ("formula", "node"), 100000), ("small", ("events",), 8):
    rows = read(name)
    algorithms = {"ring", "doubling", "circulant"} | ({"spread", "flood"} if nodes <= 16 else set())
    assert len(rows) == 10 * len(algorithms), rows
    assert {row["algo"] for row in rows} == algorithms, rows
    for row in rows:
        assert row["model"] in models and row["hosts"] == nodes, row
        assert 0 < row["share"] <= 1 and row["time_us"] >= row["bound_us"] > 0, row
        assert row["busbw_gbs"] <= 2 * row["algbw_gbs"], row
ring = [row for row in read("small") if row["algo"] == "ring" and row["bytes"] == 65536][0]
assert ring["bytes_per_link"] == 2 * 7 * 65536 // 8 and ring["messages_per_rank"] == 14, ring
round_, idle = read("control")
assert round_["messages"] == 2046 and round_["time_us"] > 0 and round_["messages_per_leader"] == 3
assert idle["job"] == "idle" and idle["messages"] == 0 and idle["time_us"] == 0, idle
for row in read("select"):
    assert row["slower_percent"] >= 0 and row[row["best"] + "_us"] <= row[row["chosen"] + "_us"], row
PYTHON

# What comes in shares a card, unless cards take in as fast as you like; connections share, or messages.
time_of() { "$sim" allreduce -b 1M -e 1M --json "$scratch/one.json" "$@" >/dev/null
    python3 -c 'import json, sys; print(int(json.load(open(sys.argv[1]))[0]["time_us"]))' "$scratch/one.json"; }
[ "$(time_of --ranks 3 --algo doubling --beta-in 0)" -lt "$(time_of --ranks 3 --algo doubling)" ] ||
    fail "--beta-in does nothing"
[ "$(time_of --ranks 8 --algo ring --sharing message)" -gt "$(time_of --ranks 8 --algo ring)" ] ||
    fail "--sharing does nothing"

# A table that always takes a ring is far off where tensors are small; the exit status says so.
"$sim" select --ranks 64 -b 1K -e 1K --rows 0-:doubling --within 10 >/dev/null ||
    fail "doubling is the best for 1 KiB"
! "$sim" select --ranks 64 -b 1K -e 1K --rows 0-:ring --within 10 >/dev/null ||
    fail "--within did not notice a ring for 1 KiB"

refuses() { # what the message names, then arguments
    named=$1 status=0
    shift
    "$sim" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    [ $status = 2 ] || fail "$* ended with $status"
    grep -q -e "$named" "$scratch/err" || { cat "$scratch/err" >&2; fail "$* did not name $named"; }
}
refuses "allreduce, negotiate, select" --ranks 4
refuses "gather" gather --ranks 4
refuses "ranks P" allreduce
refuses "whole nodes" allreduce --ranks 7 --ranks-per-node 2
refuses "'0'.*--ranks" allreduce --ranks 0
refuses "12Q" allreduce --ranks 4 -b 12Q
refuses "tree" allreduce --ranks 4 --algo tree
refuses "guess" allreduce --ranks 4 --model guess
refuses "alpha" allreduce --ranks 4 --alpha 5 --overhead 3
refuses "'-1'.*--beta" allreduce --ranks 4 --beta -1
refuses "frob" select --ranks 4 --rows 0-:frob
refuses "--frobnicate" allreduce --ranks 4 --frobnicate
refuses "several switches" allreduce --ranks 64 --model formula --switch 8
refuses "sharing" allreduce --ranks 4 --sharing evenly
refuses "no-such-folder" allreduce --ranks 4 --json "$scratch/no-such-folder/x.json"
"$sim" --help | grep -q -e --ranks-per-node || fail "ronde-sim --help says too little"
