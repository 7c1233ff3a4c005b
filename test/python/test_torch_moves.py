"""ronde.torch: allgather, broadcast, alltoall, barrier, objects."""
# ronde-test: np=1,2,3,4 timeout=120

import pytest
from torch_ranks import *  # noqa: F403
from torch_ranks import FLOATS, INTEGERS, MORE_INTEGERS, hvd, of_rank, own, same, several, torch

EVERYTHING = FLOATS + INTEGERS + MORE_INTEGERS


@pytest.mark.parametrize("dtype", [*EVERYTHING, torch.bool])
def test_gathers_rows_in_order_of_rank(dtype):
    rank = hvd.rank()
    got = hvd.allgather(of_rank(rank, (rank + 1, 3), dtype))
    same(got, torch.cat([of_rank(r, (r + 1, 3), dtype) for r in range(hvd.size())]))


def test_gathers_where_some_have_no_rows():
    rank = hvd.rank()
    rows = 0 if rank == 0 else 2
    got = hvd.allgather(of_rank(rank, (rows, 2)), name="some")
    parts = [of_rank(r, (0 if r == 0 else 2, 2)) for r in range(hvd.size())]
    same(got, torch.cat(parts))
    same(hvd.allgather(torch.zeros(0, 4)), torch.zeros(0, 4))
    same(hvd.allgather(torch.zeros(2, 0)), torch.zeros(2 * hvd.size(), 0))


def test_gathers_asynchronously_and_in_groups():
    rank = hvd.rank()
    handle = hvd.allgather_async(own((2, 2)), name="async")
    group = hvd.grouped_allgather_async(
        [own((1,)), of_rank(rank, (rank, 2), torch.int64)], name="g"
    )
    first, second = hvd.synchronize(group)
    same(first, torch.cat([of_rank(r, (1,)) for r in range(hvd.size())]))
    same(second, torch.cat([of_rank(r, (r, 2), torch.int64) for r in range(hvd.size())]))
    same(hvd.synchronize(handle), torch.cat([of_rank(r, (2, 2)) for r in range(hvd.size())]))
    assert [t.shape[0] for t in hvd.grouped_allgather([own((1,)), own((3,))])] == [
        hvd.size(),
        3 * hvd.size(),
    ]


@pytest.mark.parametrize("dtype", [*EVERYTHING, torch.bool])
def test_broadcasts_from_every_root(dtype):
    for root in range(hvd.size()):
        tensor = own(dtype=dtype)
        same(hvd.broadcast(tensor, root), of_rank(root, dtype=dtype))
        same(tensor, own(dtype=dtype))
        assert hvd.broadcast_(tensor, root, name=f"root{root}") is tensor
        same(tensor, of_rank(root, dtype=dtype))


def test_broadcasts_asynchronously():
    handles = [hvd.broadcast_async(own(), hvd.size() - 1), hvd.broadcast_async_(own(), 0)]
    same(hvd.synchronize(handles[1]), of_rank(0))
    same(hvd.synchronize(handles[0]), of_rank(hvd.size() - 1))


def test_alltoall_splits_evenly_by_default():
    ranks, rank = hvd.size(), hvd.rank()
    got = hvd.alltoall(own((2 * ranks, 3)))
    wanted = [of_rank(r, (2 * ranks, 3))[2 * rank : 2 * rank + 2] for r in range(ranks)]
    same(got, torch.cat(wanted))


@pytest.mark.parametrize("kind", ["list", "int32", "int64"])
def test_alltoall_returns_received_splits_where_splits_are_given(kind):
    ranks, rank = hvd.size(), hvd.rank()
    splits = list(range(ranks))  # i rows to rank i: none to rank 0
    rows = sum(splits)
    given = splits if kind == "list" else torch.tensor(splits, dtype=getattr(torch, kind))
    got, received = hvd.alltoall(own((rows, 2)), given, name="splits")
    start = sum(splits[:rank])
    wanted = [of_rank(r, (rows, 2))[start : start + rank] for r in range(ranks)]
    same(got, torch.cat(wanted))
    assert received.tolist() == [rank] * ranks
    assert received.dtype == (torch.int64 if kind == "int64" else torch.int32)


def test_asynchronous_alltoall_gives_a_pair_always():
    got, received = hvd.synchronize(hvd.alltoall_async(own((hvd.size(),))))
    assert len(got) == hvd.size() and received.tolist() == [1] * hvd.size()


def test_a_barrier_lets_asynchronous_operations_go_on():
    handle = hvd.allreduce_async(own(), name="beside", op=hvd.Sum)
    hvd.barrier()
    assert hvd.synchronize(handle).shape == (3, 4)


def test_gathers_and_alltoalls_fail_on_all_who_call_while_a_rank_has_joined():
    several()
    if hvd.rank() != 1:
        calls = [
            lambda: hvd.allgather(own(), name="gone"),
            lambda: hvd.grouped_allgather([own(), own()]),
            lambda: hvd.alltoall(own((hvd.size(),)), [1] * hvd.size()),
            lambda: hvd.allgather(own((0, 4))),
        ]
        for call in calls:
            with pytest.raises(hvd.HorovodInternalError, match=r"rank 1 .*joined"):
                call()
        got = hvd.allreduce(torch.ones(1), op=hvd.Sum)
        assert got.item() == hvd.size() - 1
    hvd.join()
    assert len(hvd.allgather(torch.zeros(1))) == hvd.size()


def test_objects_are_broadcast_and_gathered():
    rank = hvd.rank()
    told = {"rank": rank, "list": [1, "two", 3.0], "tensor": own()}
    got = hvd.broadcast_object(told if rank == hvd.size() - 1 else None, hvd.size() - 1)
    assert got["rank"] == hvd.size() - 1 and got["list"] == told["list"]
    same(got["tensor"], of_rank(hvd.size() - 1))
    assert hvd.allgather_object("x" * rank) == ["x" * r for r in range(hvd.size())]
    assert hvd.broadcast_object(None, 0, name="nothing") is None
