#!/bin/bash
# Holds ronde-sim against SimGrid SMPI, in which the library's executor and schedules run
# (benchmarks/smpi/allreduce.c). Prints a row per case, and the largest difference.
#
#   smpi.sh [--ranks "64 256 1024"] [--algo "ring doubling"] [--bytes "1024 ..."] [--within PERCENT]
#           [--alpha US] [--beta NS_PER_BYTE] [--eager BYTES] [--early 0|1] [--sharing HOW]
#
# The machine: one rank a host, hosts on one switch that is never full, full-duplex cards. Without
# --algo, all allreduces. Longer messages than --eager (64 KiB) leave when their receive is posted,
# after an offer and its answer: SMPI knows no offers, so three latencies say that. Shorter ones
# leave at once, as MPI's do (--early 1); --early 0: in SMPI when their receive is posted.
# --sharing is ronde-sim's: message, which is what SMPI does.
#
# Exit status: 1 where a case differs by more than --within; 77, with a line that says why, where
# there is no SimGrid (Debian: libsimgrid-dev); 2 for a wrong call. ronde-sim is built: make.
set -eu
usage() { echo "smpi.sh: $* (see the top of $0)" >&2; exit 2; }
ranks="64 256 1024" algos= within=10 alpha=50 beta=8 eager=65536 early=1 sharing=message
bytes="1024 16384 262144 1048576 4194304 16777216"
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || usage "$1 needs a value"
    case $1 in
    --ranks) ranks=$2 ;;
    --algo) algos=$2 ;;
    --bytes) bytes=$2 ;;
    --within) within=$2 ;;
    --alpha) alpha=$2 ;;
    --beta) beta=$2 ;;
    --eager) eager=$2 ;;
    --early) early=$2 ;;
    --sharing) sharing=$2 ;;
    *) usage "unknown option $1" ;;
    esac
    shift 2
done
for tool in smpicc smpirun; do
    command -v $tool >/dev/null ||
        { echo "SKIPPED smpi.sh: there is no $tool (Debian: libsimgrid-dev)" >&2; exit 77; }
done
cd "$(dirname "$0")/.."
sim=${BUILD:-build}/bin/ronde-sim
[ -x "$sim" ] || { echo "smpi.sh: $sim is not built: make" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

smpicc -O2 -std=gnu11 -D_GNU_SOURCE -Iinclude -Isrc benchmarks/smpi/allreduce.c \
    src/collectives/executor.c src/collectives/flow.c src/collectives/schedule*.c \
    src/fusion/layout.c src/net/net.c src/base/*.c -o "$scratch/allreduce" -lm \
    2>"$scratch/errors" || { cat "$scratch/errors" >&2; exit 1; }

# A cluster's hosts each have a link up and a link down, and a message passes one of each.
describe() { # ranks
    cat >"$scratch/platform.xml" <<EOF
<?xml version="1.0"?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="c" prefix="n" suffix="" radical="0-$(($1 - 1))" speed="1Gf" sharing_policy="SPLITDUPLEX"
           bw="$(awk "BEGIN { printf \"%.6f\", 1000 / $beta }")MBps" lat="$(awk "BEGIN { print $alpha / 2 }")us"/>
</platform>
EOF
    seq -f 'n%g' 0 $(($1 - 1)) >"$scratch/hosts"
}

# Large data take no memory: nobody looks at them. Computing takes no time, and a test none. The
# network is SMPI's own with its factors (of a cluster with gigabit Ethernet) taken out.
in_smpi() { # ranks algorithm bytes
    local folded=() memory=()
    if [ $(($1 * $3)) -gt $((256 << 20)) ]; then
        folded=(folded)
        memory=(--cfg=smpi/shared-malloc:global --cfg=smpi/auto-shared-malloc-thresh:131072)
    fi
    smpirun -np "$1" -platform "$scratch/platform.xml" -hostfile "$scratch/hosts" -no-privatize \
        --log=root.thres:critical --cfg=contexts/stack-size:256 --cfg=surf/precision:1e-12 \
        --cfg=smpi/simulate-computation:no --cfg=smpi/host-speed:1Gf --cfg=smpi/test:0 \
        --cfg=network/model:SMPI --cfg=network/weight-S:0 --cfg=network/crosstraffic:0 \
        --cfg=smpi/lat-factor:"0:1;$((eager + 17)):3" --cfg=smpi/bw-factor:"0:1" "${memory[@]}" \
        --cfg=smpi/async-small-thresh:$((early * (eager + 1))) \
        --cfg=smpi/send-is-detached-thresh:$((eager + 1)) \
        "$scratch/allreduce" "$2" "$3" "${folded[@]}"
}

# SMPI puts 16 bytes in front of each message.
in_sim() { # ranks algorithm bytes: JSON rows
    "$sim" allreduce --ranks "$1" --algo "$2" -b "$3" -e "$3" --model events --beta "$beta" \
        --gap "$(awk "BEGIN { print 16 * $beta / 1000 }")" --eager "$eager" --wire-buffer 4G --sharing "$sharing" \
        --alpha "$(awk "BEGIN { print $alpha + 16 * $beta / 1000 }")" --json "$scratch/rows" >/dev/null
}
field() { python3 -c 'import json, sys; print(*[r[sys.argv[2]] for r in json.load(open(sys.argv[1]))])' "$scratch/rows" "$1"; }

if [ -z "$algos" ]; then
    in_sim 8 all 1024
    algos=$(field algo)
fi
echo "# alpha $alpha us, beta $beta ns/B; rendezvous above $eager B; $(smpirun -version)"
echo "# ranks       bytes        algo      SMPI (us) ronde-sim (us)   difference (%)"
for p in $ranks; do
    describe "$p"
    for a in $algos; do
        for b in $bytes; do
            seconds=$(in_smpi "$p" "$a" "$b")
            in_sim "$p" "$a" "$b"
            echo "$p $b $a $seconds $(field time_us)"
        done
    done
done | awk -v within="$within" '{
    smpi = 1e6 * $4; off = 100 * ($5 / smpi - 1); size = off < 0 ? -off : off
    printf "%7d %11d %11s %14.2f %14.2f %16.2f\n", $1, $2, $3, smpi, $5, off
    fflush()
    if (size > worst) worst = size
    n++
} END { printf "# %d cases, %.2f %% apart at most\n", n, worst; exit !n || worst > within }'
