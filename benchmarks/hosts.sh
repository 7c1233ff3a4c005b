#!/bin/bash
# Allreduce between hosts, in a cluster of network namespaces (test/hosts.sh): Ronde and Open MPI in
# turns, in one process, against the bound 2(p-1)/p n/B, where B is what a plain TCP stream each way
# attains between two of the hosts, before and after.
#   benchmarks/hosts.sh [RATE [PERF-ARGUMENT...]]        1gbit; "" for links that nothing slows down
#   HOSTS=4 PER_HOST=1 benchmarks/hosts.sh ...
#   MPI_ALGORITHMS="default 3 4:65536"     of Open MPI, as coll_tuned numbers them, with a segment
#                                          size behind a colon; "default": what it chooses itself
# Results under $BUILD/bench: hosts-RATE-MPI.json has ronde-perf's rows and in each `stream_gbs` (B)
# and `of_bound`, the share of the bound's speed; the table shows the medians, and the best of
# Open MPI.
set -eu
cd "$(dirname "$0")/.."
BUILD=$(realpath -m "${BUILD:-build}")
export BUILD
hosts=${HOSTS:-4} per_host=${PER_HOST:-1}
algorithms=${MPI_ALGORITHMS:-default 2 3 4 5 6}

if [ "${1:-}" != --inside ]; then
    rate=${1-1gbit}
    [ $# -eq 0 ] || shift
    exec test/hosts.sh --hosts "$hosts" --slots "$per_host" ${rate:+--rate "$rate"} -- \
        env RANKS=$((hosts * per_host)) PER_HOST="$per_host" "$0" --inside "${rate:-free}" "$@"
fi
rate=$2
shift 2
out=$BUILD/bench
mkdir -p "$out"

# B: the slower one of the two directions, in bytes per second. $HOSTS: "10.1.2.1:1,10.1.2.2:1,..."
stream() {
    local hosts_list=() one two
    IFS=, read -ra hosts_list <<<"$HOSTS"
    one=${hosts_list[0]%:*} two=${hosts_list[1]%:*}
    {
        "$BUILD/bin/ronde-stream" listen "$one" 7000 2 &
        "$AGENT" "$two" "$BUILD/bin/ronde-stream" connect "$one" 7000 2
        wait
    } | sort -n | head -1
}

B=$(stream)
rm -f "$out/hosts-$rate"-*.json
for algorithm in $algorithms; do
    tuned=()
    if [ "$algorithm" != default ]; then
        tuned=(--mca coll_tuned_use_dynamic_rules 1
            --mca coll_tuned_allreduce_algorithm "${algorithm%:*}")
        [ "${algorithm#*:}" = "$algorithm" ] ||
            tuned+=(--mca coll_tuned_allreduce_algorithm_segmentsize "${algorithm#*:}")
    fi
    # shellcheck disable=SC2086
    $MPIRUN "${tuned[@]}" -np "$RANKS" "$BUILD/bin/ronde-perf" allreduce --path direct \
        --impl ronde,mpi --json "$out/hosts-$rate-${algorithm/:/-}.json" -c 0 "$@" >/dev/null
done
B="$B $(stream)"

python3 - "$out/hosts-$rate" $B <<'PYTHON'
import glob, json, sys

stream = max(map(float, sys.argv[2:]))
measured = ", ".join(f"{float(b) / 1e6:.1f}" for b in sys.argv[2:])
print(f"B {stream / 1e6:.1f} MB/s each way ({measured})")
times = {}
for path in sorted(glob.glob(sys.argv[1] + "-*.json")):
    rows = json.load(open(path))
    for row in rows:
        hosts = row["hosts"]
        bound_us = 2 * (hosts - 1) / hosts * row["bytes"] / stream * 1e6
        row["stream_gbs"] = stream / 1e9
        row["of_bound"] = bound_us / row["time_us_p50"]
        mpi = path[len(sys.argv[1]) + 1:-5]
        times.setdefault(row["bytes"], {}).setdefault(row["impl"], []).append(
            (row["time_us_p50"], mpi, row["of_bound"]))
    json.dump(rows, open(path, "w"), indent=1)
print(f"{'bytes':>10} {'ronde us':>10} {'of bound':>9} {'MPI us':>10} {'its best':>11}  ratio")
for size, of in sorted(times.items()):
    ronde = sorted(of["ronde"])[len(of["ronde"]) // 2]
    mpi = min(of["mpi"])
    print(f"{size:>10} {ronde[0]:>10.0f} {ronde[2]:>9.3f} {mpi[0]:>10.0f} {mpi[1]:>11} "
          f"{mpi[0] / ronde[0]:>6.2f}")
PYTHON
