# ronde-test: np=1,2 timeout=90
"""Opening, closing, opening again; before and after; forked children; how processes end."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import TOP

import ronde

OWN_CONTEXT = True
CALLS = [
    lambda: ronde.rank(),
    lambda: ronde.size(),
    lambda: ronde.world(),
    lambda: ronde.allreduce(np.ones(2)),
    lambda: ronde.allreduce_async([1]),
    lambda: ronde.reduce(np.ones(2), 0),
    lambda: ronde.reducescatter(np.ones(2)),
    lambda: ronde.broadcast(np.ones(2), 0),
    lambda: ronde.broadcast_object(1, 0),
    lambda: ronde.allgather(np.ones(2)),
    lambda: ronde.gather(np.ones(2), 0),
    lambda: ronde.scatter(np.ones(2), 0),
    lambda: ronde.alltoall(np.ones(2)),
    lambda: ronde.send(np.ones(2), 0),
    lambda: ronde.recv(np.ones(2), 0),
    lambda: ronde.sparse_allreduce(np.zeros(2, int), np.ones(2)),
    lambda: ronde.barrier(),
    lambda: ronde.join(),
    lambda: ronde.direct_allreduce(np.ones(2)),
    lambda: ronde.grouped_allreduce([np.ones(2)]),
    lambda: ronde.empty(3),
    lambda: ronde.add_process_set([0]),
    lambda: ronde.process_set_ranks(0),
    lambda: ronde.start_timeline("nowhere"),
    lambda: ronde.counters(),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_calls_before_init_say_what_to_do(number):
    with pytest.raises(ronde.ClosedError, match="not initialised: call ronde.init|shut down"):
        CALLS[number]()


def test_closing_what_is_closed_is_nothing():
    assert not ronde.is_initialized()
    ronde.shutdown()
    assert "fusion_threshold" in ronde.describe()


def test_open_close_and_open_again():
    for time in range(3):
        ronde.init(settings="fusion_threshold=1M")
        assert ronde.is_initialized()
        assert ronde.init() is ronde.context
        with pytest.raises(ronde.ArgumentError, match="initialised already"):
            ronde.init(settings={"log": "info"})
        assert ronde.allreduce(time, ronde.Sum) == time * ronde.size()
        assert "1M" in ronde.describe()
        ronde.shutdown()
        for call in CALLS:
            with pytest.raises(ronde.ClosedError, match="was shut down"):
                call()


def test_handles_end_with_their_context():
    ronde.init()
    array = np.ones(3)
    handle = ronde.allreduce_async(array, name="left")
    ronde.shutdown()
    assert handle.poll()
    with pytest.raises(ronde.ClosedError, match="was closed before"):
        handle.wait()
    array[0] = 2
    ronde.init()
    # The library gives the same number again; the old handle must not be taken for the new one.
    new = ronde.allreduce_async(array, ronde.Max, name="new")
    with pytest.raises(ronde.ClosedError):
        handle.wait()
    assert new.wait()[0] == 2
    ronde.shutdown()


def test_bad_settings_are_said_by_name_on_every_rank():
    for settings in ("fusion_threshold=many", {"fusion_threshold": "many"}):
        with pytest.raises(ronde.ArgumentError, match="fusion_threshold"):
            ronde.init(settings=settings)
    with pytest.raises(ronde.ArgumentError, match="no_such"):
        ronde.init(settings={"no_such": True})
    with pytest.raises(ronde.ArgumentError, match="semicolon"):
        ronde.init(settings={"log": "info;slots=3"})
    with pytest.raises(ronde.ArgumentError, match="dict or a str"):
        ronde.init(settings=3)
    assert not ronde.is_initialized()
    ronde.init(settings={"autotune": False, "slots": 8})
    ronde.shutdown()


def test_two_contexts_work_beside_each_other():
    with ronde.Context() as one, ronde.Context() as two:
        first = one.allreduce_async(np.ones(2), ronde.Sum, name="x")
        second = two.allreduce_async(np.full(2, 2.0), ronde.Sum, name="x")
        assert second.wait()[0] == 2 * one.size() and first.wait()[0] == two.size()
    assert not one.is_open() and not two.is_open()


def test_what_asked_for_it_is_called_before_closing():
    context, called = ronde.Context(), []
    context.before_close(lambda: called.append(context.rank()))
    context.open()
    rank = context.rank()
    context.close()
    assert called == [rank]


def test_a_forked_child_is_told_and_the_parent_goes_on():
    ronde.init()
    outstanding = ronde.allreduce_async(np.ones(4), ronde.Sum, name="across the fork")
    array = ronde.zeros(3)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        for call in (
            lambda: ronde.allreduce(np.ones(2)),
            lambda: ronde.allreduce(np.ones(8)[::2]),
            lambda: ronde.allgather(np.ones(2)),
            lambda: ronde.barrier(),
            lambda: ronde.empty(3),
            lambda: ronde.direct_allreduce(np.ones(2)),
            lambda: ronde.add_process_set([0]),
            lambda: outstanding.wait(),
            lambda: ronde.init(),
            lambda: ronde.shutdown(),
        ):
            try:
                call()
                said.append("nothing")
            except ronde.ClosedError:
                said.append("closed")
            except ronde.ArgumentError:
                said.append("argument")
            except BaseException as error:
                said.append(repr(error))
        os.write(write, " ".join(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read().split()
    os.waitpid(child, 0)
    assert said == ["closed", "argument"] + ["closed"] * 8
    assert outstanding.wait().tolist() == [float(ronde.size())] * 4
    assert ronde.allreduce(array, ronde.Sum, out=array).tolist() == [0.0] * 3
    ronde.shutdown()


def test_threads_may_outlive_each_other():
    ronde.init()
    handles = []
    thread = threading.Thread(target=lambda: handles.append(ronde.allreduce_async(np.ones(1))))
    thread.start()
    thread.join()
    assert handles[0].wait()[0] == 1
    ronde.shutdown()


def job(code, ranks=2, **more):
    """A script of its own, with its own launcher; only rank 0 of this file starts it."""
    command = [sys.executable, "-c", code]
    if ranks > 1:
        command = ["tools/mpirun.sh", "-np", str(ranks), *command]
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("OMPI_", "PMIX_", "PMI_"))}
    return subprocess.run(
        command, cwd=TOP, capture_output=True, text=True, timeout=60, env={**clean, **more}
    )


def only_once():
    """One rank is enough to start a job."""
    if os.environ.get("OMPI_COMM_WORLD_SIZE", os.environ.get("PMI_SIZE", "1")) != "1":
        pytest.skip("for one rank")


PRELUDE = "import numpy as np, ronde, sys\nronde.init(); rank = ronde.rank()\n"


def test_a_script_need_not_close():
    only_once()
    done = job(
        PRELUDE + "print(ronde.allreduce(rank, ronde.Sum))\nh = ronde.allreduce_async(np.ones(9))"
    )
    assert done.returncode == 0 and sorted(done.stdout) == ["\n", "\n", "1", "1"], done.stderr
    alone = job(PRELUDE + "print(ronde.size())", ranks=1)
    assert alone.returncode == 0 and alone.stdout == "1\n" and not alone.stderr


def test_an_uncaught_exception_ends_the_job_instead_of_hanging():
    only_once()
    done = job(
        PRELUDE
        + "if rank == 1: raise ValueError('the matter')\nronde.allreduce(np.ones(3), name='x')"
    )
    assert done.returncode != 0 and "ValueError: the matter" in done.stderr


def test_an_exit_with_an_error_ends_the_job_instead_of_hanging():
    only_once()
    done = job(PRELUDE + "if rank == 1: sys.exit('enough')\nronde.allreduce(np.ones(3), name='x')")
    assert done.returncode != 0 and "enough" in done.stderr
    assert job(PRELUDE + "sys.exit(0)").returncode == 0


def test_operations_that_are_left_at_an_exception_do_no_harm():
    only_once()
    done = job(
        PRELUDE + "h = ronde.allreduce_async(np.ones(1 << 20), name='x')\nraise KeyError(rank)",
        ranks=2,
    )
    assert done.returncode not in (0, 139) and "KeyError" in done.stderr
    assert "Segmentation" not in done.stderr


def test_ctrl_c_while_opening_ends_the_process():
    only_once()
    code = (
        "import os, signal, threading, ronde, time\n"
        "threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "c = ronde.context\n"
        "with c.uninterrupted():\n"
        "    e = threading.Event()\n"
        "    import ctypes; ctypes.CDLL(None).sleep(20)\n"
    )
    done = job(code, ranks=1)
    assert done.returncode == -2
