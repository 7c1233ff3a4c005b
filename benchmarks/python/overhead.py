"""What a call costs from Python, beside the same call from C in the same processes.

    tools/mpirun.sh -np 2 python benchmarks/python/overhead.py

A named allreduce of 4 bytes, in place: a loop in C (compiled here, called once a round), the same
call by ctypes alone, and ronde.allreduce with its checks, in turns. Printed are medians of the
rounds in microseconds, and what Python adds to C. Ends with 1 where that is 25 us or more.
"""

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import ronde

LIMIT_US = 25.0
C_LOOP = """
#include <stddef.h>
#include <stdint.h>
typedef int32_t call(void *, const char *, const void *, void *, size_t, int32_t, int32_t, const
void *); int loop(call *allreduce, void *context, float *value, int calls)
{
    int status = 0;
    for (int i = 0; i < calls && !status; i++)
        status = allreduce(context, "overhead", value, value, 1, 11, 0, NULL);
    return status;
}
"""


def compiled_loop():
    """The loop in C, or None where there is no compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = os.path.join(folder, "loop.c"), os.path.join(folder, "loop.so")
        with open(source, "w") as file:
            file.write(C_LOOP)
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
        loop = ctypes.CDLL(library).loop
    loop.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    return loop


def ways():
    """(name, function of a number of calls) of each way to make the call."""
    value = np.zeros(1, "float32")
    address = value.ctypes.data
    library, pointer = ronde.context.library, ronde.context.pointer
    call = library.ronde_allreduce

    def by_ctypes(calls):
        for _ in range(calls):
            call(pointer, b"overhead", address, address, 1, 11, 0, None)

    def by_package(calls):
        for _ in range(calls):
            ronde.allreduce(value, ronde.Sum, name="overhead", out=value)

    def by_handle(calls):
        for _ in range(calls):
            ronde.allreduce_async(value, ronde.Sum, name="overhead", out=value).wait()

    found = []
    loop = compiled_loop()
    if loop is not None:
        entry = ctypes.cast(call, ctypes.c_void_p)
        found.append(("C", lambda calls: loop(entry, pointer, address, calls)))
    found += [("ctypes", by_ctypes), ("ronde.allreduce", by_package)]
    return [*found, ("allreduce_async, wait", by_handle)]


def measure(options):
    """{name: microseconds a call in each round}, the ways in turns."""
    found = ways()
    table = {name: [] for name, _ in found}
    for number in range(options.rounds + 1):
        for name, way in found:
            ronde.barrier()
            start = time.perf_counter()
            way(options.calls)
            elapsed = time.perf_counter() - start
            if number:  # the first round warms up
                table[name].append(elapsed / options.calls * 1e6)
    return table


def main():
    """Measures, and rank 0 prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=500, help="calls a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each way")
    options = parser.parse_args()
    ronde.init()
    table = measure(options)
    least = {name: min(rounds) for name, rounds in table.items()}
    medians = {name: statistics.median(rounds) for name, rounds in table.items()}
    base = next(iter(medians))
    added = medians["ronde.allreduce"] - medians[base]
    if ronde.rank() == 0:
        title = f"a named allreduce of 4 bytes, {ronde.size()} ranks"
        print(f"{title}, {options.rounds} rounds of {options.calls}")
        print(f"{'':24}{'minimum':>10}{'median':>10}  us")
        for name in table:
            print(f"{name:24}{least[name]:10.2f}{medians[name]:10.2f}")
        print(f"Python adds {added:.1f} us to {base} (limit {LIMIT_US:.0f} us)")
    ronde.shutdown()
    sys.exit(added >= LIMIT_US)


if __name__ == "__main__":
    main()
