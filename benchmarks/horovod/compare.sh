#!/bin/sh
# Ronde, MPI and Horovod on the same lists and machine: benchmarks/horovod/compare.sh [LIST...]
# After `make` and benchmarks/horovod/build.sh. The runs follow each other and alternate ROUNDS times
# (3), since the machine drifts, and where a launch's ranks and pages land is luck; the best medians
# are printed last.
# RANKS (2); BUILD (build); HOROVOD (build/horovod): the folder given to build.sh; results in OUT.
set -eu
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
python=${HOROVOD:-build/horovod}/venv/bin/python
out=${OUT:-$BUILD/bench/horovod}
ranks=${RANKS:-2}
[ -x "$python" ] || { echo "$python is not there: run benchmarks/horovod/build.sh" >&2; exit 1; }
mkdir -p "$out"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Unbound, as Horovod's manual has it: its thread and Python's need a CPU each where there are any.
launch() {
    timeout 300 "${MPIRUN:-mpirun}" --bind-to none --oversubscribe -np "$ranks" "$@" </dev/null
}

for list in ${*:-resnet50 1000x1K}; do
    for round in $(seq "${ROUNDS:-3}"); do
        name=$(basename "$list").$round.json
        launch "$BUILD/bin/ronde-perf" steps --list "$list" --impl ronde,mpi --path both \
            --memory both --json "$out/ronde.$name"
        for cycle_ms in 1 0.1; do # Horovod's default, and shorter: less waiting, more CPU
            HOROVOD_CYCLE_TIME=$cycle_ms launch "$python" benchmarks/horovod/steps_horovod.py \
                --list "$list" --json "$out/horovod.$cycle_ms.$name"
        done
    done
done

"$python" - "$out" <<'PY'
import json, pathlib, sys

best = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    for row in json.loads(path.read_text()):
        cycle = row.get("settings", {}).get("HOROVOD_CYCLE_TIME")
        what = f"cycle {cycle} ms" if cycle else f"{row['path']} {row['memory']}"
        key = (row["list"], row["ranks"], f"{row['impl']} {what}")
        best[key] = min(best.get(key, float("inf")), row["time_us_p50"])
print("\nBest of the medians, milliseconds a step:")
for (what, ranks, who), time in sorted(best.items()):
    print(f"  {what:>12}, {ranks} ranks  {who:24} {time / 1e3:9.2f}")
PY
