# ronde-test: np=1,2,3,4 mpich=2 timeout=90
"""Every operation, every type, at every number of ranks."""

import numpy as np
import pytest
from values import TYPES, numpy_type, of_all, of_rank, same

import ronde

COUNTS = [0, 1, 2, 3, 5, 1000, 70001]


def typed(name):
    """Skips bfloat16 where ml_dtypes is missing."""
    if numpy_type(name) is None:
        pytest.skip("ml_dtypes is missing")
    return numpy_type(name)


def reduced(op, name, arrays):
    """numpy's idea of an op."""
    if name == "bool":
        every = op in (ronde.Average, ronde.Min, ronde.Product, ronde.BitwiseAnd, ronde.LogicalAnd)
        return np.all(arrays, axis=0) if every else np.any(arrays, axis=0)
    wide = [a.astype("float64" if a.dtype.kind not in "iu" else a.dtype) for a in arrays]
    dtype = arrays[0].dtype
    with np.errstate(over="ignore"):
        if op == ronde.Sum:
            return np.sum(wide, axis=0, dtype=wide[0].dtype).astype(dtype)
        if op == ronde.Average:
            total = np.sum(np.array(arrays).astype("float64"), axis=0)
            return (np.trunc if dtype.kind in "iu" else np.asarray)(total / len(arrays)).astype(
                dtype
            )
        if op == ronde.Product:
            return np.prod(wide, axis=0, dtype=wide[0].dtype).astype(dtype)
        if op == ronde.Min:
            return np.min(wide, axis=0).astype(dtype)
        if op == ronde.Max:
            return np.max(wide, axis=0).astype(dtype)
        if op == ronde.BitwiseAnd:
            return np.bitwise_and.reduce(wide)
        if op == ronde.BitwiseOr:
            return np.bitwise_or.reduce(wide)
        if op == ronde.LogicalAnd:
            return np.all(wide, axis=0).astype(dtype)
        return np.any(wide, axis=0).astype(dtype)


def ops_of(name):
    """The ops that a type has, but Adasum and the weighted average."""
    some = [ronde.Sum, ronde.Min, ronde.Max, ronde.Product]
    if name in ("bool",) or "int" in name:
        some += [
            ronde.BitwiseAnd,
            ronde.BitwiseOr,
            ronde.LogicalAnd,
            ronde.LogicalOr,
            ronde.Average,
        ]
    return some


@pytest.mark.parametrize("name", TYPES)
def test_allreduce_combines_every_type_by_every_op(name):
    typed(name)
    for op in ops_of(name):
        arrays = of_all((5, 13), name)
        if op == ronde.Product:
            arrays = [np.minimum(a, a.dtype.type(2)) for a in arrays]
        mine = arrays[ronde.rank()]
        kept = mine.copy()
        got = ronde.allreduce(mine, op, name=f"{name}.{op}")
        assert same(got, reduced(op, name, arrays)), (name, op)
        assert same(mine, kept)


@pytest.mark.parametrize("count", COUNTS)
def test_allreduce_takes_any_count_in_place_and_from_one_place_to_another(count):
    arrays = of_all(count)
    want = reduced(ronde.Sum, "float32", arrays)
    mine = arrays[ronde.rank()].copy()
    out = np.full(count, -1, "float32")
    assert ronde.allreduce(mine, ronde.Sum, out=out) is out
    assert same(out, want)
    assert same(ronde.allreduce(mine, ronde.Sum), want)
    assert ronde.allreduce(mine, ronde.Sum, out=mine) is mine
    assert same(mine, want)


def test_average_is_what_is_meant_when_nothing_is_said():
    got = ronde.allreduce(np.array([ronde.rank() * 2.0, 4.0]))
    assert got.tolist() == [ronde.size() - 1.0, 4.0]


def test_numbers_come_back_as_numbers():
    size = ronde.size()
    assert ronde.allreduce(ronde.rank(), ronde.Sum) == size * (size - 1) // 2
    assert type(ronde.allreduce(1, ronde.Sum)) is int
    assert type(ronde.allreduce(0.5)) is float
    assert ronde.allreduce(ronde.rank() == 0, ronde.Max) is True
    assert ronde.broadcast(10 * ronde.rank() + 1, size - 1) == 10 * size - 9


