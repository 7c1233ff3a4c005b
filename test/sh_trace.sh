#!/bin/sh
# ronde-test: timeout=120
# ronde-trace says of known timelines what is in them, draws pictures that are whole and safe whatever
# the tensors are called, sees events whose order cannot be, and names the files it cannot use.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
trace=$PWD/programs/ronde-trace
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "sh_trace: $*" >&2; exit 1; }

# Three ranks, five steps, two tensors: see demo_use in unit_timeline.c.
mkdir "$scratch/good" "$scratch/reversed"
"$BUILD/test/unit_timeline" --demo "$scratch/good"
"$BUILD/test/unit_timeline" --demo "$scratch/reversed" reversed

# ---- what it prints ----------------------------------------------------------------------------
report=$scratch/report
"$trace" "$scratch"/good/rank.*.json --html "$scratch/out.html" --svg "$scratch/out.svg" \
    --merge "$scratch/out.json" >"$report" || fail "ended with $? on good files"
prints() { # words, with any number of blanks between them
    tr -s ' ' <"$report" | sed 's/^ //' | grep -qxF -e "$1" ||
        { cat "$report" >&2; fail "did not print: $1"; }
}
prints "3 ranks, 270 events, 43.800 ms"
for row in "0 OPERATION 10 31.000 15.500 35.4% 3100.0 3900.0" "1 OPERATION 10 30.000 15.000 34.2% 3000.0 3800.0" \
    "2 NEGOTIATE 10 25.990 12.995 29.7% 2599.0 2999.0" "0 QUEUE 10 1.000 0.500 1.1% 100.0 100.0" \
    "0 PACK 10 1.000 0.500 1.1% 100.0 100.0" "1 SEND 10 1.000 0.500 1.1% 100.0 100.0" \
    "2 RECV 10 2.000 1.000 2.3% 200.0 200.0" "1 REDUCE 10 1.000 0.500 1.1% 100.0 100.0" \
    "2 UNPACK 10 1.000 0.500 1.1% 100.0 100.0" \
    "allreduce head 15 4096 47.000 3133.3 3900.0 36.485 1.500 9.015 0" \
    "0 4 14.800 1900.0 12.800" "1 4 16.000 2100.0 11.800" "2 2 8.600 2200.0 14.800" \
    "allreduce head 2 2 4.300 2200.0" "30 messages and 10 uses checked" "no contradiction" \
    "clocks agree within 7.0 us: smaller differences between ranks say nothing"; do
    prints "$row"
done
"$trace" --top 1 "$scratch"/good/rank.*.json >"$report"
[ "$(grep -c "broadcast </script>" "$report")" = 0 ] || fail "--top 1 lists more than one"

# A merged file is as good as its parts, and one rank alone is a trace too.
"$trace" "$scratch/out.json" >"$report"
prints "1 4 16.000 2100.0 11.800"
"$trace" "$scratch/good/rank.2.json" >"$report"
prints "1 rank, 90 events, 43.700 ms"
"$trace" "$scratch/good/rank.2.json" | head -n 1 >/dev/null

# ---- what it draws -----------------------------------------------------------------------------
python3 - "$scratch" <<'PYTHON' || fail "its pictures are not as they should be"
import json, pathlib, sys
import xml.etree.ElementTree as xml
folder = pathlib.Path(sys.argv[1])
name = "</script>]]> \"q\" & 'a' <b> \u00e9 \\"
merged = json.loads((folder / "out.json").read_text(encoding="utf-8"))
assert {event["pid"] for event in merged} == {0, 1, 2}
assert sum(event["ph"] == "b" for event in merged) == 90
svg = xml.parse(folder / "out.svg").getroot()
rects = svg.findall(".//{http://www.w3.org/2000/svg}rect/{http://www.w3.org/2000/svg}title")
assert len(rects) == 3 * 8 * 5 and rects[0].text == "OPERATION: 2 events, 1900.0 us", rects[0].text
page = xml.parse(folder / "out.html").getroot()
script = page.find(".//script").text
assert name not in script
begin = script.index("const data = ") + len("const data = ")
data = json.loads(script[begin:script.index(";\n", begin)])
assert name in data["names"] and data["span"] == 43800000
assert [rank["rank"] for rank in data["ranks"]] == [0, 1, 2]
for text in (folder / "out.html", folder / "out.svg"):  # nothing from elsewhere
    text = text.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http:" not in text and "https:" not in text and "src=" not in text
PYTHON

# The page's script, where there is something to run it: it draws, zooms, moves, folds, and tells
# what is under the pointer.
if command -v node >/dev/null; then
    cat >"$scratch/page.js" <<'NODE'
const page = require("fs").readFileSync(process.argv[2], "utf8");
const handlers = {}, elements = {}, tips = new Set();
let rectangles = 0;
const pen = new Proxy({}, { get: (_, key) => key === "fillRect" ? (x, y, w, h) => {
    if (!(w >= 0 && h >= 0 && x >= 0)) throw Error("rectangle " + [x, y, w, h]);
    rectangles++;
} : () => {} });
const element = id => ({ style: {}, value: "", offsetTop: 36, offsetWidth: 9, offsetHeight: 9,
    classList: { toggle: () => true }, append() {}, getContext: () => pen,
    addEventListener: (type, f) => { handlers[id + type] = f; } });
