# ronde-test: np=1 timeout=60
"""Whatever lends its memory: the buffer protocol, array interfaces, DLPack; and a Python without
numpy."""

import array
import ctypes
import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

import ronde
from ronde._buffers import view


class Interface:
    """An array interface and nothing else, over an array that it keeps."""

    def __init__(self, kept, **more):
        self.kept = kept
        self.__array_interface__ = {**kept.__array_interface__, **more}


class Capsule:
    """DLPack and nothing else; numpy makes the capsules."""

    def __init__(self, kept, versions=True):
        self.kept = kept
        self.versions = versions

    def __dlpack_device__(self):
        return self.kept.__dlpack_device__()

    def __dlpack__(self, **options):
        if not self.versions and options:
            raise TypeError("unexpected keyword argument 'max_version'")
        return self.kept.__dlpack__(**options)


LENDERS = {
    "numpy": lambda a: a,
    "memoryview": memoryview,
    "array interface": Interface,
    "dlpack 1": Capsule,
    "dlpack 0": lambda a: Capsule(a, versions=False),
    "subclass": lambda a: a.view(type("Sub", (np.ndarray,), {})),
}


@pytest.mark.parametrize("name", LENDERS)
@pytest.mark.parametrize(
    "kind", ["uint8", "int16", "int64", "float16", "float32", "float64", "bool"]
)
def test_memory_is_used_where_it_is(name, kind):
    kept = (np.arange(6).reshape(2, 3) % 2).astype(kind)
    tensor = LENDERS[name](kept)
    seen = view(tensor)
    assert seen.pointer == kept.ctypes.data and seen.shape == (2, 3) and seen.count == 6
    assert seen.dtype.name.lower() == kind
    assert ronde.allreduce(tensor, ronde.Max).tolist() == kept.tolist()
    out = np.zeros((2, 3), kind)
    lent = LENDERS[name](out)
    assert ronde.allreduce(tensor, ronde.Max, out=lent) is lent
    assert out.tolist() == kept.tolist()


def test_pythons_own_buffers():
    words = array.array("d", [1, 2, 3])
    assert ronde.allreduce(words, ronde.Sum).tolist() == [1.0, 2.0, 3.0]
    assert ronde.broadcast(b"abc", 0).tobytes() == b"abc"
    memory = bytearray(3)
    ronde.allreduce(b"xyz", ronde.Max, out=memory)
    assert memory == b"xyz"
    cells = ((ctypes.c_int32 * 2) * 2)((1, 2), (3, 4))
    assert ronde.allreduce(cells).tolist() == [[1, 2], [3, 4]]


def test_letters_of_the_buffer_protocol_mean_sizes():
    for letter in "bBhHiIlLqQfd":
        words = array.array(letter, [1, 2])
        seen = view(words)
        assert seen.dtype.itemsize == words.itemsize
        assert (seen.dtype.name.startswith("U")) == (letter in "BHILQ")
        assert ronde.allreduce(words, ronde.Sum).tolist() == [1, 2]


def test_layouts_that_are_not_contiguous_are_refused_in_every_dress():
    wide = np.ones((4, 4), "float32")
    for part in (wide[:, 1:3], wide.T[:3], wide[::2]):
        for name in ("numpy", "memoryview", "array interface", "dlpack 1", "dlpack 0"):
            with pytest.raises(ronde.ArgumentError, match="contiguous"):
                view(LENDERS[name](part))
    # One row, or none, is contiguous whatever its strides say.
    assert view(Interface(wide[:1], strides=(999, 4))).shape == (1, 4)
    assert view(Interface(wide[:0], strides=(999, 4))).count == 0


def test_what_is_read_only_may_be_read_and_not_written():
    kept = np.ones(3)
    kept.flags.writeable = False
    for name in ("numpy", "memoryview", "array interface", "dlpack 1"):
        assert view(LENDERS[name](kept)).count == 3
        with pytest.raises(ronde.ArgumentError, match="read-only"):
            view(LENDERS[name](kept), writable=True)


def test_an_interface_may_point_into_another_object():
    kept = np.arange(8, dtype="int32")
    tensor = Interface(kept, data=kept.data, offset=8, shape=(2,))
    assert ronde.allreduce(tensor).tolist() == [2, 3]


def test_a_tensor_lent_by_dlpack_is_given_back():
    kept = np.ones(3)
    before = sys.getrefcount(kept)
    seen = view(Capsule(kept))
    assert sys.getrefcount(kept) > before
    del seen
    gc.collect()
    assert sys.getrefcount(kept) == before


def test_memory_is_kept_while_an_operation_may_use_it():
    class Watched(np.ndarray):
        pass

    tensor = np.ones(3).view(Watched)
    gone = weakref.ref(tensor)
    handle = ronde.allreduce_async(tensor, ronde.Sum)
    del tensor
    gc.collect()
    handle.wait()
    del handle
    gc.collect()
    assert gone() is None


def test_bfloat16_comes_by_name():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    tensor = np.array([1, 2, 3], ml_dtypes.bfloat16)
    assert view(tensor).dtype == ronde.bfloat16
    got = ronde.allreduce(tensor, ronde.Sum)
    assert got.dtype == tensor.dtype and got.tolist() == [1, 2, 3]
    assert ronde.empty(3, "bfloat16").dtype == tensor.dtype


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import array
import ronde
ronde.init()
got = ronde.allreduce(array.array("f", [1, 2, 3]), ronde.Sum)
assert isinstance(got, memoryview) and got.tolist() == [1, 2, 3], got
assert ronde.allgather(bytearray(b"ab")).tobytes() == b"ab"
assert ronde.allreduce(2.5) == 2.5
wide = memoryview(array.array("i", range(6))).cast("B").cast("i", (2, 3))
assert ronde.reducescatter(wide, ronde.Max).tolist() == [[0, 1, 2], [3, 4, 5]]
where, what = ronde.sparse_allreduce(array.array("q", [3, 3]), array.array("d", [1, 2]), ronde.Sum)
assert (where.tolist(), what.tolist()) == ([3], [3.0])
arena = ronde.zeros((2, 2), "int32")
arena[1, 1] = 7
assert ronde.allreduce(arena, ronde.Max, out=arena) is arena and arena.tolist() == [[0, 0], [0, 7]]
assert ronde.allgather_object({"a": 1}) == [{"a": 1}]
assert ronde.broadcast_object("text", 0) == "text"
ronde.shutdown()
assert arena.tolist() == [[0, 0], [0, 7]]
print("done")
"""


def test_numpy_is_not_needed():
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True, env=dict(os.environ)
    )
    assert said.stdout == "done\n", said.stderr