def test_arrays_without_dimension_stay_such():
    got = ronde.allreduce(np.float32(ronde.rank()), ronde.Sum)
    assert got.shape == () and got == ronde.size() * (ronde.size() - 1) / 2


def test_scales_are_applied_before_and_after():
    got = ronde.allreduce(np.full(3, 6.0), ronde.Sum, prescale=0.5, postscale=10)
    assert got.tolist() == [30.0 * ronde.size()] * 3


def test_weighted_average_counts_by_weight():
    rank, size = ronde.rank(), ronde.size()
    got = ronde.allreduce(np.full(2, rank + 1.0), ronde.WeightedAverage, weight=rank + 1)
    want = sum((r + 1) ** 2 for r in range(size)) / sum(r + 1 for r in range(size))
    assert np.allclose(got, want, rtol=1e-15)


def test_adasum_adds_what_is_orthogonal_and_averages_what_is_parallel():
    rank, size = ronde.rank(), ronde.size()
    orthogonal = np.zeros(size)
    orthogonal[rank] = 2.0
    assert np.allclose(ronde.allreduce(orthogonal, ronde.Adasum), 2.0)
    assert np.allclose(ronde.allreduce(np.array([3.0, 4.0]), ronde.Adasum), [3.0, 4.0])


@pytest.mark.parametrize("wire", list(ronde.Wire))
def test_a_wire_type_leaves_exact_values_exact(wire):
    arrays = of_all(257)
    got = ronde.allreduce(arrays[ronde.rank()], ronde.Sum, wire=wire)
    assert same(got, reduced(ronde.Sum, "float32", arrays))


def test_bfloat16_may_come_as_16_bit_words():
    # 1.0 is 0x3f80 and 2.0 is 0x4000
    words = np.full(9, 0x3F80, "uint16")
    got = ronde.allreduce(words, ronde.Product, dtype=ronde.bfloat16)
    assert got.dtype == np.uint16 and set(got.tolist()) == {0x3F80}
    got = ronde.allreduce(words, ronde.Sum, dtype="bfloat16", out=words, postscale=2 / ronde.size())
    assert got is words and set(got.tolist()) == {0x4000}


@pytest.mark.parametrize("name", TYPES)
def test_reduce_gives_the_root_the_bits_of_an_allreduce(name):
    typed(name)
    root = ronde.size() - 1
    mine = of_rank(ronde.rank(), (4, 3), name)
    everywhere = ronde.allreduce(mine, ronde.Max)
    got = ronde.reduce(mine, root, ronde.Max, name="r")
    assert same(got, everywhere) if ronde.rank() == root else got is None


