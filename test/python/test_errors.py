# ronde-test: np=1,2,3 timeout=60
"""Bad input: a clear exception, nothing lost, and the others told where the operation was
theirs."""

import ctypes
import mmap

import numpy as np
import pytest

import ronde

A = ronde.ArgumentError
X = np.ones(4, "float32")


def read_only():
    array = np.ones(4)
    array.flags.writeable = False
    return array


def released():
    view = memoryview(bytearray(8))
    view.release()
    return view


def unmapped():
    memory = mmap.mmap(-1, 4096)
    memory.close()
    return memory


BAD_TENSORS = {
    "complex": (lambda: np.ones(3, "complex64"), "none of Ronde's types"),
    "dates": (lambda: np.zeros(3, "datetime64[s]"), "none of Ronde's types"),
    "objects": (lambda: np.array([None, 1], object), "none of Ronde's types"),
    "records": (lambda: np.zeros(3, [("a", "i4")]), "none of Ronde's types"),
    "big-endian": (lambda: np.ones(3, ">f4"), "byte order"),
    "long double": (lambda: np.ones(3, "longdouble"), "none of Ronde's types"),
    "strided": (lambda: np.ones(8)[::2], "not contiguous"),
    "transposed": (lambda: np.ones((2, 3)).T, "not contiguous"),
    "masked": (lambda: np.ma.masked_array([1.0, 2.0], [0, 1]), "masked"),
    "a list": (lambda: [1.0, 2.0], "list is no tensor"),
    "text": (lambda: "words", "str is no tensor"),
    "nothing": (lambda: None, "NoneType is no tensor"),
    "a large number": (lambda: 2**70, "64 bits|cannot be written to"),
    "released memory": (released, "no longer usable"),
    "unmapped memory": (unmapped, "no longer usable"),
    "strided memory": (lambda: memoryview(bytearray(8))[::2], "not contiguous"),
}


@pytest.mark.parametrize("what", BAD_TENSORS)
def test_a_bad_tensor_is_refused_here_and_costs_nothing(what):
    make, text = BAD_TENSORS[what]
    submit = [
        lambda t: ronde.allreduce(t, ronde.Sum),
        lambda t: ronde.allreduce_async(t, name="n"),
        lambda t: ronde.reduce(t, 0),
        lambda t: ronde.reducescatter(t),
        lambda t: ronde.broadcast(t, 0),
        lambda t: ronde.allgather(t),
        lambda t: ronde.gather(t, 0),
        lambda t: ronde.alltoall(t),
        lambda t: ronde.sparse_allreduce(np.zeros(3, "int64"), t),
        lambda t: ronde.send(t, 0),
        lambda t: ronde.recv(t, 0),
        lambda t: ronde.direct_allreduce(t),
    ]
    for call in submit:
        with pytest.raises(A, match=text) as caught:
            call(make())
        assert isinstance(caught.value, ValueError) and isinstance(caught.value, RuntimeError)
    everything_matches()


def everything_matches():
    """Unnamed operations still meet those of the other ranks, and are right."""
    size, rank = ronde.size(), ronde.rank()
    assert ronde.allreduce(1, ronde.Sum) == size
    assert ronde.broadcast(rank, size - 1) == size - 1
    assert ronde.allgather(np.array([rank])).tolist() == list(range(size))
    assert ronde.alltoall(np.arange(size))[0].tolist() == [rank] * size
    assert ronde.reducescatter(np.arange(size), ronde.Max).tolist() == [rank]
    assert len(ronde.sparse_allreduce(np.array([rank]), np.ones((1, 1)))[0]) == size


def test_unnamed_operations_stay_matched_when_one_rank_alone_was_refused():
    if ronde.rank() == 0:
        refused = [
            lambda: ronde.allreduce(np.ones(4)[::2]),
            lambda: ronde.allreduce(X, 99),
            lambda: ronde.allreduce(X, prescale="much"),
            lambda: ronde.broadcast("no", 0),
            lambda: ronde.allgather(np.float32(1)),
            lambda: ronde.alltoall(np.ones((2, 2)).T),
            lambda: ronde.reducescatter(None),
            lambda: ronde.reduce(X, 0, out=read_only()),
            lambda: ronde.gather(X, "zero"),
            lambda: ronde.scatter(None, 0),
            lambda: ronde.sparse_allreduce(np.zeros(3), np.ones((3, 1))),
        ]
        for call in refused:
            with pytest.raises(A):
                call()
    else:
        # The numbers that rank 0 used up, used here by the same operations.
        short = {"deadline": 0.2}
        used = [
            ronde.allreduce_async(X, **short),
            ronde.allreduce_async(X, **short),
            ronde.allreduce_async(X, **short),
            ronde.broadcast_async(X, 0, **short),
            ronde.allgather_async(X, **short),
            ronde.alltoall_async(X, [4] + [0] * (ronde.size() - 1), **short),
            ronde.reducescatter_async(X, **short),
            ronde.reduce_async(X, 0, **short),
            ronde.gather_async(X, 0, **short),
            ronde.scatter_async(None, 0, dtype="float32", **short),
            ronde.sparse_allreduce_async(np.zeros(4, "int64"), X, **short),
        ]
        for handle in used:
            with pytest.raises(ronde.StalledError, match="rank 0"):
                handle.wait()
    ronde.barrier()
    everything_matches()


