"""What results are made of: numpy arrays, or memoryviews where numpy is missing."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Tuple

from ._buffers import Buffer
from ._types import ITEM_BYTES, LETTERS, NAMES, DType

numpy: Any
try:
    import numpy
except ImportError:
    numpy = None

_numpy_types: Dict[int, Any] = {}


def numpy_type(dtype: DType) -> Any:
    """The numpy dtype of a type: of bfloat16 that of ``ml_dtypes``, or ``uint16`` where that is
    missing."""
    made = _numpy_types.get(dtype)
    if made is None:
        name = next(name for name, value in NAMES.items() if value == dtype)
        if dtype == DType.BFLOAT16:
            try:
                import ml_dtypes

                made = numpy.dtype(ml_dtypes.bfloat16)
            except ImportError:
                made = numpy.dtype("uint16")
        else:
            made = numpy.dtype(name)
        _numpy_types[dtype] = made
    return made


def _shaped(memory: Any, shape: Tuple[int, ...], dtype: DType) -> Any:
    """A memoryview of that shape; empty ones have no shape of more than one dimension."""
    flat: Any = memoryview(memory).cast("B")[: ITEM_BYTES[dtype] * _product(shape)]
    if 0 in shape:
        return flat.cast(LETTERS[dtype])
    return flat.cast(LETTERS[dtype], shape)


def _product(shape: Tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def empty(shape: Tuple[int, ...], dtype: DType, made_of: Any = None) -> Any:
    """New private memory; ``made_of``: the numpy dtype to have, where the caller's array had
    one."""
    if numpy is not None:
        return numpy.empty(shape, made_of if made_of is not None else numpy_type(dtype))
    return _shaped(bytearray(max(1, ITEM_BYTES[dtype] * _product(shape))), shape, dtype)


def over(memory: Any, shape: Tuple[int, ...], dtype: DType, made_of: Any = None) -> Any:
    """An array over memory with the buffer protocol, which it keeps alive."""
    if numpy is None:
        return _shaped(memory, shape, dtype)
    kind = made_of if made_of is not None else numpy_type(dtype)
    return numpy.ndarray(shape, kind, buffer=memory)


def copied(pointer: int, shape: Tuple[int, ...], dtype: DType, made_of: Any = None) -> Any:
    """A new array with what is at an address."""
    array = empty(shape, dtype, made_of)
    count = _product(shape)
    if count:
        ctypes.memmove(address(array), pointer, count * ITEM_BYTES[dtype])
    return array


def address(array: Any) -> int:
    """Where the memory of an array made here is."""
    if numpy is not None:
        pointer: int = array.__array_interface__["data"][0]
        return pointer
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if len(array) else 0


def like(source: Buffer) -> Any:
    """New private memory for a result of a tensor's shape and type."""
    if numpy is not None and source.made_of is not None:
        return numpy.empty(source.shape, source.made_of)
    return empty(source.shape, source.dtype)


def item(array: Any) -> Any:
    """The one element of an array of no dimension, as one of Python's numbers."""
    return array.item() if numpy is not None else array[()]