def test_reduce_writes_where_it_is_told():
    mine, out = of_rank(ronde.rank(), 5), np.zeros(5, "float32")
    got = ronde.reduce(mine, 0, ronde.Sum, out=out)
    if ronde.rank() == 0:
        assert got is out and same(out, reduced(ronde.Sum, "float32", of_all(5)))
    else:
        assert got is None and not out.any()


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 100])
def test_reducescatter_gives_each_rank_its_share(rows):
    arrays = of_all((rows, 3), "int32")
    whole = reduced(ronde.Sum, "int32", arrays)
    size, rank = ronde.size(), ronde.rank()
    counts = [rows // size + (r < rows % size) for r in range(size)]
    start = sum(counts[:rank])
    want = whole[start : start + counts[rank]]
    assert same(ronde.reducescatter(arrays[rank], ronde.Sum), want)
    out = np.zeros((counts[rank] + 2, 3), "int32")
    assert same(ronde.reducescatter(arrays[rank], ronde.Sum, out=out), want)
    in_place = arrays[rank].copy()
    assert same(ronde.reducescatter(in_place, ronde.Sum, out=in_place), want)


@pytest.mark.parametrize("name", TYPES)
def test_broadcast_copies_the_roots_array(name):
    typed(name)
    for root in range(ronde.size()):
        mine = of_rank(ronde.rank(), (3, 2), name)
        assert same(ronde.broadcast(mine, root, name="b"), of_rank(root, (3, 2), name))
        assert ronde.broadcast(mine, root, name="b", out=mine) is mine
        assert same(mine, of_rank(root, (3, 2), name))


@pytest.mark.parametrize("name", TYPES)
def test_allgather_puts_rows_one_after_the_other(name):
    typed(name)
    parts = [of_rank(rank, (rank + 1, 2), name) for rank in range(ronde.size())]
    want = np.concatenate(parts)
    handle = ronde.allgather_async(parts[ronde.rank()])
    assert same(handle.wait(), want)
    assert handle.rows == [rank + 1 for rank in range(ronde.size())]
    room = np.zeros((len(want) + 3, 2), want.dtype)
    got = ronde.allgather(parts[ronde.rank()], out=room)
    assert same(got, want) and got.base is room and not room[len(want) :].any()


def test_allgather_takes_empty_parts_and_works_in_place():
    rank, size = ronde.rank(), ronde.size()
    mine = np.full((2 if rank == 0 else 0, 3), 5, "int16")
    assert ronde.allgather(mine).tolist() == [[5] * 3] * 2
    assert ronde.allgather(np.zeros((0, 4))).shape == (0, 4)
    out = np.zeros(2 * size)
    part = out[2 * rank : 2 * rank + 2]
    part[:] = rank
    assert ronde.allgather(part, out=out).tolist() == [r for r in range(size) for _ in range(2)]


def test_gather_is_for_the_root_alone():
    size, rank = ronde.size(), ronde.rank()
    for root in range(size):
        got = ronde.gather(np.full((rank, 2), rank, "uint8"), root)
        if rank == root:
            assert same(got, np.concatenate([np.full((r, 2), r, "uint8") for r in range(size)]))
        else:
            assert got is None


def test_scatter_deals_rows_out():
    size, rank = ronde.size(), ronde.rank()
    table = np.arange(2.0 * (size + 1)).reshape(size + 1, 2) if rank == 0 else None
    got = ronde.scatter(table, 0, dtype="float64", row_shape=(2,))
    assert got.shape == (2 if rank == 0 else 1, 2)
    assert got[0, 0] == (0 if rank == 0 else 2 * (rank + 1))
    splits = list(range(size))
    table = np.arange(sum(splits), dtype="int32") if rank == 0 else None
    out = np.zeros(size, "int32")
    handle = ronde.scatter_async(table, 0, splits=splits, out=out)
    assert handle.wait().tolist() == list(range(sum(splits[:rank]), sum(splits[: rank + 1])))
    assert handle.rows == [rank]


@pytest.mark.parametrize("name", TYPES)
def test_alltoall_sends_to_each_and_receives_from_each(name):
    typed(name)
    size, rank = ronde.size(), ronde.rank()
    # Rank s sends (s + d) % 3 rows to rank d.
    splits = [(rank + d) % 3 for d in range(size)]
    mine = of_rank(rank, (sum(splits), 2), name)
    got, received = ronde.alltoall(mine, splits)
    assert received == [(s + rank) % 3 for s in range(size)]
    parts = []
    for s in range(size):
        theirs = [(s + d) % 3 for d in range(size)]
        start = sum(theirs[:rank])
        parts.append(of_rank(s, (sum(theirs), 2), name)[start : start + theirs[rank]])
    assert same(got, np.concatenate(parts))


def test_alltoall_without_splits_is_even():
    size, rank = ronde.size(), ronde.rank()
    got, received = ronde.alltoall(np.arange(2 * size) + 100 * rank)
    assert received == [2] * size
    assert got.tolist() == [100 * s + 2 * rank + i for s in range(size) for i in range(2)]
    out = np.zeros(2 * size + 1, int)
    got, _ = ronde.alltoall(np.arange(2 * size), out=out)
    assert len(got) == 2 * size and out[-1] == 0


def test_send_and_recv_meet_by_name():
    size, rank = ronde.size(), ronde.rank()
    right, left = (rank + 1) % size, (rank - 1) % size
    handles = [
        ronde.send_async(np.array([rank, 7], "int64"), right, name="ring"),
        ronde.recv_async(np.zeros(2, "int64"), left, name="ring"),
    ]
    assert handles[0].wait() is None
    assert handles[1].wait().tolist() == [left, 7]
    if size > 1 and rank < 2:
        if rank == 0:
            ronde.send(np.ones((2, 2)), 1)
        else:
            assert ronde.recv(np.zeros((2, 2)), 0).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("name", ["float32", "float64", "int32", "float16"])
def test_sparse_allreduce_merges_rows_of_one_index(name):
    size, rank = ronde.size(), ronde.rank()
    # Rank r has rows for indices 0, r + 1 and 0 again.
    indices = np.array([0, rank + 1, 0])
    values = np.array([[1, 2], [10 * (rank + 1), 0], [3, 4]], name)
    where, what = ronde.sparse_allreduce(indices, values, ronde.Sum)
    assert where.tolist() == list(range(size + 1)) and where.dtype == np.int64
    want = [[4 * size, 6 * size]] + [[10 * (r + 1), 0] for r in range(size)]
    assert same(what, np.array(want, name))


def test_sparse_allreduce_of_nothing_is_nothing():
    where, what = ronde.sparse_allreduce(np.zeros(0, "int64"), np.zeros((0, 3), "float32"))
    assert where.shape == (0,) and what.shape == (0, 3)


def test_join_leaves_out_who_has_no_more():
    size, rank = ronde.size(), ronde.rank()
    # Rank r has r + 1 batches.
    for step in range(rank + 1):
        got = ronde.allreduce(np.array([float(step)]), ronde.Average, name=f"batch.{step}")
        assert got.tolist() == [float(step)]
        total = ronde.allreduce(1, ronde.Sum, name=f"count.{step}")
        assert total == size - step
    assert ronde.join() == size - 1


def test_join_may_divide_by_all_as_horovod_does(together):
    if ronde.rank() == 0:
        ronde.join()
    else:
        got = ronde.allreduce(np.array([6.0]), ronde.Average, name="six", divide=ronde.Divide.SIZE)
        assert np.allclose(got, 6.0 * (ronde.size() - 1) / ronde.size(), rtol=1e-15)
        ronde.join()


def test_barriers_may_be_several():
    handles = [ronde.barrier_async(name=f"b{i}") for i in range(3)]
    ronde.barrier()
    assert [handle.wait() for handle in reversed(handles)] == [None] * 3


def test_direct_operations_agree_with_named_ones():
    mine = of_rank(ronde.rank(), (4, 5), "float64")
    assert same(ronde.direct_allreduce(mine, ronde.Sum), ronde.allreduce(mine, ronde.Sum))
    assert same(ronde.direct_broadcast(mine, 0), of_rank(0, (4, 5), "float64"))
    assert same(ronde.direct_allgather(mine), ronde.allgather(mine))
    size = ronde.size()
    rows = [r % 3 for r in range(size)]
    part = np.full((rows[ronde.rank()], 2), ronde.rank(), "int8")
    assert same(ronde.direct_allgather(part, rows), ronde.allgather(part))
    assert ronde.direct_allreduce(2, ronde.Sum) == 2 * size
    ronde.direct_allreduce(mine, ronde.Sum, out=mine)
    assert same(mine, reduced(ronde.Sum, "float64", of_all((4, 5), "float64")))


def test_objects_go_by_pickle():
    rank, size = ronde.rank(), ronde.size()
    said = ronde.broadcast_object({"rank": rank, "list": [1, 2]}, size - 1, name="state")
    assert said == {"rank": size - 1, "list": [1, 2]}
    assert ronde.allgather_object(["x"] * rank) == [["x"] * r for r in range(size)]


def test_large_tensors_keep_their_bits():
    arrays = of_all((1 << 20) + 17)
    got = ronde.allreduce(arrays[ronde.rank()], ronde.Sum, name="large")
    assert same(got, reduced(ronde.Sum, "float32", arrays))


def test_counters_and_description_tell_what_happened():
    before = ronde.counters()["operations"]
    ronde.barrier()
    assert ronde.counters()["operations"] == before + 1
    assert f"of {ronde.size()}" in ronde.describe() and "fusion_threshold" in ronde.describe()


def test_ranks_know_where_they_are():
    assert 0 <= ronde.rank() < ronde.size()
    assert ronde.local_size() == ronde.size() and ronde.local_rank() == ronde.rank()
    assert (ronde.cross_rank(), ronde.cross_size(), ronde.is_homogeneous()) == (0, 1, True)
    assert ronde.world().ranks == list(range(ronde.size()))


def test_the_timeline_is_a_file_per_rank(tmp_path):
    import json

    ronde.start_timeline(tmp_path / "steps")
    ronde.allreduce(np.ones(3), name="recorded")
    ronde.stop_timeline()
    text = (tmp_path / f"steps.{ronde.rank()}.json").read_text()
    assert "recorded" in text and json.loads(text)
