# ronde-test: np=1,2,4 timeout=60
"""Process sets and groups."""

import numpy as np
import pytest

import ronde


def test_a_set_is_of_its_members_alone():
    size, rank = ronde.size(), ronde.rank()
    evens = ronde.add_process_set(range(0, size, 2))
    assert evens.ranks == list(range(0, size, 2)) and evens.size() == len(evens.ranks)
    assert evens.id == evens and evens.included() == (rank % 2 == 0)
    if evens.included():
        assert evens.rank() == rank // 2
        got = ronde.allreduce(np.array([rank]), ronde.Sum, process_set=evens)
        assert got.tolist() == [sum(evens.ranks)]
        assert ronde.allgather(np.array([rank]), process_set=evens).tolist() == evens.ranks
        assert ronde.broadcast(rank, evens.ranks[-1], process_set=evens) == evens.ranks[-1]
        share = ronde.reducescatter(np.arange(evens.size()), ronde.Max, process_set=evens)
        assert share.tolist() == [evens.rank()]
        got, received = ronde.alltoall(np.full(evens.size(), rank), process_set=evens)
        assert got.tolist() == evens.ranks and received == [1] * evens.size()
        ronde.barrier(process_set=evens)
    else:
        with pytest.raises(ronde.ProcessSetError, match="no member"):
            ronde.allreduce(np.ones(1), process_set=evens)
    evens.remove()
    with pytest.raises(ronde.ProcessSetError, match="unknown process set"):
        ronde.barrier(process_set=evens)
    assert evens.size() == -1


def test_colours_split_the_ranks():
    size, rank = ronde.size(), ronde.rank()
    mine = ronde.split_process_set(rank % 2)
    assert ronde.allreduce(1, ronde.Sum, process_set=mine) == len(range(rank % 2, size, 2))
    none = ronde.split_process_set(-1 if rank == 0 else 0)
    assert (none == -1) == (rank == 0)
    ronde.barrier()
    if size > 1:
        other = ronde.allreduce(int(none), ronde.Max)
        ronde.remove_process_set(other)
    # The first split's sets, in one order on all ranks.
    for number in sorted(set(ronde.allgather(np.array([int(mine)])).tolist())):
        ronde.remove_process_set(number)


def test_bad_sets_are_refused():
    with pytest.raises(ronde.ArgumentError):
        ronde.add_process_set([99])
    with pytest.raises(ronde.ArgumentError):
        ronde.add_process_set([0, 0])
    with pytest.raises(ronde.ArgumentError):
        ronde.add_process_set("01")
    with pytest.raises(ronde.ArgumentError):
        ronde.add_process_set([0.5])
    with pytest.raises(ronde.ProcessSetError):
        ronde.remove_process_set(0)
    with pytest.raises(ronde.ArgumentError, match="communicator"):
        ronde.process_set_from_communicator("world")


def test_lists_that_differ_are_an_error_everywhere(together):
    with pytest.raises(ronde.MismatchError):
        ronde.add_process_set([0] if ronde.rank() == 0 else [1])


def test_a_group_completes_together():
    tensors = [np.full(3, float(i + ronde.rank())) for i in range(5)]
    with ronde.group() as group:
        handles = [
            ronde.allreduce_async(t, ronde.Sum, name=f"g{i}", group=group)
            for i, t in enumerate(tensors)
        ]
        rows = ronde.allgather_async(np.array([ronde.rank()]), name="g", group=group)
        with pytest.raises(ronde.HandleError, match="has not ended"):
            handles[0].wait()
    size = ronde.size()
    for i, handle in enumerate(handles):
        assert handle.wait().tolist() == [i * size + size * (size - 1) / 2] * 3
    assert rows.wait().tolist() == list(range(size))


def test_grouped_allreduce_takes_lists():
    tensors = [np.full((2, i), float(ronde.rank())) for i in range(4)]
    outs = [np.empty_like(t) for t in tensors]
    got = ronde.grouped_allreduce(tensors, ronde.Max, name="list", outs=outs)
    assert all(g is o for g, o in zip(got, outs))
    assert all((o == ronde.size() - 1).all() for o in outs)
    got = ronde.grouped_allreduce([1, 2.0], ronde.Sum)
    assert got == [ronde.size(), 2.0 * ronde.size()]
    with pytest.raises(ronde.ArgumentError, match="outputs"):
        ronde.grouped_allreduce(tensors, outs=outs[:1])


def test_a_bad_member_cancels_the_group_and_nothing_is_queued():
    with pytest.raises(ronde.ArgumentError, match="contiguous"):
        ronde.grouped_allreduce([np.ones(3), np.ones(8)[::2]], name="bad")
    assert not ronde.context.kept
    got = ronde.grouped_allreduce([np.ones(3), np.ones(4)], ronde.Sum, name="bad")
    assert got[1].tolist() == [float(ronde.size())] * 4


def test_refusals_that_are_caught_refuse_the_group_at_its_end():
    array = np.ones(3)
    with pytest.raises(ronde.ArgumentError, match="contiguous.*complex|complex.*contiguous"):
        with ronde.group() as group:
            first = ronde.allreduce_async(array, group=group)
            for bad in (np.ones(8)[::2], np.ones(2, "complex128")):
                with pytest.raises(ronde.ArgumentError):
                    ronde.allreduce_async(bad, group=group)
    with pytest.raises(ronde.ArgumentError, match="contiguous"):
        first.wait()
    array[0] = 2  # not in flight any more
    assert not ronde.context.kept
    assert ronde.allreduce(1, ronde.Sum) == ronde.size()


def test_an_exception_cancels_the_group():
    with pytest.raises(KeyError):
        with ronde.group() as group:
            handle = ronde.allreduce_async(np.ones(1), name="never", group=group)
            raise KeyError
    with pytest.raises(ronde.HandleError, match="cancelled"):
        handle.wait()
    assert ronde.allreduce(2, ronde.Sum, name="never") == 2 * ronde.size()


def test_a_mismatch_fails_the_whole_group_everywhere(together):
    with ronde.group() as group:
        handles = [
            ronde.allreduce_async(np.ones(2), name="fine", group=group),
            ronde.allreduce_async(np.ones(2 + ronde.rank()), name="odd one", group=group),
        ]
    for handle in handles:
        with pytest.raises(ronde.MismatchError, match="odd one"):
            handle.wait()
    assert ronde.allreduce(1, ronde.Sum) == ronde.size()
