#!/bin/sh
# ronde-test: timeout=30
# Includes go strictly down the house: base < reduce, net < shm < collectives, fusion < coordinator <
# context. mpi.h is for src/net and src/preload, CUDA for src/cuda, and src/train knows the public
# headers only.
set -eu
cd "$(dirname "$0")/.."
may_include() { # room
    case $1 in
    base) echo "" ;;
    reduce | net | cuda) echo "base" ;;
    shm) echo "base net" ;;
    collectives) echo "base reduce net shm" ;;
    fusion) echo "base reduce shm" ;;
    communicator) echo "base reduce net shm collectives fusion" ;;
    coordinator) echo "base reduce net shm collectives fusion communicator" ;;
    preload) echo "base reduce net shm collectives" ;;
    train) echo "" ;;
    src) echo "base reduce net shm collectives fusion communicator coordinator" ;;
    *) echo "nothing is said about room $1" >&2; return 1 ;;
    esac
}

failed=0
complain() { echo "$*" >&2; failed=1; }
for file in $(find src -name '*.[ch]'); do
    room=$(basename "$(dirname "$file")")
    allowed=" $room $(may_include "$room") "
    for header in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
        case $header in
        ronde.h) continue ;;
        ronde_*.h) # what a room implements of the public headers
            case $room in net | src | train) continue ;; esac
            complain "$file includes $header, which only src/net, src/*.c and src/train may"
            continue ;;
        */*) from=${header%%/*} ;;
        *) from=src ;;
        esac
        [ "$room/$from" != train/train ] || continue
        case $allowed in
        *" $from "*) ;;
        *) complain "$file includes $header: $room may include$allowed" ;;
        esac
    done
    if [ "$room" != net ] && [ "$room" != preload ] && grep -q '^ *# *include *<mpi.h>' "$file"; then
        complain "$file includes mpi.h, which only src/net and src/preload may"
    fi
    if [ "$room" != cuda ] && grep -qE '^ *# *include *<(cuda|nccl)' "$file"; then
        complain "$file includes CUDA's headers, which only src/cuda may"
    fi
done
inside='^ *# *include *"(base|reduce|net|shm|collectives|fusion|communicator|coordinator|preload)/'
for file in $(find examples benchmarks/perf.c benchmarks/perf benchmarks/info.c -name '*.[ch]' 2>/dev/null); do
    if grep -qE "$inside" "$file"; then
        complain "$file includes the library's inside: users' programs know include/ only"
    fi
done
exit $failed
