"""ronde.torch: what a script can do wrong, what it is told, and that all goes on after it."""
# ronde-test: np=1,2,3,4 timeout=120

import os
import signal
import time

import pytest
import ronde
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd, of_all, own, same, several, torch


def still_works():
    same(hvd.allreduce(own(), op=hvd.Sum), of_all().sum(0))


def by_rank(usual, first):
    """``first`` on rank 0, ``usual`` on the others."""
    return first if hvd.rank() == 0 else usual


MISMATCHES = {
    "shape": lambda: hvd.allreduce(torch.ones(by_rank(3, 4)), name="m"),
    "shape of one count": lambda: hvd.allreduce(torch.ones(by_rank((2, 3), (3, 2))), name="m"),
    "dtype": lambda: hvd.allreduce(
        torch.ones(3, dtype=by_rank(torch.float32, torch.float64)), name="m"
    ),
    "op": lambda: hvd.allreduce(own(), op=by_rank(hvd.Sum, hvd.Average), name="m"),
    "scale": lambda: hvd.allreduce(own(), prescale_factor=by_rank(1.0, 2.0), name="m"),
    "root": lambda: hvd.broadcast(own(), by_rank(0, hvd.size() - 1), name="m"),
    "columns": lambda: hvd.allgather(torch.ones(2, by_rank(3, 4)), name="m"),
    "rows": lambda: hvd.alltoall(torch.ones(2 * hvd.size(), by_rank(3, 4)), name="m"),
    "reducescatter": lambda: hvd.reducescatter(torch.ones(by_rank(4, 5), 2), name="m"),
    "group": lambda: hvd.grouped_allreduce([own(), torch.ones(by_rank(3, 4))], name="m"),
    "unnamed": lambda: hvd.allreduce(torch.ones(by_rank(3, 4))),
}


