"""What callers hold tensors in, as address, shape and type: nothing is copied.

Taken are numpy arrays and whatever else has ``__array_interface__``, DLPack (CPU), or the buffer
protocol; Python's numbers count as arrays of no dimension. The memory must be contiguous in C's
order. A :class:`Buffer` keeps what it shows alive and in its place.
"""

from __future__ import annotations

import ctypes
import math
import sys
from ctypes import addressof
from typing import Any, List, Optional, Tuple

from . import _dlpack
from ._types import ITEM_BYTES, SEEN, DType, dtype_of, of_format, of_numpy, of_typestr
from .errors import ArgumentError


class Buffer:
    """Memory of a tensor.

    ``pointer`` is its address, ``count`` its elements, ``shape`` as usual, ``dtype`` a
    :class:`~ronde.DType`, ``owner`` what keeps the memory alive. ``made_of`` is the numpy dtype
    where the tensor is a numpy array, ``scalar`` the class where it is one of Python's numbers, and
    ``writable`` says that it is known to be that.
    """

    __slots__ = ("count", "dtype", "made_of", "owner", "pointer", "scalar", "shape", "writable")

    def __init__(
        self,
        pointer: int,
        shape: Tuple[int, ...],
        dtype: DType,
        owner: Any,
        made_of: Any = None,
        scalar: Any = None,
        writable: bool = False,
    ) -> None:
        self.pointer = pointer
        self.count = shape[0] if len(shape) == 1 else math.prod(shape)
        self.shape = shape
        self.dtype = dtype
        self.owner = owner
        self.made_of = made_of
        self.scalar = scalar
        self.writable = writable

    def __str__(self) -> str:
        """Such as ``float32 [3, 4]``."""
        return f"{self.dtype.name.lower()} {list(self.shape)}"


def describe(obj: Any) -> str:
    """What an object is, for messages."""
    kind = type(obj).__name__
    try:
        shape, dtype = getattr(obj, "shape", None), getattr(obj, "dtype", None)
    except (RuntimeError, ValueError):  # gone: it says nothing more of itself
        return kind
    if shape is None:
        return kind
    return f"{kind} of shape {list(shape)}" + (f" and {dtype}" if dtype is not None else "")


def _as_type(found: Optional[DType], itemsize: int, wanted: Any, what: str) -> DType:
    """The element type: what the memory says, or what the caller says of elements of that size."""
    if wanted is None:
        if found is None:
            raise ArgumentError(
                f"{what} is none of Ronde's types, or of the other byte order; 16-bit words that "
                "are bfloat16 take dtype=ronde.bfloat16"
            )
        return found
    code = wanted if wanted.__class__ is DType else dtype_of(wanted)
    if ITEM_BYTES[code] != itemsize:
        raise ArgumentError(
            f"dtype {code.name.lower()} has {ITEM_BYTES[code]} bytes, but an element of {what} "
            f"has {itemsize}"
        )
    return code


def _refuse_layout(obj: Any) -> None:
    raise ArgumentError(
        f"{describe(obj)} is not contiguous in C's order: pass numpy.ascontiguousarray of it"
    )


def _refuse_writing(obj: Any) -> None:
    raise ArgumentError(f"{describe(obj)} is read-only, but results would be written to it")


# ---- the buffer protocol -------------------------------------------------------------------------


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
        ("internal", ctypes.c_void_p),
    ]


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_PyBuffer)]
_release_buffer.restype = None
_WRITABLE, _FORMAT, _CONTIGUOUS = 0x1, 0x4, 0x20 | 0x10 | 0x8  # of Python's object.h


class _Export:
    """A buffer that its owner has lent: while it is, a bytearray, say, cannot be resized."""

    __slots__ = ("view",)

    def __init__(self, obj: Any, flags: int) -> None:
        self.view: Optional[_PyBuffer] = None
        view = _PyBuffer()
        _get_buffer(obj, ctypes.byref(view), flags)
        self.view = view

    def __del__(self) -> None:
        if self.view is not None:
            _release_buffer(ctypes.byref(self.view))


