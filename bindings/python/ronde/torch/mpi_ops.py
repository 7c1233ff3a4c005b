"""The operations of tensors through which gradients flow, and those without tensors.

What the gradient of an operation is (of a scalar loss on every rank, with respect to this rank's
input) follows Horovod's conventions; `docs/python-torch.md` has them in a table.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Optional

import torch

from . import _core, _submit
from ._functions import (
    apply_allgather,
    apply_allreduce,
    apply_alltoall,
    apply_broadcast,
    apply_grouped_allgather,
    apply_grouped_allreduce,
    apply_grouped_reducescatter,
    apply_reducescatter,
)
from ._handles import Pending, poll, register, synchronize
from ._moves import (
    allgather_async,
    alltoall_async,
    broadcast_,
    broadcast_async,
    broadcast_async_,
    grouped_allgather_async,
)
from ._process_sets import ProcessSet, global_process_set, set_id
from ._reductions import (
    Adasum,
    Average,
    Max,
    Min,
    Product,
    Sum,
    allreduce_,
    allreduce_async,
    allreduce_async_,
    draw_for_all,
    grouped_allreduce_,
    grouped_allreduce_async,
    grouped_allreduce_async_,
)
from ._reductions_rows import (
    grouped_reducescatter_async,
    reducescatter_async,
    sparse_allreduce_async,
)
from .compression import Compression, Compressor

__all__ = [
    "Adasum",
    "Average",
    "Max",
    "Min",
    "Product",
    "Sum",
    "allgather",
    "allgather_async",
    "allreduce",
    "allreduce_",
    "allreduce_async",
    "allreduce_async_",
    "alltoall",
    "alltoall_async",
    "barrier",
    "broadcast",
    "broadcast_",
    "broadcast_async",
    "broadcast_async_",
    "grouped_allgather",
    "grouped_allgather_async",
    "grouped_allreduce",
    "grouped_allreduce_",
    "grouped_allreduce_async",
    "grouped_allreduce_async_",
    "grouped_reducescatter",
    "grouped_reducescatter_async",
    "join",
    "poll",
    "reducescatter",
    "reducescatter_async",
    "sparse_allreduce_async",
    "synchronize",
]


def _compressed(
    kind: str,
    name: Optional[str],
    process_set: ProcessSet,
    compression: type[Compressor],
    tensors: Sequence[torch.Tensor],
) -> tuple[list[torch.Tensor], list[Any]]:
    def compress_all() -> list[tuple[torch.Tensor, Any]]:
        for tensor in tensors:
            if not isinstance(tensor, torch.Tensor):
                raise ValueError(f"a tensor is wanted, not {type(tensor).__name__}")
        return [compression.compress(tensor) for tensor in tensors]

    pairs = draw_for_all(kind, name, process_set, len(tensors), compress_all)
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def allreduce(
    tensor: torch.Tensor,
    average: Optional[bool] = None,
    name: Optional[str] = None,
    compression: type[Compressor] = Compression.none,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> torch.Tensor:
    """Combines the ranks' tensors, element by element; returns a new tensor of the same shape.

    ``op``: ``Average`` (default), ``Sum``, ``Min``, ``Max``, ``Product``, ``Adasum``. The gradient
    is the allreduce of the gradients with the same op and factors.
    """
    (sent,), (ctx,) = _compressed("allreduce", name, process_set, compression, [tensor])
    result = apply_allreduce(
        sent, average, name, op, prescale_factor, postscale_factor, process_set
    )
    return compression.decompress(result, ctx)


def grouped_allreduce(
    tensors: Sequence[torch.Tensor],
    average: Optional[bool] = None,
    name: Optional[str] = None,
    compression: type[Compressor] = Compression.none,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> list[torch.Tensor]:
    """As ``allreduce``, of a list of tensors that are done together or not at all."""
    tensors = list(tensors)
    sent, contexts = _compressed("allreduce", name, process_set, compression, tensors)
    results = apply_grouped_allreduce(
        average, name, op, prescale_factor, postscale_factor, process_set, *sent
    )
    return [compression.decompress(*pair) for pair in zip(results, contexts)]


def allgather(
    tensor: torch.Tensor,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> torch.Tensor:
    """All ranks' tensors, one after the other along the first dimension, which may differ by rank.
    The gradient is this rank's rows of the averaged gradients."""
    result: torch.Tensor = apply_allgather(tensor, name, process_set)
    return result


def grouped_allgather(
    tensors: Sequence[torch.Tensor],
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> list[torch.Tensor]:
    """As ``allgather``, of a list of tensors that are done together or not at all."""
    return list(apply_grouped_allgather(name, process_set, *tensors))


def broadcast(
    tensor: torch.Tensor,
    root_rank: int,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> torch.Tensor:
    """The root's tensor, as a new one on every rank. The gradient is the sum of the gradients on
    the root, and zero elsewhere."""
    result: torch.Tensor = apply_broadcast(tensor, root_rank, name, process_set)
    return result


def alltoall(
    tensor: torch.Tensor,
    splits: Any = None,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> Any:
    """Rows from each rank to each; see ``alltoall_async``. Returns the rows that came and, where
    ``splits`` is given, how many from each rank. The gradient goes the way back."""
    return apply_alltoall(tensor, splits, name, process_set)


def reducescatter(
    tensor: torch.Tensor,
    name: Optional[str] = None,
    compression: type[Compressor] = Compression.none,
    op: int = Average,
    process_set: ProcessSet = global_process_set,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
) -> torch.Tensor:
    """This rank's share of the rows of the combined tensors; see ``reducescatter_async``. The
    gradient of the average is the allgather of the gradients, that of a sum as many times as there
    are ranks."""
    (sent,), (ctx,) = _compressed("reducescatter", name, process_set, compression, [tensor])
    result = apply_reducescatter(sent, name, op, process_set, prescale_factor, postscale_factor)
    return compression.decompress(result, ctx)


def grouped_reducescatter(
    tensors: Sequence[torch.Tensor],
    name: Optional[str] = None,
    compression: type[Compressor] = Compression.none,
    op: int = Average,
    process_set: ProcessSet = global_process_set,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
) -> list[torch.Tensor]:
    """As ``reducescatter``, of a list of tensors that are done together or not at all."""
    tensors = list(tensors)
    sent, contexts = _compressed("reducescatter", name, process_set, compression, tensors)
    results = apply_grouped_reducescatter(
        name, op, process_set, prescale_factor, postscale_factor, *sent
    )
    return [compression.decompress(*pair) for pair in zip(results, contexts)]


def join(device: int = -1) -> int:
    """Says that this rank has no more data, and waits until all ranks have said so. Meanwhile it
    contributes nothing to the others' reductions (an average still divides by all ranks), and the
    others' allgathers and alltoalls fail. Returns the last rank to join. ``device`` is not used."""
    last, handle = ctypes.c_int32(-1), ctypes.c_uint64()
    call = _core.call_of((), 1.0, 1.0, 0, 0)
    _core.check(_core.library().ronde_join_async(_core.pointer(), last, call, handle))
    result: int = synchronize(register(Pending([handle.value], last, lambda: last.value)))
    _submit.forget_numbers()
    return result


def barrier(process_set: ProcessSet = global_process_set) -> None:
    """Waits until all ranks of the set have come here."""
    number = set_id(process_set)
    call, handle = _core.call_of((), 1.0, 1.0, number, 0), ctypes.c_uint64()
    _submit.drawn["barrier", number] += 1
    _core.check(_core.library().ronde_barrier_async(_core.pointer(), None, call, handle))
    synchronize(register(Pending([handle.value], None, lambda: None)))
