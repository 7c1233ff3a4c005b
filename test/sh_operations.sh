#!/bin/sh
# ronde-test: timeout=240
# docs/operations.md tells the truth: its programs are the files of docs/examples, each compiles
# with no warning against the public headers alone and prints on one node and on several what it
# says it prints; no public function or status is left out; and the man pages are well-formed.
#   test/sh_operations.sh --update   copies the files' text into the document
#   test/sh_operations.sh NAME...    builds and runs these examples only
set -eu
cd "$(dirname "$0")/.."
top=$PWD
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c '' 2>/dev/null; then python=$candidate && break; fi
done
[ -n "$python" ] || { echo "no python3 here" >&2; exit 77; }

# A program in the document stands between "```c" and "```", below a line that links to its file.
"$python" - "${1:-}" <<'PY'
import pathlib, re, sys

page = pathlib.Path("docs/operations.md")
text = page.read_text()
block = re.compile(r"^\[`examples/(\w+\.c)`\]\(examples/\1\):\n\n```c\n(.*?)^```$", re.M | re.S)
wrong, shown = [], []


def replacement(found):
    name, inside = found.groups()
    file = page.parent / "examples" / name
    shown.append(name)
    if not file.is_file():
        wrong.append(f"{file} is shown, but is not there")
        return found.group(0)
    if file.read_text() == inside:
        return found.group(0)
    if sys.argv[1] != "--update":
        wrong.append(f"{file} is shown with another text: test/sh_operations.sh --update")
    return f"[`examples/{name}`](examples/{name}):\n\n```c\n{file.read_text()}```"


updated = block.sub(replacement, text)
if sys.argv[1] == "--update":
    page.write_text(updated)
if text.count("\n```c\n") != len(shown):
    wrong.append("a program in the document is not below a line that links to its file")
for file in sorted((page.parent / "examples").glob("*.c")):
    if shown.count(file.name) != 1:
        wrong.append(f"{file} is shown {shown.count(file.name)} times")
headers = [pathlib.Path("include", name).read_text() for name in ("ronde.h", "ronde_mpi.h")]
functions = re.findall(r"^[a-z].*?\b(ronde_\w+)\(", "".join(headers), re.M)
statuses = re.findall(r"^    (RONDE_(?:OK|PENDING|ERR_\w+)) = ", headers[0], re.M)
if len(functions) < 30 or len(statuses) < 10:
    wrong.append("the headers were not understood")
prose = block.sub("", updated)
wrong += [f"{name} is not mentioned" for name in functions + statuses
          if not re.search(rf"\b{name}\b", prose)]
print("\n".join(wrong), end="\n" if wrong else "")
sys.exit(bool(wrong))
PY
[ "${1:-}" != --update ] || exit 0

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Below "/* prints (mpirun -np N):" stands what N ranks print together, lines in any order.
expected() { # FILE N
    awk -v head="/* prints (mpirun -np $2):" '
        $0 == head { inside = 1; next }
        inside { last = sub(/ \*\/$/, ""); sub(/^ \* /, ""); print; if (last) exit }' "$1" | sort
}

run() { # NAME N RANKS_PER_NODE
    (cd "$scratch" && RONDE_RANKS_PER_NODE=$3 timeout 30 "$top/tools/mpirun.sh" -np "$2" \
        "./$1" >printed 2>said) || {
        cat "$scratch/printed" "$scratch/said" >&2
        fail "$1 with $2 ranks, $3 on a node (0: all)"
    }
    sort "$scratch/printed" | diff "$scratch/expected" - >&2 ||
        fail "$1 with $2 ranks, $3 on a node (0: all), prints something else"
}

export LC_ALL=C
for file in docs/examples/*.c; do
    name=$(basename "$file" .c)
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    compiler=${CC:-gcc}
    ! grep -q 'ronde_mpi.h' "$file" || compiler=${MPICC:-mpicc}
    # shellcheck disable=SC2086
    "$compiler" -pthread ${WARNINGS:--Wall -Wextra} -Werror -Iinclude "$file" -o "$scratch/$name" \
        -L"$BUILD/lib" -Wl,-rpath,"$BUILD/lib" -lronde || fail "$file does not compile"
    numbers=$(sed -n 's|^/\* prints (mpirun -np \([0-9]*\)):$|\1|p' "$file")
    [ -n "$numbers" ] || fail "$file does not say what it prints"
    for np in $numbers; do
        expected "$file" "$np" >"$scratch/expected"
        [ -s "$scratch/expected" ] || fail "$file says nothing of what $np ranks print"
        run "$name" "$np" 0
        run "$name" "$np" $((np / 2))
    done
    echo "$name: as it says"
done

# Pages for the reader of `man`, each of the form that its formatter expects.
for page in docs/man/*.[17]; do
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning "$page" >"$scratch/said" 2>&1 || :
    elif groff -mdoc -T utf8 "$page" >"$scratch/page" 2>/dev/null; then
        groff -mdoc -T utf8 -ww -z "$page" >"$scratch/said" 2>&1 || :
        [ "$(wc -l <"$scratch/page")" -gt 20 ] || fail "$page has less than twenty lines"
    else
        echo "no mandoc, nor groff with -mdoc: the form of the man pages was not looked at"
        break
    fi
    [ ! -s "$scratch/said" ] || { cat "$scratch/said" >&2; fail "$page is not well-formed"; }
    echo "$page: well-formed"
done

# Every long option that a program's --help tells of is in its page, and no other.
for page in docs/man/*.1; do
    program=$(basename "$page" .1)
    for path in "$BUILD/bin/$program" "programs/$program" ''; do [ ! -x "$path" ] || break; done
    [ -n "$path" ] || fail "there is a page for $program, but no program"
    case $(head -c 2 "$path") in '#!') set -- "$python" "$path" ;; *) set -- "$path" ;; esac
    "$@" --help | grep -oE -- '(^|[ ,[])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u \
        >"$scratch/told"
    grep -oE -- 'Fl -[a-z-]+' "$page" | sed 's/Fl /-/' | sort -u >"$scratch/written"
    [ -s "$scratch/told" ] || fail "$program --help tells of no option"
    diff "$scratch/told" "$scratch/written" >&2 || fail "$page and $program --help differ"
done