@pytest.fixture(scope="module", autouse=True)
def with_a_time_limit():
    """Where a test has ranks wait in vain, an operation ends after two seconds."""
    hvd.shutdown()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RONDE_STALL_ABORT", raising=False)
        patch.setenv("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "2")
        yield
    hvd.shutdown()


@pytest.mark.parametrize("what", MISMATCHES)
def test_a_mismatch_is_an_internal_error_on_every_rank(what):
    several()
    with pytest.raises(hvd.HorovodInternalError) as raised:
        MISMATCHES[what]()
    assert isinstance(raised.value, RuntimeError) and isinstance(raised.value, ronde.MismatchError)
    assert not isinstance(raised.value, ValueError)
    assert len(str(raised.value)) > 20
    still_works()


def dense():
    return torch.ones(4, 4)


WRONG = {
    "no tensor": lambda: hvd.allreduce([1.0, 2.0]),
    "no tensor, async": lambda: hvd.allreduce_async(3),
    "not contiguous": lambda: hvd.allreduce(dense().t()[:2]),
    "not contiguous, in place": lambda: hvd.allreduce_(dense()[:, 1]),
    "complex": lambda: hvd.allreduce(torch.ones(2, dtype=torch.complex64)),
    "negated view": lambda: hvd.allreduce(torch.ones(2, dtype=torch.complex64).conj().imag.view(2)),
    "sparse": lambda: hvd.allreduce(dense().to_sparse()),
    "another device": lambda: hvd.allreduce(torch.ones(2, device="meta")),
    "op": lambda: hvd.allreduce(dense(), op=77),
    "op and average": lambda: hvd.allreduce(dense(), average=True, op=hvd.Sum),
    "factor": lambda: hvd.allreduce(dense(), prescale_factor="big"),
    "zero byte": lambda: hvd.allreduce(dense(), name="a\0b"),
    "empty name": lambda: hvd.allreduce(dense(), name=""),
    "drawn name": lambda: hvd.allreduce(dense(), name="allreduce#1"),
    "adasum of integers": lambda: hvd.allreduce(torch.ones(2, dtype=torch.int32), op=hvd.Adasum),
    "scalar allgather": lambda: hvd.allgather(torch.tensor(1.0)),
    "scalar reducescatter": lambda: hvd.reducescatter(torch.tensor(1.0)),
    "scalar alltoall": lambda: hvd.alltoall(torch.tensor(1.0)),
    "root": lambda: hvd.broadcast(dense(), hvd.size()),
    "negative root": lambda: hvd.broadcast_(dense(), -1),
    "many splits": lambda: hvd.alltoall(dense(), [4] * (hvd.size() + 1)),
    "negative splits": lambda: hvd.alltoall(dense(), [-1] * hvd.size()),
    "large splits": lambda: hvd.alltoall(dense(), [5] * hvd.size()),
    "no process set": lambda: hvd.allreduce(dense(), process_set=3),
    "unregistered set": lambda: hvd.allgather(dense(), process_set=hvd.ProcessSet([0])),
    "dense as sparse": lambda: hvd.sparse_allreduce_async(dense(), "s", hvd.Sum),
    "group": lambda: hvd.grouped_allreduce([dense(), dense().t()[:2]]),
    "group of rows": lambda: hvd.grouped_allgather([dense(), torch.tensor(1.0)]),
    "barrier": lambda: hvd.barrier(process_set=hvd.ProcessSet([0])),
    "no params": lambda: hvd.broadcast_parameters(3, 0),
    "params of strings": lambda: hvd.broadcast_parameters({"a": "b"}, 0),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_a_value_error_on_this_rank_alone(what):
    if hvd.rank() == hvd.size() - 1:
        with pytest.raises(ValueError) as raised:
            WRONG[what]()
        assert not isinstance(raised.value, hvd.HorovodInternalError)
    hvd.join()  # evens out the numbers that this rank alone has used up
    still_works()


UNNAMED = {
    "allreduce": (
        lambda: hvd.allreduce(torch.ones(4, 4).t()[:2]),
        lambda: hvd.allreduce(torch.ones(1), op=hvd.Sum).item() == hvd.size(),
    ),
    "allreduce_": (
        lambda: hvd.allreduce_(torch.ones(2), op=99),
        lambda: hvd.allreduce_(torch.ones(1), op=hvd.Sum).item() == hvd.size(),
    ),
    "adasum": (
        lambda: hvd.allreduce(torch.ones(2, dtype=torch.int32), op=hvd.Adasum),
        lambda: hvd.allreduce(torch.ones(1), op=hvd.Sum).item() == hvd.size(),
    ),
    "broadcast": (
        lambda: hvd.broadcast(torch.ones(2), 1000),
        lambda: hvd.broadcast(torch.ones(1), 0).item() == 1,
    ),
    "broadcast of complex": (
        lambda: hvd.broadcast(torch.ones(2, dtype=torch.complex64), 0),
        lambda: hvd.broadcast(torch.ones(1), 0).item() == 1,
    ),
    "allgather": (
        lambda: hvd.allgather(torch.tensor(1.0)),
        lambda: len(hvd.allgather(torch.ones(1))) == hvd.size(),
    ),
    "alltoall": (
        lambda: hvd.alltoall(torch.ones(3), [7] * hvd.size()),
        lambda: len(hvd.alltoall(torch.ones(hvd.size()))) == hvd.size(),
    ),
    "alltoall without rows": (
        lambda: hvd.alltoall(torch.tensor(3)),
        lambda: len(hvd.alltoall(torch.ones(hvd.size()))) == hvd.size(),
    ),
    "reducescatter": (
        lambda: hvd.reducescatter(torch.tensor(1.0)),
        lambda: len(hvd.reducescatter(torch.ones(hvd.size()))) == 1,
    ),
    "group": (
        lambda: hvd.grouped_allreduce([torch.ones(2), torch.ones(4, 4).t()[:2], torch.ones(1)]),
        lambda: len(hvd.grouped_allreduce([torch.ones(2)] * 3)) == 3,
    ),
    "group of rows": (
        lambda: hvd.grouped_allgather([torch.ones(2), torch.tensor(1.0)]),
        lambda: len(hvd.grouped_allgather([torch.ones(2), torch.ones(1)])) == 2,
    ),
    "group of shares": (
        lambda: hvd.grouped_reducescatter([torch.ones(4), torch.tensor(1.0)]),
        lambda: len(hvd.grouped_reducescatter([torch.ones(4), torch.ones(4)])) == 2,
    ),
    "sparse": (
        lambda: hvd.sparse_allreduce_async(torch.ones(2)),
        lambda: hvd.sparse_allreduce_async(torch.ones(2).to_sparse(), op=hvd.Sum)().sum() >= 2,
    ),
}


# Another way for each to fail, which uses up as many numbers.
ALSO_WRONG = {
    "allreduce": "allreduce_", "allreduce_": "adasum", "adasum": "allreduce",
    "broadcast": "broadcast of complex", "broadcast of complex": "broadcast",
    "alltoall": "alltoall without rows", "alltoall without rows": "alltoall",
}  # fmt: skip


@pytest.mark.parametrize("kind", UNNAMED)
def test_unnamed_operations_stay_matched_after_calls_that_failed_in_different_ways(kind):
    wrong, right = UNNAMED[kind if hvd.rank() == 0 else ALSO_WRONG.get(kind, kind)]
    for _ in range(2):
        with pytest.raises(ValueError):
            wrong()
    assert UNNAMED[kind][1]()
    assert right()


@pytest.mark.parametrize(
    "kind", ["allreduce", "broadcast", "allgather", "alltoall", "reducescatter", "sparse"]
)
def test_a_failed_call_uses_up_exactly_one_number(kind):
    """One rank fails, the others submit what waits for it and ends by time; then all match
    again."""
    several()
    wrong, right = UNNAMED[kind]
    if hvd.rank() == 0:
        with pytest.raises(ValueError):
            wrong()
        time.sleep(2.0)
    else:
        with pytest.raises(ronde.StalledError):
            right()
    hvd.allreduce(torch.ones(1), name="all here")
    assert right()


def test_numbers_match_again_after_a_join_of_ranks_that_drew_differently_many():
    for _ in range(hvd.rank()):
        hvd.allreduce(torch.ones(2))
    hvd.join()
    assert hvd.allreduce(torch.ones(3), op=hvd.Sum).sum().item() == 3 * hvd.size()
    assert len(hvd.allgather(torch.ones(3))) == 3 * hvd.size()
    hvd.barrier()


def test_a_name_that_is_under_way_is_refused_on_that_rank_alone():
    several()
    first = hvd.allreduce_async(own(), name="twice", op=hvd.Sum) if hvd.rank() == 0 else None
    if hvd.rank() == 0:
        with pytest.raises(hvd.HorovodInternalError, match="twice"):
            hvd.allreduce_async(own(), name="twice", op=hvd.Sum)
    hvd.barrier()  # until then the others have not submitted it, so it is under way
    if hvd.rank() > 0:
        first = hvd.allreduce_async(own(), name="twice", op=hvd.Sum)
    same(hvd.synchronize(first), of_all().sum(0))


def test_handles_that_are_none_are_refused_and_a_second_wait_gives_none():
    handle = hvd.allreduce_async(own(), name="once")
    assert hvd.synchronize(handle) is not None
    assert hvd.synchronize(handle) is None
    for wrong in (handle + 100000, -1, 0, "one", None, True):
        with pytest.raises(ValueError):
            hvd.synchronize(wrong)
        with pytest.raises(ValueError):
            hvd.poll(wrong)
    with pytest.raises(ValueError):
        hvd.poll(handle)


def test_a_bad_member_fails_its_group_before_anything_is_queued():
    if hvd.rank() == 0:
        with pytest.raises(ValueError):
            hvd.grouped_allreduce_async_([own(), torch.ones(4, 4).t()[:2]], name="bad")
    first, _ = hvd.grouped_allreduce_([own(), torch.ones(2)], name="bad", op=hvd.Sum)
    same(first, of_all().sum(0))


def test_a_group_with_one_mismatch_fails_whole_on_all_ranks():
    several()
    tensors = [own(), torch.ones(by_rank(2, 3)), own()]
    handle = hvd.grouped_allreduce_async_(tensors, name="mixed", op=hvd.Sum)
    with pytest.raises(hvd.HorovodInternalError):
        hvd.synchronize(handle)
    still_works()


def test_everything_is_refused_before_init_and_after_shutdown():
    hvd.barrier()
    handle = hvd.allreduce_async(own(), name="left behind")
    hvd.shutdown()
    hvd.shutdown()
    assert not hvd.is_initialized()
    calls = [
        hvd.rank, hvd.size, hvd.local_rank, hvd.local_size, hvd.cross_rank, hvd.cross_size,
        hvd.is_homogeneous, hvd.mpi_threads_supported, hvd.join, hvd.barrier, hvd.stop_timeline,
        lambda: hvd.start_timeline("/tmp/x"), lambda: hvd.allreduce(torch.ones(1)),
        lambda: hvd.allgather(torch.ones(1)), lambda: hvd.broadcast(torch.ones(1), 0),
        lambda: hvd.alltoall(torch.ones(1)), lambda: hvd.reducescatter(torch.ones(1)),
        lambda: hvd.add_process_set([0]), lambda: hvd.broadcast_object(1),
        lambda: hvd.sparse_allreduce_async(torch.ones(1).to_sparse()),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="init"):
            call()
    assert hvd.synchronize(handle) is None
    hvd.init()
    hvd.init()
    assert hvd.is_initialized()
    still_works()


def test_a_forked_child_is_refused():
    hvd.barrier()
    child = os.fork()
    if child == 0:
        try:
            hvd.allreduce(torch.ones(1), name="child")
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    still_works()


@pytest.mark.parametrize("kind", ["allreduce", "allgather", "sparse"])
def test_an_interrupted_wait_can_be_taken_up_again(kind):
    several()
    submit = {
        "allreduce": lambda: hvd.allreduce_async(torch.ones(2), name="late"),
        "allgather": lambda: hvd.allgather_async(torch.ones(2), name="late"),
        "sparse": lambda: hvd.sparse_allreduce_async(torch.ones(2).to_sparse(), name="late"),
    }[kind]
    if hvd.rank() == 0:
        handle = submit()
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            with pytest.raises(KeyboardInterrupt):
                hvd.synchronize(handle)
        finally:
            signal.signal(signal.SIGALRM, before)
    else:
        time.sleep(0.6)
        handle = submit()
    assert hvd.synchronize(handle) is not None