global.document = { createElement: element, getElementById: id => elements[id] = elements[id] || element(id) };
global.window = Object.assign(element("window"), { innerWidth: 1400, innerHeight: 700 });
(0, eval)(page.match(/<script>([^]*?)<\/script>/)[1]);
const fire = (what, event) => handlers[what](Object.assign({ preventDefault() {}, target: elements.view }, event));
const point = () => {
    for (let y = 0; y < 700; y += 5)
        for (let x = 0; x < 1400; x += 9) {
            fire("viewmousemove", { offsetX: x, offsetY: y, clientX: x, clientY: y });
            tips.add(elements.tip.textContent);
        }
};
if (rectangles < 150) throw Error("only " + rectangles + " rectangles");
point();
for (const key of "wwdaws+-") fire("windowkeydown", { key });
fire("viewwheel", { ctrlKey: true, deltaY: -900, offsetX: 700 });
fire("viewwheel", { shiftKey: true, deltaY: 50 });
fire("viewwheel", { deltaY: 50 });
point();
elements.all.onclick();
fire("viewmousedown", { offsetX: 20, offsetY: 30 });
fire("windowmouseup", { offsetX: 20, offsetY: 30 });
elements.find.value = "HEAD";
fire("findinput", {});
point();
if (![...tips].some(tip => /^SEND allreduce head\n100.000 us from .*\n4096 bytes, use 0\npeer: rank 1\nstamp: 1\nrank 0, ok$/.test(tip)))
    throw Error("no such tip among " + [...tips].join("\n\n"));
NODE
    node "$scratch/page.js" "$scratch/out.html" || fail "the page's script does not run"
fi

# ---- what was cut ------------------------------------------------------------------------------
# Wherever that is, also within a letter: the whole events are read and told, and merge.
python3 - "$scratch" "$trace" <<'PYTHON' || fail "does not read a file that was cut"
import json, pathlib, subprocess, sys
folder, trace = pathlib.Path(sys.argv[1]), sys.argv[2]
content = (folder / "good" / "rank.0.json").read_bytes()
lines = content.split(b"\n")
ends = [len(b"\n".join(lines[:n]).rstrip(b",")) for n in range(2, len(lines) - 1)]  # of objects
accent = content.index("\u00e9".encode()) + 1
cut, merged = folder / "cut.json", folder / "cut-merged.json"
places = {40, ends[0] - 1, ends[0], ends[0] + 1, ends[0] + 2, 3000, accent, len(content) // 2, ends[-1],
          len(content) - 3, *(ends[-2] + n for n in range(1, 240, 17))}
for at in sorted(place for place in places if place < len(content) - 2):
    cut.write_bytes(content[:at])
    said = subprocess.run([trace, cut, "--merge", merged], capture_output=True, text=True)
    whole = [json.loads(line.rstrip(b",")) for line in lines[1:1 + sum(end <= at for end in ends)]]
    if not whole:
        assert said.returncode == 2 and "was cut before it names its rank" in said.stderr, (at, said)
        continue
    events = sum(item["ph"] in "Xie" for item in whole)
    assert said.returncode == 0, (at, said)
    assert f"cut.json: was cut: {events} events are read" in said.stderr, (at, events, said.stderr)
    assert json.loads(merged.read_text()) == whole, at
PYTHON
"$trace" "$scratch/good/rank.1.json" 2>"$scratch/err" >/dev/null
[ ! -s "$scratch/err" ] || fail "says that a whole file was cut"

# ---- what it sees ------------------------------------------------------------------------------
status=0
"$trace" "$scratch"/reversed/rank.*.json --top 2 >"$report" || status=$?
[ $status = 1 ] || fail "ended with $status where messages came in before they were sent"
prints "contradiction: rank 1 received allreduce head from rank 0 1095.0 us before it was sent (at 13.400 ms)"
prints "contradiction: rank 1 received allreduce head from rank 0 with stamp 1, not after its sending's 1 (at 13.400 ms)"
prints "and 58 more"

# Timelines of three ranks where one started late, one has dropped events, and one failed.
python3 - "$scratch" <<'PYTHON'
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
def write(name, rank, spans, *more):
    items = [{"name": "ronde_rank", "ph": "M", "pid": rank, "args": {"rank": rank}}, *more]
    for use, (begin, end, status) in enumerate(spans):
        same = {"name": "BARRIER", "pid": rank, "id2": {"local": hex(use)}}
        arguments = {"tensor": "\u001b[2Jb", "kind": "barrier", "process_set": 4, "status": status}
        items += [{**same, "ph": "b", "ts": begin, "args": arguments}, {**same, "ph": "e", "ts": end}]
    (folder / name).write_text(json.dumps(items))