def _lent(obj: Any, writable: bool) -> _Export:
    try:
        return _Export(obj, _FORMAT | _CONTIGUOUS | (_WRITABLE if writable else 0))
    except BufferError as error:
        reason = str(error)
    except ValueError as error:  # a memoryview that was released, a file that is closed
        raise ArgumentError(f"{describe(obj)} is no longer usable: {error}") from None
    try:
        seen = memoryview(obj)
    except (BufferError, TypeError, ValueError):
        raise ArgumentError(f"{describe(obj)} lends no memory: {reason}") from None
    if not seen.c_contiguous:
        _refuse_layout(obj)
    if writable and seen.readonly:
        _refuse_writing(obj)
    raise ArgumentError(f"{describe(obj)} lends no memory: {reason}")


def _of_buffer(obj: Any, writable: bool, dtype: Any) -> Buffer:
    export = _lent(obj, writable)
    view = export.view
    assert view is not None
    form = (view.format or b"B").decode()
    shape = tuple(view.shape[i] for i in range(view.ndim))
    code = _as_type(of_format(form, view.itemsize), view.itemsize, dtype, f"format '{form}'")
    return Buffer(view.buf or 0, shape, code, (obj, export))


# Wants a byte, contiguous and writable.
_from_buffer = ctypes.c_char.from_buffer

# ---- numpy and array interfaces ------------------------------------------------------------------


def _of_numpy(obj: Any, writable: bool, dtype: Any) -> Buffer:
    made_of = obj.dtype
    code = SEEN.get(made_of)
    if dtype is None and code is not None:
        try:  # four times as fast as asking numpy; it refuses what is read-only or not contiguous
            return Buffer(addressof(_from_buffer(obj)), obj.shape, code, obj, made_of, None, True)
        except (BufferError, TypeError, ValueError):
            pass
    interface = obj.__array_interface__
    if interface["strides"] is not None:
        _refuse_layout(obj)
    pointer, readonly = interface["data"]
    if readonly and writable:
        _refuse_writing(obj)
    code = of_numpy(made_of)
    if dtype is not None or code is None:
        code = _as_type(code, made_of.itemsize, dtype, f"dtype {made_of}")
    return Buffer(pointer, interface["shape"], code, obj, made_of)


def _contiguous(shape: Tuple[int, ...], strides: Any, itemsize: int) -> bool:
    expected = itemsize
    for length, stride in zip(reversed(shape), reversed(tuple(strides))):
        if length > 1 and stride != expected:
            return False
        expected *= length
    return True


def _of_interface(obj: Any, interface: Any, writable: bool, dtype: Any) -> Buffer:
    typestr = interface["typestr"]
    itemsize = int(typestr[2:])
    code = _as_type(of_typestr(typestr), itemsize, dtype, f"typestr '{typestr}'")
    shape = tuple(int(n) for n in interface["shape"])
    strides, data = interface.get("strides"), interface.get("data")
    if interface.get("mask") is not None:
        raise ArgumentError(f"{describe(obj)} is masked: pass its data and its mask apart")
    if strides is not None and 0 not in shape and not _contiguous(shape, strides, itemsize):
        _refuse_layout(obj)
    if not isinstance(data, tuple):  # None: by the buffer protocol; else an object that has it
        export = _lent(obj if data is None else data, writable)
        assert export.view is not None
        pointer = (export.view.buf or 0) + int(interface.get("offset", 0))
        if int(interface.get("offset", 0)) + itemsize * math.prod(shape) > export.view.len:
            raise ArgumentError(f"{describe(obj)} points past the memory that it lends")
        return Buffer(pointer, shape, code, (obj, export))
    if data[1] and writable:
        _refuse_writing(obj)
    return Buffer(data[0], shape, code, (obj, interface))


# ---- all of it -----------------------------------------------------------------------------------


