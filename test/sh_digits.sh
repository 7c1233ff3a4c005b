#!/bin/sh
# ronde-test: timeout=120 sanitizers=address
# The demo keeps its promises: it learns to read digits, losses in float64 do not depend on the
# number of ranks, all ranks end with the same parameters, and data that are broken are refused with
# a sentence that names the file.
set -eu
cd "$(dirname "$0")/.."
digits=$BUILD/bin/digits
[ -x "$digits" ] || { echo "$digits is not built" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# ranks NP ARGUMENT...: what digits says goes to $scratch/out and $scratch/err. One rank needs no
# launcher (Open MPI's takes two seconds to notice that a program has failed).
ranks() {
    np=$1
    shift
    if [ "$np" -eq 1 ]; then
        "$digits" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    else
        tools/mpirun.sh -np "$np" "$digits" "$@" >"$scratch/out" 2>"$scratch/err"
    fi
}

says() { # TEXT: on standard output
    grep -qF -- "$1" "$scratch/out" || { cat "$scratch/out" >&2; fail "digits does not say: $1"; }
}

succeeds() { # NP ARGUMENT...
    ranks "$@" || { cat "$scratch/out" "$scratch/err" >&2; fail "digits with np $*"; }
}

refuses() { # TEXT NP ARGUMENT...
    text=$1
    shift
    if ranks "$@"; then fail "digits accepts np $*"; fi
    grep -qF -- "$text" "$scratch/err" || { cat "$scratch/err" >&2; fail "np $*: does not say: $text"; }
    [ "$(grep -c '^digits: ' "$scratch/err")" -eq 1 ] || fail "np $*: not said exactly once"
}

agrees() { # FILE FILE: as many losses, none further apart than 1e-9, none that is no number
    paste "$1" "$2" | awk '
        NF != 2 || $1 !~ /^[0-9.e+-]+$/ || $2 !~ /^[0-9.e+-]+$/ { bad = "line " NR ": " $0; exit }
        { d = $1 - $2; if (d < 0) d = -d; if (d > largest) largest = d }
        END {
            if (bad != "" || NR == 0 || largest > 1e-9) {
                print "losses differ: " bad " largest difference " largest " of " NR > "/dev/stderr"
                exit 1
            }
        }' || fail "the losses in $1 and $2"
}

"$digits" --check >"$scratch/out" || { cat "$scratch/out" >&2; fail "digits --check"; }
"$digits" --help | grep -q -- --losses || fail "digits --help"

# With the settings as they are, as `make demo` runs it.
succeeds 2
says "parameters identical on all ranks: yes"
awk '/^final test accuracy:/ { found = 1; exit $4 < 95 } END { if (!found) exit 1 }' "$scratch/out" ||
    fail "accuracy below 95 %: $(grep '^final' "$scratch/out")"

# One rank is the measure; 2 and 4 ranks have equal shares except in the last batch.
succeeds 1 --fp64 --epochs 3 --losses "$scratch/1"
says "compared with one rank:            identical"
[ "$(wc -l <"$scratch/1")" -eq 69 ] || fail "3 epochs of 23 steps wrote other than 69 losses"
accuracy=$(grep '^final' "$scratch/out")
for np in 2 4; do
    succeeds $np --fp64 --epochs 3 --losses "$scratch/$np"
    agrees "$scratch/1" "$scratch/$np"
    says "parameters identical on all ranks: yes"
    says "$accuracy"
done
succeeds 2 --fp64 --epochs 3 --private --losses "$scratch/private"
cmp "$scratch/2" "$scratch/private" || fail "private memory gives other bits than shared memory"

# Shares that are unequal or empty: 5 samples over 4 ranks, 2 over 3 (the last batch has 2 and 1).
for shares in 4:5 3:2; do
    for np in 1 ${shares%:*}; do
        succeeds $np --fp64 --epochs 1 --batch ${shares#*:} --lr 0.01 --hidden 16 --quiet \
            --no-reference --losses "$scratch/uneven$np"
        says "parameters identical on all ranks: yes"
    done
    agrees "$scratch/uneven1" "$scratch/uneven${shares%:*}"
done

# Wrong arguments are said once, whatever the number of ranks.
refuses "--epochs many: expected" 2 --epochs many
refuses "--nonsense" 1 --nonsense
refuses "$scratch/no/such" 1 --losses "$scratch/no/such/file"
refuses "$scratch/nothing/train-images-idx3-ubyte: No such file" 2 --data "$scratch/nothing"

# Broken copies of the data: fresh makes one, at_byte overwrites bytes in the middle.
images=$scratch/data/train-images-idx3-ubyte
labels=$scratch/data/train-labels-idx1-ubyte
fresh() {
    rm -rf "$scratch/data"
    mkdir "$scratch/data"
    cp examples/data/digits/*-ubyte "$scratch/data"
}
at_byte() { # FILE OFFSET OCTAL
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>"$scratch/dd"
}
fresh
head -c 5000 examples/data/digits/train-images-idx3-ubyte >"$images"
refuses "$images: has 4984 bytes after its header, which promises 91968" 1 --data "$scratch/data"
head -c 10 examples/data/digits/train-images-idx3-ubyte >"$images"
refuses "$images: ends within its header" 1 --data "$scratch/data"
fresh
at_byte "$images" 0 '\037\213'
refuses "$images: is compressed by gzip" 1 --data "$scratch/data"
fresh
at_byte "$images" 2 '\015'
refuses "(it starts with 0x00000d03 and claims 1437x8x8 elements of float32)" 1 --data "$scratch/data"
fresh
at_byte "$images" 4 '\377'
refuses "claims 4278191517x8x8 elements of uint8" 1 --data "$scratch/data"
fresh
at_byte "$labels" 108 '\012'
refuses "$labels: label 100 is 10, not a digit" 1 --data "$scratch/data"
fresh
cp "$scratch/data/t10k-labels-idx1-ubyte" "$labels"
refuses "$labels: has 360 labels for 1437 images" 1 --data "$scratch/data"

# A file of MNIST's shape, made up: 20 images of 28x28 (000, 024, 000, 034), each label twice.
rm -rf "$scratch/data"
mkdir "$scratch/data"
for part in train t10k; do
    { printf '\000\000\010\003\000\000\000\024\000\000\000\034\000\000\000\034'
        yes 0123456789abcdefghijkl | head -c $((20 * 28 * 28)); } \
        >"$scratch/data/$part-images-idx3-ubyte"
    { printf '\000\000\010\001\000\000\000\024'
        printf '\000\001\002\003\004\005\006\007\010\011%.0s' 1 2; } \
        >"$scratch/data/$part-labels-idx1-ubyte"
done
succeeds 2 --data "$scratch/data" --epochs 2
says "20 images for training, 20 for testing (the files' own split), 28x28 pixels"
says "parameters identical on all ranks: yes"

# Parts of different shapes do not go together.
cp examples/data/digits/t10k-* "$scratch/data"
refuses "has images of 8x8 pixels, while those for training have 28x28" 1 --data "$scratch/data"
