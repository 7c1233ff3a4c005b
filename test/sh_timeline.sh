#!/bin/sh
# ronde-test: timeout=120
# The timelines of real runs, on one node and on two pretended ones: ronde-trace merges them, finds
# every tensor and phase on every rank, pairs the messages, and finds no contradiction in the order of
# events; it draws its pictures; and the stamps grow along every chain of cause and effect.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
trace=$PWD/programs/ronde-trace
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "sh_timeline: $*" >&2; exit 1; }

# record PROGRAM RANKS RANKS_PER_NODE: its timelines are $scratch/run.*.json
record() {
    binary=$BUILD/test/$1
    [ -x "$binary" ] || fail "$binary is not built: make tests"
    rm -f "$scratch"/run.*
    RONDE_RANKS_PER_NODE=$3 RONDE_TIMELINE=$scratch/run \
        tools/mpirun.sh -np "$2" "$binary" >"$scratch/out" 2>&1 ||
        { cat "$scratch/out" >&2; fail "$1 did not pass on $2 ranks, $3 on a node"; }
}

report=$scratch/report
# read_them RANKS
read_them() {
    "$trace" "$scratch"/run.*.json --html "$scratch/out.html" --svg "$scratch/out.svg" \
        --merge "$scratch/out.json" >"$report" || { cat "$report" >&2; fail "$what: ended with $?"; }
    grep -q "^$1 ranks\{0,1\}, [1-9]" "$report" || { cat "$report" >&2; fail "$what: not $1 ranks"; }
    grep -q '^  no contradiction$' "$report" || { cat "$report" >&2; fail "$what: the order"; }
    if grep -q 'do not end in the file' "$report"; then fail "$what: spans do not end"; fi
    for file in out.html out.svg out.json; do
        [ -s "$scratch/$file" ] || fail "$what: no $file"
    done
}

# each PHASES RANKS: every rank has each of them.
each() {
    for phase in $1; do
        n=$(grep -cE "^ +[0-9]+  $phase +[1-9]" "$report" || :)
        [ "$n" = "$2" ] || { cat "$report" >&2; fail "$what: $phase on $n of $2 ranks"; }
    done
}

for program in ranks_order ranks_send_recv ranks_alltoall ranks_allgather ranks_sets; do
    what="$program on one node"
    record $program 3 0
    read_them 3
    each "OPERATION NEGOTIATE" 3
    if grep -qE '^ +[0-9]+  (UNPACK)' "$report"; then fail "$what: unpacked"; fi

    what="$program on two nodes"
    record $program 4 2
    read_them 4
    each "OPERATION NEGOTIATE" 4
    grep -qE '^  [1-9][0-9]* messages and [1-9][0-9]* uses checked$' "$report" ||
        { tail -n 4 "$report" >&2; fail "$what: messages without a partner"; }
    grep -qE '^  clocks agree within [0-9.]{1,6} us' "$report" ||
        { tail -n 4 "$report" >&2; fail "$what: the clocks"; }
done

what="allreduce on two nodes"
record ranks_allreduce 4 2
read_them 4
each "OPERATION NEGOTIATE QUEUE REDUCE EXCHANGE SEND RECV UNPACK" 4

# Whoever is done with a tensor has a smaller stamp than any rank that begins to run the next one: it
# must have told before. Here every tensor waits for the one before it, on all ranks.
python3 - "$scratch" <<'PYTHON' || fail "the stamps do not grow"
import collections, glob, json, sys
done, decided = collections.defaultdict(dict), collections.defaultdict(dict)
for path in glob.glob(sys.argv[1] + "/run.*.json"):
    counts, order = collections.Counter(), []
    for event in json.load(open(path)):
        arguments = event.get("args", {})
        if event["ph"] != "b" or not arguments.get("lamport") or arguments["status"] != "ok":
            continue
        phase = event["name"].startswith("NEGOTIATE_")
        if not phase and event["name"] == "QUEUE":
            continue
        key = arguments["tensor"], counts[phase, arguments["tensor"]]
        counts[phase, arguments["tensor"]] += 1
        (decided if phase else done)[key].setdefault(event["pid"], arguments["lamport"])
keys = [key for key in done if len(done[key]) == 4 == len(decided[key])]
assert len(keys) > 100, len(keys)
for key in keys:
    for rank, stamp in done[key].items():
        assert decided[key][rank] < stamp, (key, rank)
    if (key[0], key[1] + 1) in decided:  # nobody decides on a use before all are done with the last
        later = decided[key[0], key[1] + 1].values()
        assert max(done[key].values()) < min(later), (key, done[key], list(later))
PYTHON
