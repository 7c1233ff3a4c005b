# ronde-test: np=1,2 timeout=60
"""Handles: waiting, polling, awaiting, dropping; memory in flight; Ctrl-C; threads."""

import asyncio
import gc
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import ronde


def test_handles_are_done_in_any_order():
    order = range(8) if ronde.rank() % 2 else range(7, -1, -1)
    handles = {i: ronde.allreduce_async(np.full(3, float(i)), name=f"t{i}") for i in order}
    assert [handles[i].wait().tolist() for i in range(8)] == [[float(i)] * 3 for i in range(8)]
    assert handles[0].wait().tolist() == [0.0] * 3 and handles[0].result.tolist() == [0.0] * 3
    assert "done" in repr(handles[0]) and handles[0].exception() is None


def test_polling_ends():
    handle = ronde.allreduce_async(np.ones(3), name="polled")
    end = time.monotonic() + 10
    while not handle.poll():
        assert time.monotonic() < end
    assert handle.done() and handle.wait().tolist() == [1.0] * 3


def test_a_wait_may_have_a_timeout(together):
    if ronde.rank() == 0:
        handle = ronde.allreduce_async(np.ones(2), name="late")
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="late"):
            handle.wait(0.15)
        assert 0.1 < time.monotonic() - start < 5 and not handle.done()
        ronde.barrier()
    else:
        ronde.barrier()
        handle = ronde.allreduce_async(np.ones(2), name="late")
    assert handle.wait(20).tolist() == [1.0, 1.0]


def test_handles_are_awaited_beside_other_tasks():
    ticks = []

    async def tick():
        while len(ticks) < 3:
            ticks.append(1)
            await asyncio.sleep(0)

    async def work():
        reductions = [
            ronde.allreduce_async(np.full(2, i), ronde.Sum, name=f"a{i}") for i in range(5)
        ]
        rows = ronde.allgather_async(np.array([ronde.rank()]), name="a")
        _, *sums = await asyncio.gather(tick(), *reductions)
        return sums, await rows

    sums, rows = asyncio.run(work())
    assert [s.tolist() for s in sums] == [[i * ronde.size()] * 2 for i in range(5)]
    assert rows.tolist() == list(range(ronde.size())) and len(ticks) == 3


def test_an_awaited_mismatch_is_raised(together):
    async def work():
        await ronde.allreduce_async(np.ones(2 + ronde.rank()), name="odd")

    with pytest.raises(ronde.MismatchError):
        asyncio.run(work())


def test_memory_lives_until_the_operation_is_done(together):
    class Watched(np.ndarray):
        pass

    tensor = np.ones(1000).view(Watched)
    gone = weakref.ref(tensor)
    if ronde.rank() == 0:
        handle = ronde.allreduce_async(tensor, ronde.Sum, name="kept")
        del tensor
        gc.collect()
        assert gone() is not None
        ronde.barrier()
        assert handle.wait().tolist() == [float(ronde.size())] * 1000
        gc.collect()
        assert gone() is None
    else:
        ronde.barrier()
        ronde.allreduce(tensor, ronde.Sum, name="kept")


def test_a_dropped_handle_keeps_memory_and_is_freed_later(together):
    out = np.zeros(10)
    if ronde.rank() == 0:
        ronde.allreduce_async(np.ones(10), ronde.Sum, name="dropped", out=out)
        gc.collect()
        assert len(ronde.context.kept) == 1 and len(ronde.context.dropped) == 1
        ronde.barrier()
    else:
        ronde.barrier()
        ronde.allreduce(np.ones(10), ronde.Sum, name="dropped", out=out)
    ronde.barrier(name="both are done")
    end = time.monotonic() + 10
    while ronde.context.kept and time.monotonic() < end:
        ronde.barrier_async(name=f"{time.monotonic_ns()} {ronde.rank()}", deadline=0.01).exception()
    assert not ronde.context.kept and not ronde.context.dropped
    assert out.tolist() == [float(ronde.size())] * 10 and out.flags.writeable
    ronde.barrier(name="the end")


def test_arrays_in_flight_are_read_only(together):
    tensor, out = np.ones(4), np.zeros(4)
    if ronde.rank() == 0:
        handles = [
            ronde.allreduce_async(tensor, ronde.Sum, name="guarded", out=out),
            ronde.allreduce_async(tensor, ronde.Sum, name="again"),
        ]
        for array in (tensor, out):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 7
        with pytest.raises(ronde.ArgumentError, match="in use by an operation"):
            ronde.allreduce_async(np.zeros(4), out=out, name="third")
        ronde.barrier()
        handles[0].wait()
        out[0] += 1
        with pytest.raises(ValueError, match="read-only"):
            tensor[0] = 7
        handles[1].wait()
        tensor[0] = 7
    else:
        ronde.barrier()
        for name in ("guarded", "again"):
            ronde.allreduce(tensor, ronde.Sum, name=name, out=out)


def test_what_is_lent_cannot_be_resized(together):
    memory = bytearray(8)
    if ronde.rank() == 0:
        handle = ronde.allreduce_async(memory, ronde.Max, name="lent")
        with pytest.raises(BufferError):
            memory.extend(b"more")
        ronde.barrier()
        handle.wait()
        del handle
        gc.collect()
        memory.extend(b"more")
    else:
        ronde.barrier()
        ronde.allreduce(memory, ronde.Max, name="lent")


def test_ctrl_c_ends_a_wait_and_loses_nothing(together):
    if ronde.rank() == 0:
        tensor = np.ones(2)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ronde.allreduce(tensor, ronde.Sum, name="interrupted")
        assert time.monotonic() - start < 3
        handle = ronde.allgather_async(np.ones(1), name="interrupted too")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            handle.wait()
        ronde.barrier()
        assert handle.wait().tolist() == [1.0] * ronde.size()
    else:
        ronde.barrier()
        got = ronde.allreduce(np.ones(2), ronde.Sum, name="interrupted")
        assert got.tolist() == [float(ronde.size())] * 2
        ronde.allgather(np.ones(1), name="interrupted too")
    ronde.barrier()
    assert ronde.allreduce(1, ronde.Sum) == ronde.size()


def test_threads_submit_and_wait_apart():
    results = {}

    def work(name):
        for step in range(20):
            results[name, step] = ronde.allreduce(np.full(2, float(step)), name=f"{name}.{step}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results[name, step].tolist() == [step, step] for name, step in results)
    assert len(results) == 60


def test_one_handle_may_be_waited_for_by_several_threads(together):
    got = []
    if ronde.rank() == 0:
        handle = ronde.allreduce_async(np.ones(1), ronde.Sum, name="shared")
        threads = [threading.Thread(target=lambda: got.append(handle.wait()[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        ronde.barrier()
        for thread in threads:
            thread.join()
        assert got == [ronde.size()] * 4
    else:
        ronde.barrier()
        ronde.allreduce(np.ones(1), ronde.Sum, name="shared")


def test_waiting_lets_other_threads_run(together):
    """The interpreter's lock is free meanwhile."""
    counted = []
    if ronde.rank() == 0:
        done = threading.Event()

        def count():
            while not done.is_set():
                counted.append(1)
                time.sleep(0.001)

        thread = threading.Thread(target=count)
        thread.start()
        ronde.barrier(name="slow")
        done.set()
        thread.join()
        assert len(counted) > 30
    else:
        time.sleep(0.3)
        ronde.barrier(name="slow")