def _of_number(obj: Any, writable: bool) -> Buffer:
    if writable:
        raise ArgumentError(f"{type(obj).__name__} {obj} cannot be written to: pass an array")
    kind = type(obj)
    try:
        if kind is bool:
            word: Any = ctypes.c_uint8(obj)
            code = DType.BOOL
        elif kind is int:
            if not -(2**63) <= obj < 2**63:
                raise ArgumentError(f"{obj} does not fit into 64 bits")
            word, code = ctypes.c_int64(obj), DType.INT64
        else:
            word, code = ctypes.c_double(obj), DType.FLOAT64
    except TypeError as error:
        raise ArgumentError(str(error)) from None
    return Buffer(ctypes.addressof(word), (), code, word, None, kind)


def _has_buffer(obj: Any) -> bool:
    try:
        memoryview(obj)
    except TypeError:
        return False
    except (BufferError, ValueError):
        pass
    return True


def view(obj: Any, writable: bool = False, dtype: Any = None) -> Buffer:
    """Shows the memory of ``obj``, for reading or also for writing.

    ``dtype`` overrides the element type by one of the same size (``bfloat16`` in 16-bit words).
    Raises :class:`ArgumentError` where there is no such memory: wrong type, not contiguous,
    read-only, released, on a GPU.
    """
    numpy = sys.modules.get("numpy")
    kind = type(obj)
    if numpy is not None and kind is numpy.ndarray:
        return _of_numpy(obj, writable, dtype)
    if kind is float or kind is int or kind is bool:
        return _of_number(obj, writable)
    if isinstance(obj, Buffer):
        return obj
    try:
        on_gpu = getattr(obj, "__cuda_array_interface__", None)
        interface = None if on_gpu is not None else getattr(obj, "__array_interface__", None)
    except RuntimeError as error:  # arrays whose memory was given away, tensors that need gradients
        raise ArgumentError(f"{kind.__name__} lends no memory: {error}") from None
    if on_gpu is not None:
        raise ArgumentError(
            f"{describe(obj)} is in the memory of a GPU, for which there is no plug-in yet: copy "
            "it to the host first"
        )
    if interface is not None:
        if numpy is not None and isinstance(obj, numpy.ndarray):
            if isinstance(obj, numpy.ma.MaskedArray):
                raise ArgumentError(f"{describe(obj)} is masked: pass its data and its mask apart")
            return _of_numpy(obj, writable, dtype)
        return _of_interface(obj, interface, writable, dtype)
    if hasattr(kind, "__dlpack__") and hasattr(kind, "__dlpack_device__"):
        return _of_dlpack(obj, writable, dtype)
    if _has_buffer(obj):
        return _of_buffer(obj, writable, dtype)
    raise ArgumentError(
        f"{kind.__name__} is no tensor: it has no buffer protocol, no __array_interface__ and no "
        "__dlpack__; pass numpy.asarray of it"
    )


def _of_dlpack(obj: Any, writable: bool, dtype: Any) -> Buffer:
    tensor = _dlpack.Tensor(obj, describe(obj))
    if writable and tensor.readonly is None and _has_buffer(obj):  # which may know
        try:
            tensor.readonly = memoryview(obj).readonly
        except (BufferError, ValueError):  # JAX's bfloat16: what cannot be known is not written to
            tensor.readonly = True
    if writable and tensor.readonly:
        _refuse_writing(obj)
    if tensor.strides is not None and 0 not in tensor.shape:
        if not _contiguous(tensor.shape, tensor.strides, 1):
            _refuse_layout(obj)
    code = _as_type(tensor.dtype, tensor.itemsize, dtype, f"type {tensor.type_text}")
    return Buffer(tensor.pointer, tensor.shape, code, (obj, tensor))


def row_of(shape: Tuple[int, ...], what: str) -> Tuple[int, int]:
    """(rows, elements a row) of a tensor that is taken by rows. Raises :class:`ArgumentError`."""
    if not shape:
        raise ArgumentError(f"{what} has no dimension, so there are no rows in it")
    return shape[0], math.prod(shape[1:])


def owners(*buffers: Optional[Buffer]) -> List[Any]:
    """What must live until an operation is done."""
    return [buffer.owner for buffer in buffers if buffer is not None]