BAD_CALLS = {
    "op": (lambda: ronde.allreduce(X, 11), "unknown op 11"),
    "op of that type": (lambda: ronde.allreduce(X, ronde.BitwiseAnd), "no bitwise_and of float32"),
    "dtype name": (lambda: ronde.allreduce(X, dtype="float8"), "float8"),
    "dtype number": (lambda: ronde.allreduce(X, dtype=77), "unknown dtype 77"),
    "dtype size": (lambda: ronde.allreduce(X, dtype="float64"), "8 bytes"),
    "root": (lambda: ronde.broadcast(X, 99), "99"),
    "negative root": (lambda: ronde.broadcast(X, -1), "-1"),
    "root of 33 bits": (lambda: ronde.broadcast(X, 2**32), "root"),
    "root of text": (lambda: ronde.reduce(X, "0"), "root"),
    "empty name": (lambda: ronde.allreduce(X, name=""), "empty"),
    "long name": (lambda: ronde.allreduce(X, name="n" * 1001), "longer than 1000"),
    "drawn name": (lambda: ronde.allreduce(X, name="allreduce#1"), "drawn"),
    "name with a zero": (lambda: ronde.allreduce(X, name="a\0b"), "zero byte"),
    "name of another type": (lambda: ronde.allreduce(X, name=7), "int"),
    "output's type": (lambda: ronde.allreduce(X, out=np.ones(4)), "float64"),
    "output's shape": (lambda: ronde.allreduce(X, out=np.ones(5, "float32")), r"\[5\]"),
    "output read-only": (lambda: ronde.allreduce(np.ones(4), out=read_only()), "read-only"),
    "tensor read-only": (lambda: ronde.recv(read_only(), 0), "read-only"),
    "bytes as output": (lambda: ronde.broadcast(b"abc", 0, out=b"abc"), "read-only"),
    "strided output": (lambda: ronde.allreduce(np.ones(4), out=np.ones(8)[::2]), "contiguous"),
    "overlapping output": (lambda: ronde.allreduce(Y[:4], out=Y[2:6]), "overlap"),
    "splits": (lambda: ronde.alltoall(X, [1] * ronde.size() + [1]), "entries"),
    "splits that do not add up": (lambda: ronde.alltoall(X, [9] * ronde.size()), "add up"),
    "negative splits": (lambda: ronde.alltoall(X, [-1] * ronde.size()), "negative"),
    "splits of floats": (lambda: ronde.alltoall(X, [1.5] * ronde.size()), "whole numbers"),
    "no rows": (lambda: ronde.allgather(np.array(1.0)), "no dimension"),
    "weight": (lambda: ronde.allreduce(X, ronde.WeightedAverage, weight=-1.0), "weight"),
    "deadline": (lambda: ronde.barrier(deadline=-1.0), "deadline"),
    "divide": (lambda: ronde.allreduce(X, divide=5), "division"),
    "wire": (lambda: ronde.allreduce(X, wire=9), "wire"),
    "wire of that type": (lambda: ronde.allreduce(np.ones(3), wire=1), "float16; the op is"),
    "sparse indices": (lambda: ronde.sparse_allreduce(np.zeros(2, "int32"), np.ones(2)), "int64"),
    "sparse rows": (lambda: ronde.sparse_allreduce(np.zeros(3, "int64"), np.ones(2)), "indices"),
    "direct rows": (lambda: ronde.direct_allgather(X, [1] * 9), "rows_by_rank"),
    "scatter without type": (lambda: scatter_elsewhere(), "dtype|None"),
    "group": (lambda: ronde.allreduce_async(X, group=12345), "no group 12345"),
}
Y = np.ones(8)


def scatter_elsewhere():
    return ronde.scatter(None, (ronde.rank() + 1) % ronde.size())


@pytest.mark.parametrize("what", BAD_CALLS)
def test_a_bad_argument_is_refused_here_with_words(what):
    call, text = BAD_CALLS[what]
    with pytest.raises(A, match=text):
        call()
    everything_matches()


def test_sets_that_are_not_there_are_process_set_errors():
    for number in (7, -1, 499):
        with pytest.raises(ronde.ProcessSetError):
            ronde.allreduce(X, process_set=number)
    with pytest.raises(A):
        ronde.allreduce(X, process_set="all")
    with pytest.raises(A):
        ronde.allreduce(X, process_set=2**32)
    everything_matches()