ok = "ok"
write("late0.json", 0, [(10, 20, ok), (30, 40, ok), (50, 60, "mismatch")])
write("late1.json", 1, [(35, 41, ok), (58, 61, "mismatch")])
write("late2.json", 2, [(19, 21, ok), (52, 62, "mismatch")],
      {"name": "dropped 7 events", "ph": "i", "pid": 2, "ts": 1, "args": {"count": 7}})
write("early0.json", 0, [(10, 20, ok)])
write("early1.json", 1, [(20.5, 30, ok)])
write("unclear1.json", 1, [(20.5, 30, ok)],
      {"name": "ronde_clock", "ph": "M", "pid": 1, "args": {"offset_ns": 0, "error_ns": 500}})
write("empty.json", 0, [])
PYTHON
"$trace" "$scratch"/late?.json >"$report" || fail "ended with $? where uses are missing"
prints "rank 2 recorded faster than its timeline could be written: 7 events are missing"
prints "barrier \\u001b[2Jb (process set 4) 7 0 0.051 7.3 10.0 0.000 0.000 0.051 3"
prints "0 0 0.000 0.0 0.022"
prints "1 2 0.019 8.0 0.000"
prints "2 1 0.009 9.0 0.006"
status=0
"$trace" "$scratch"/early?.json >"$report" || status=$?
[ $status = 1 ] || fail "ended with $status where one was done before the other began"
prints "contradiction: rank 0 was done with use 0 of barrier \\u001b[2Jb (process set 4) 0.5 us before rank 1 submitted it (at 0.021 ms)"
"$trace" "$scratch/early0.json" "$scratch/unclear1.json" >"$report" ||
    fail "did not grant the clocks their error"
"$trace" "$scratch/empty.json" --svg "$scratch/empty.svg" --html "$scratch/empty.html" \
    --merge "$scratch/empty-merged.json" >"$report" || fail "ended with $? on an empty trace"
prints "No events: nothing was running while the timeline was."
python3 -c 'import sys, xml.etree.ElementTree as x; [x.parse(f) for f in sys.argv[1:]]' \
    "$scratch/empty.svg" "$scratch/empty.html" || fail "pictures of an empty trace are broken"

# ---- what it refuses ---------------------------------------------------------------------------
refuses() { # what the message says, then arguments
    said=$1 status=0
    shift
    "$trace" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    [ $status = 2 ] || fail "$* ended with $status"
    grep -q -e "$said" "$scratch/err" || { cat "$scratch/err" >&2; fail "$* did not say $said"; }
}
bad=$scratch/bad.json good=$scratch/good/rank.0.json
refuses "the following arguments are required"
refuses "none.json: No such file" "$good" "$scratch/none.json"
refuses "good: Is a directory" "$scratch/good"
sed '9s/}//' "$good" >"$bad"
refuses "bad.json: is not valid JSON.*line .*edited" "$bad"
tail -c +3000 "$good" >"$bad"
refuses "bad.json: is not valid JSON" "$bad"
head -c 20 "$good" >"$bad"
refuses "bad.json: was cut before it names its rank" "$bad"
: >"$bad"
refuses "bad.json: is empty" "$bad"
printf '\377\376' >"$bad"
refuses "bad.json: is not text" "$bad"
echo '{"a": 1}' >"$bad"
refuses "bad.json: .*no list of events" "$bad"
echo '[{"name": "x", "ph": "X"}]' >"$bad"
refuses "bad.json: names no rank" "$bad"
rank='{"name": "ronde_rank", "ph": "M", "pid": 0, "args": {"rank": 0}}'
for object in '{"ph": "X", "pid": 0}=name. is missing' '{"name": "PACK", "ph": "X", "pid": 0, "ts": "soon", "dur": 1}=soon' \
    '{"name": "PACK", "ph": "X", "pid": 0, "ts": 1e999999, "dur": 1}=1e999999' '{"name": "DANCE", "ph": "X", "pid": 0, "ts": 1, "dur": 1}=DANCE' \
    '{"name": "PACK", "ph": "X", "pid": 0, "ts": 1, "dur": -1}=ends before' '{"name": "Q", "ph": "e", "pid": 0, "ts": 1, "id2": {"local": "0x1"}}=without having begun' \
    '{"name": "PACK", "ph": "X", "pid": 0, "ts": 1, "dur": 1, "args": {"bytes": "many"}}=bytes is .many' '{"name": "PACK", "ph": "X", "pid": 1, "ts": 1, "dur": 1}=which rank process 1 is' \
    '{"name": "?", "ph": "Z", "pid": 0}=type .Z' '{"name": "QUEUE", "ph": "b", "pid": 0, "ts": 1}=id2. is missing'; do
    echo "[$rank, ${object%=*}]" >"$bad"
    refuses "bad.json: object 2 is no event of a timeline: .*${object##*=}" "$bad"
done
refuses "is of rank 0, as .*rank.0.json is" "$good" "$good"
refuses "rank.0.json: is one of the files to be read" "$good" --merge "$good"
refuses "no-such-folder/x: No such file" "$good" --html "$scratch/no-such-folder/x"
refuses "0. is no number above 0" "$good" --top 0
"$trace" "$good" >/dev/null || fail "a file was spoilt"
