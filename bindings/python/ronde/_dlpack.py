"""DLPack tensors of the CPU, read through their capsules (github.com/dmlc/dlpack, versions 0 and
1)."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Tuple

from ._types import DType
from .errors import ArgumentError

_CPU = 1
# Memory of other kinds of devices; those of the host that a GPU merely knows (3, 11) are the
# host's.
_HOST = {_CPU, 3, 11}
_DEVICES = {
    2: "CUDA",
    4: "OpenCL",
    7: "Vulkan",
    8: "Metal",
    10: "ROCm",
    13: "CUDA managed",
    14: "oneAPI",
}
_READ_ONLY = 1
_CODES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_TYPES = {
    **{(0, 8 << i): (DType.INT8, DType.INT16, DType.INT32, DType.INT64)[i] for i in range(4)},
    **{(1, 8 << i): (DType.UINT8, DType.UINT16, DType.UINT32, DType.UINT64)[i] for i in range(4)},
    (2, 16): DType.FLOAT16,
    (2, 32): DType.FLOAT32,
    (2, 64): DType.FLOAT64,
    (4, 16): DType.BFLOAT16,
    (6, 8): DType.BOOL,
}


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _deleter)]


class _ManagedVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_api = ctypes.pythonapi
_is_valid = _api.PyCapsule_IsValid
_is_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_is_valid.restype = ctypes.c_int
_pointer_of = _api.PyCapsule_GetPointer
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
_pointer_of.restype = ctypes.c_void_p
_rename = _api.PyCapsule_SetName
_rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
_rename.restype = ctypes.c_int

# A capsule keeps the address of its name.
_NAME, _USED = b"dltensor", b"used_dltensor"
_NAME_VERSIONED, _USED_VERSIONED = b"dltensor_versioned", b"used_dltensor_versioned"


def _capsule_of(obj: Any, what: str) -> Any:
    try:
        device, _ = obj.__dlpack_device__()
        if int(device) not in _HOST:
            name = _DEVICES.get(int(device), f"DLPack's kind {int(device)}")
            raise ArgumentError(
                f"{what} is in the memory of a device ({name}), for which there is no plug-in yet: "
                "copy it to the host first"
            )
        try:
            return obj.__dlpack__(max_version=(1, 0))
        except TypeError:  # made before version 1
            return obj.__dlpack__()
    except ArgumentError:
        raise
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(f"{what} lends no memory: {error}") from None


class Tensor:
    """A tensor that its producer lends until this object is gone.

    ``readonly`` is None where the producer does not say.
    """

    def __init__(self, obj: Any, what: str) -> None:
        self._managed: Any = None
        capsule = _capsule_of(obj, what)
        self.readonly: Optional[bool] = None
        if _is_valid(capsule, _NAME_VERSIONED):
            managed: Any = _ManagedVersioned.from_address(_pointer_of(capsule, _NAME_VERSIONED))
            if managed.major > 1:
                raise ArgumentError(f"{what} speaks DLPack {managed.major}, newer than version 1")
            self.readonly = bool(managed.flags & _READ_ONLY)
            _rename(capsule, _USED_VERSIONED)
        elif _is_valid(capsule, _NAME):
            managed = _Managed.from_address(_pointer_of(capsule, _NAME))
            _rename(capsule, _USED)
        else:
            raise ArgumentError(f"{what} gave no DLPack tensor")
        self._managed = managed
        self._read(managed.tensor)

    def _read(self, tensor: _Tensor) -> None:
        self.shape: Tuple[int, ...] = tuple(tensor.shape[i] for i in range(tensor.ndim))
        self.strides: Optional[Tuple[int, ...]] = None
        if tensor.strides:
            self.strides = tuple(tensor.strides[i] for i in range(tensor.ndim))
        self.pointer = (tensor.data or 0) + tensor.byte_offset
        self.itemsize = (tensor.bits * tensor.lanes + 7) // 8
        self.dtype: Optional[DType] = (
            _TYPES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
        )
        self.type_text = f"{_CODES.get(tensor.code, tensor.code)}{tensor.bits}"

    def __del__(self) -> None:
        managed, self._managed = self._managed, None
        if managed is not None and managed.deleter:
            managed.deleter(ctypes.addressof(managed))