def test_a_name_that_is_outstanding_is_a_duplicate_on_this_rank(together):
    first = ronde.allreduce_async(np.ones(3), name="twice") if ronde.rank() == 0 else None
    if first:
        with pytest.raises(ronde.DuplicateError, match="twice"):
            ronde.allreduce_async(np.zeros(3), name="twice")
    ronde.barrier()
    got = (first or ronde.allreduce_async(np.ones(3), name="twice")).wait()
    assert got.tolist() == [1.0] * 3


MISMATCHES = {
    "shape": lambda odd: ronde.allreduce(np.ones(3 if odd else 4), name="m"),
    "dimensions": lambda odd: ronde.allreduce(np.ones((2, 2) if odd else 4), name="m"),
    "type": lambda odd: ronde.allreduce(np.ones(4, "int32" if odd else "int64"), name="m"),
    "op": lambda odd: ronde.allreduce(X, ronde.Sum if odd else ronde.Max, name="m"),
    "root": lambda odd: ronde.broadcast(X, 1 if odd else 0, name="m"),
    "scale": lambda odd: ronde.allreduce(X, prescale=2.0 if odd else 1.0, name="m"),
    "row": lambda odd: ronde.allgather(np.ones((1, 2 if odd else 3)), name="m"),
    "rows of a share": lambda odd: ronde.reducescatter(np.ones(6 if odd else 8), name="m"),
    "wire": lambda odd: ronde.allreduce(X, wire=1 if odd else 0, name="m"),
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_ranks_that_disagree_all_learn_it_and_go_on(what, together):
    with pytest.raises(ronde.MismatchError, match="rank") as caught:
        MISMATCHES[what](ronde.rank() == 1)
    assert "'m'" in str(caught.value) and caught.value.status == -7
    everything_matches()


def test_a_deadline_is_a_stall_that_names_who_is_missing(together):
    if ronde.rank() == 0:
        with pytest.raises(ronde.StalledError, match="rank 1"):
            ronde.allreduce(X, name="forgotten", deadline=0.2)
    ronde.barrier(name="after the deadline")
    everything_matches()


def test_too_little_room_is_an_error_here_alone():
    out = np.zeros(ronde.size() if ronde.rank() else ronde.size() - 1)
    if ronde.rank() == 0:
        with pytest.raises(ronde.TruncatedError, match="room"):
            ronde.allgather(np.ones(1), out=out)
    else:
        assert ronde.allgather(np.ones(1), out=out).tolist() == [1.0] * ronde.size()
    with pytest.raises(A, match="share"):
        ronde.reducescatter(np.ones(3 * ronde.size()), out=np.zeros(1))
    everything_matches()


def test_memory_of_a_gpu_is_refused_with_words():
    class Interface:
        __cuda_array_interface__ = {"shape": (1,), "typestr": "<f4", "data": (4096, False)}

    class Capsule:
        def __dlpack_device__(self):
            return 2, 0

        def __dlpack__(self, **options):
            raise AssertionError("nobody asks for it")

    for tensor in (Interface(), Capsule()):
        with pytest.raises(A, match="no plug-in yet"):
            ronde.allreduce(tensor)
    everything_matches()


@pytest.mark.parametrize("name", [None, "g"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_group_refused_on_one_rank_leaves_unnamed_operations_matched(place, name, together):
    arrays = [np.ones(3, "float32") for _ in range(3)]
    if ronde.rank() == 0:
        arrays[place] = "no tensor"
        with pytest.raises(A):
            ronde.grouped_allreduce(arrays, ronde.Sum, name=name)
    elif name is None:
        for array in arrays:  # their unnamed partners were refused: these take their numbers
            with pytest.raises(A):
                ronde.allreduce("no tensor")
    assert ronde.allreduce(X, ronde.Sum)[0] == ronde.size()


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("not me")


def test_an_object_that_cannot_be_pickled_is_the_same_error_everywhere(together):
    last = ronde.size() - 1
    mine = Unpicklable() if ronde.rank() == last else {"fine": 1}
    with pytest.raises(A, match=f"rank {last} cannot be pickled.*not me"):
        ronde.broadcast_object(mine, last)
    with pytest.raises(A, match=f"rank {last} cannot be pickled.*not me"):
        ronde.allgather_object(mine)
    assert ronde.broadcast_object([1], 0) == [1] and ronde.allgather_object(2) == [2] * (last + 1)


def test_a_ctypes_array_that_is_freed_while_lent_stays():
    words = (ctypes.c_float * 3)(1, 2, 3)
    handle = ronde.allreduce_async(words, ronde.Max)
    del words
    assert handle.wait().tolist() == [1.0, 2.0, 3.0]
