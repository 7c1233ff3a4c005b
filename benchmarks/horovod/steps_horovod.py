#!/usr/bin/env python3
"""Times Horovod on the lists of tensors of `ronde-perf steps`, in its columns and its JSON.

mpirun -np 2 build/horovod/venv/bin/python benchmarks/horovod/steps_horovod.py --list resnet50

A step submits every tensor of the list, then waits for all, as `ronde-perf steps --path named`
does: hvd.allreduce_async_ (in place, as Horovod's own optimizer calls it) and hvd.synchronize. A
sample is a step that is not timed, a barrier, and a timed step; its time is the maximum over the
ranks. Horovod's variables (HOROVOD_CYCLE_TIME, HOROVOD_FUSION_THRESHOLD) are read from the
environment and written into the row as "settings". One list a run: Horovod remembers
1024 names, and a second list would push the first one out.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import sys
import time

import torch
import horovod
import horovod.torch as hvd

PERIOD = 61  # values repeat after so many elements, as in ronde-perf
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LISTS = pathlib.Path(__file__).resolve().parent.parent / "lists"


def read_list(what):
    """[(name, elements of float32)] of "resnet50", NUMBERxSIZE or a file of lines "NAME COUNT"."""
    many = re.fullmatch(r"(\d+)x(\d+)([kmg]?)", what, re.IGNORECASE)
    if many:
        size = int(many[2]) * UNITS[many[3].lower()]
        return [(f"tensor.{i}", size // 4) for i in range(int(many[1]))]
    path = LISTS / "resnet50.txt" if what == "resnet50" else pathlib.Path(what)
    lines = (line.split("#")[0].split() for line in path.read_text().splitlines())
    return [(words[0], int(words[1])) for words in lines if words]


def step(names, tensors):
    handles = [hvd.allreduce_async_(t, name=n, op=hvd.Sum) for n, t in zip(names, tensors)]
    for handle in handles:
        hvd.synchronize(handle)


def value(rank):
    """What a rank contributes at the indices 0 to PERIOD - 1; sums are exact in float32."""
    return torch.tensor([float((7 * rank + i) % PERIOD % 13) for i in range(PERIOD)])


def repeated(block, count):
    return block.repeat(count // PERIOD + 1)[:count]


def count_wrong(names, tensors):
    """One step on known values; how many elements of all ranks are not the exact sum."""
    for tensor in tensors:
        tensor.copy_(repeated(value(hvd.rank()), tensor.numel()))
    step(names, tensors)
    total = sum(value(rank) for rank in range(hvd.size()))
    wrong = sum(int((t != repeated(total, t.numel())).sum()) for t in tensors)
    for tensor in tensors:
        tensor.zero_()  # in place sums would overflow
    return int(hvd.allreduce(torch.tensor([wrong]), name="wrong", op=hvd.Sum)[0])


def sample_us(names, tensors):
    step(names, tensors)
    hvd.barrier()
    start = time.monotonic_ns()
    step(names, tensors)
    return (time.monotonic_ns() - start) / 1e3


def measure(arguments, names, tensors):
    wrong = count_wrong(names, tensors)
    for _ in range(arguments.warmup):
        step(names, tensors)
    mine = torch.tensor([sample_us(names, tensors) for _ in range(arguments.iters)],
                        dtype=torch.float64)
    times = sorted(hvd.allreduce(mine, name="times", op=hvd.Max).tolist())
    return wrong, times


def make_row(what, tensors, wrong, times):
    size = sum(t.numel() * t.element_size() for t in tensors)
    median = statistics.median(times)
    speed = size / median * 1e-3
    return {
        "impl": "horovod", "op": "steps", "dtype": "float32", "redop": "sum", "path": "named",
        "memory": "private", "ranks": hvd.size(), "hosts": hvd.cross_size(), "bytes": size,
        "list": what, "time_us_min": round(times[0], 3), "time_us_p50": round(median, 3),
        "time_us_p99": round(times[(len(times) * 99 + 99) // 100 - 1], 3),
        "algbw_gbs": float(f"{speed:.6g}"),
        "busbw_gbs": float(f"{speed * 2 * (hvd.size() - 1) / hvd.size():.6g}"), "wrong": wrong,
        "settings": {k: v for k, v in sorted(os.environ.items()) if k.startswith("HOROVOD_")},
    }


def print_row(row):
    print(f"# Horovod {horovod.__version__}, PyTorch {torch.__version__}, {hvd.size()} ranks",
          *(f"{name}={text}" for name, text in row["settings"].items()))
    print(f"# {'size':>11} {'list':>12} {'type':>9} {'redop':>8} {'root':>5} {'impl':>8}"
          f" {'path':>7} {'memory':>8} {'time min':>12} {'time p50':>12} {'time p99':>12}"
          f" {'algbw':>8} {'busbw':>8} {'#wrong':>7}")
    print(f"  {row['bytes']:11} {row['list']:>12} {row['dtype']:>9} {row['redop']:>8} {-1:5}"
          f" {row['impl']:>8} {row['path']:>7} {row['memory']:>8} {row['time_us_min']:12.2f}"
          f" {row['time_us_p50']:12.2f} {row['time_us_p99']:12.2f} {row['algbw_gbs']:8.3f}"
          f" {row['busbw_gbs']:8.3f} {row['wrong']:7}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", default="resnet50", metavar="LIST",
                        help="resnet50, 1000x1K or a file, as of ronde-perf (resnet50)")
    parser.add_argument("-n", "--iters", type=int, default=50, help="samples (50)")
    parser.add_argument("-w", "--warmup", type=int, default=10, help="steps before them (10)")
    parser.add_argument("--json", metavar="FILE", help="write an array with an object a row")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    hvd.init()
    names, counts = zip(*read_list(arguments.list))
    tensors = [torch.zeros(count) for count in counts]
    wrong, times = measure(arguments, names, tensors)
    if hvd.rank() == 0:
        row = make_row(arguments.list, tensors, wrong, times)
        print_row(row)
        if arguments.json:
            pathlib.Path(arguments.json).write_text(f"[\n {json.dumps(row)}\n]\n")
    hvd.shutdown()
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
