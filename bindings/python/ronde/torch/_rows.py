"""Results that the library makes, as tensors; and sparse tensors as rows."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Optional

import torch

from . import _core
from ._core import library, pointer
from ._errors import HorovodInternalError


def _copied(address: Optional[int], shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of memory that the library handed over, which is freed. A copy, since the library's
    memory ends with hvd.shutdown(), and a tensor may not."""
    tensor = torch.empty(tuple(shape), dtype=dtype)
    if address:
        ctypes.memmove(tensor.data_ptr(), address, tensor.numel() * tensor.element_size())
        library().ronde_free(pointer(), address)
    return tensor


def take(native: int, row_shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """The rows that came, of an operation that is done."""
    memory, rows = ctypes.c_void_p(), ctypes.c_size_t()
    _core.check(library().ronde_take(pointer(), native, memory, rows))
    return _copied(memory.value, (rows.value, *row_shape), dtype)


def take_sparse(
    native: int, row_shape: Sequence[int], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices in ascending order, each once, and their rows."""
    indices, values = ctypes.POINTER(ctypes.c_int64)(), ctypes.c_void_p()
    rows = ctypes.c_size_t()
    _core.check(library().ronde_take_sparse(pointer(), native, indices, values, rows))
    address = ctypes.cast(indices, ctypes.c_void_p).value
    return (
        _copied(address, (rows.value,), torch.int64),
        _copied(values.value, (rows.value, *row_shape), dtype),
    )


def flat(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A sparse tensor's rows: one index each, over all sparse dimensions, and the values."""
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.sparse_coo:
        raise ValueError("a sparse (COO) tensor is wanted: use allreduce_async for a dense one")
    if tensor.device.type != "cpu":
        raise ValueError(f"the tensor is on {tensor.device}: this build takes CPU tensors only")
    if tensor.sparse_dim() == 0:
        raise ValueError("a tensor without a sparse dimension has no rows")
    indices = tensor._indices()
    index = indices[0]
    for dimension in range(1, tensor.sparse_dim()):
        index = index * tensor.shape[dimension] + indices[dimension]
    return index.contiguous(), tensor._values().contiguous()


def unflat(index: torch.Tensor, values: torch.Tensor, shape: torch.Size, n: int) -> torch.Tensor:
    """A coalesced sparse tensor whose first ``n`` dimensions are sparse."""
    rows = math.prod(shape[:n])
    if len(index) and int(index[-1]) >= rows:
        raise HorovodInternalError(
            f"sparse allreduce: a rank has an entry at {int(index[-1])}, this one's tensor only "
            f"{rows}: shapes differ"
        )
    indices = []
    for dimension in reversed(shape[:n]):
        indices.append(index % dimension)
        index = torch.div(index, dimension, rounding_mode="floor")
    stacked = torch.stack(indices[::-1])
    result = torch.sparse_coo_tensor(stacked, values, shape, check_invariants=False)
    return result._coalesced_(True)
