# ronde-test: np=1,2 timeout=60
"""Arrays in the node's shared segment."""

import gc

import numpy as np
import pytest
from values import TYPES, numpy_type

import ronde

OWN_CONTEXT = True


@pytest.fixture(autouse=True)
def opened():
    """A context for each test; the arena is small."""
    ronde.init(settings={"arena_bytes": "8M"})
    yield
    ronde.shutdown()


@pytest.mark.parametrize("name", TYPES)
def test_arrays_have_the_type_and_shape_that_was_asked_for(name):
    kind = numpy_type(name)
    if kind is None:
        pytest.skip("ml_dtypes is missing")
    for dtype in (name, kind, ronde.DType[name.upper()]):
        array = ronde.zeros((2, 3), dtype)
        assert array.shape == (2, 3) and array.dtype == kind and not array.any()
        assert array.flags.c_contiguous and array.flags.writeable
        assert array.ctypes.data % 64 == 0


def test_operations_take_them():
    tensors = [ronde.empty(1000) for _ in range(5)]
    for i, tensor in enumerate(tensors):
        tensor[:] = i + ronde.rank()
    handles = [
        ronde.allreduce_async(t, ronde.Sum, name=f"t{i}", out=t) for i, t in enumerate(tensors)
    ]
    size = ronde.size()
    for i, handle in enumerate(handles):
        assert (handle.wait() == i * size + size * (size - 1) / 2).all()
    assert tensors[0].dtype == np.float32


def test_memory_goes_with_the_last_view():
    for _ in range(20):  # of 8 MiB three fit at a time
        array = ronde.empty(2 << 20, "uint8")
        part = array[100:200]
        del array
        part[:] = 1
    del part
    gc.collect()
    with pytest.raises(ronde.OutOfMemoryError, match="arena_bytes"):
        ronde.empty(9 << 20, "uint8")
    for size in (0, (0, 3), ()):
        assert ronde.empty(size).shape == (size if isinstance(size, tuple) else (size,))
    with pytest.raises(ronde.ArgumentError):
        ronde.empty(-1)
    with pytest.raises(ronde.ArgumentError):
        ronde.empty((2**40, 2**40))
    with pytest.raises(ronde.ArgumentError, match="complex"):
        ronde.empty(3, "complex64")


def test_memory_lives_until_the_operation_is_done():
    array = ronde.empty(10, "int64")
    array[:] = 3
    address = array.ctypes.data
    handle = ronde.allreduce_async(array, ronde.Max, name="kept")
    del array
    gc.collect()
    other = ronde.empty(10, "int64")
    assert other.ctypes.data != address
    assert handle.wait().tolist() == [3] * 10


def test_arrays_outlive_their_context():
    small, large = ronde.empty(5, "int32"), ronde.empty((300, 1000), "float64")
    small[:] = ronde.rank() + 1
    large[:] = np.arange(300000).reshape(300, 1000)
    part = small[3:]
    handle = ronde.allreduce_async(large, ronde.Average, name="large", out=large)
    ronde.shutdown()
    with pytest.raises(ronde.ClosedError):
        handle.wait()
    assert small.tolist() == [ronde_rank_plus_one(small)] * 5
    part[0] = 77
    assert small[3] == 77
    assert (large == np.arange(300000).reshape(300, 1000)).all()
    large += 1
    ronde.init(settings={"arena_bytes": "8M"})
    again = ronde.empty(1000)
    again[:] = 1
    del small, part
    gc.collect()
    assert ronde.allreduce(large, ronde.Average, out=large)[299, 999] == 300000
    assert ronde.allreduce(again, ronde.Sum)[999] == ronde.size()


def ronde_rank_plus_one(array):
    """What the rank was, which nobody can be asked any more."""
    return int(array[0])
