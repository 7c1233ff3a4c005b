"""Asynchronous reductions of rows: reducescatter, and sparse allreduce."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch

from .._types import Op
from . import _core, _rows, _submit
from ._handles import Pending, register, synchronize
from ._process_sets import ProcessSet, global_process_set, set_id
from ._reductions import Average, draw_for_all, known_set, names_of, number_of
from ._submit import prepared, rows_of


def _prepare(
    tensors: Sequence[torch.Tensor], op: Any, scales: tuple[Any, Any], process_set: ProcessSet
) -> tuple[int, int, float, float, list[torch.Tensor]]:
    """Op, set, factors, and the outputs: this rank's share of the rows."""
    before, after = (
        number_of(scales[0], "prescale_factor"),
        number_of(scales[1], "postscale_factor"),
    )
    code, number = int(Op(op)), set_id(process_set)
    library, context = _core.library(), _core.pointer()
    ranks = library.ronde_process_set_size(context, number)
    rank = library.ronde_process_set_rank(context, number)
    outputs = []
    for tensor in tensors:
        rows = rows_of(tensor)[1]
        share = library.ronde_share_rows(rows, ranks, rank)
        outputs.append(torch.empty((share, *tensor.shape[1:]), dtype=tensor.dtype))
    return code, number, before, after, outputs


def reducescatter_pending(
    tensor: torch.Tensor,
    name: Optional[str],
    op: int,
    process_set: ProcessSet,
    prescale: float,
    postscale: float,
) -> Pending:
    """A reducescatter under way."""
    code, number, before, after, (output,) = prepared(
        "reducescatter", name, known_set(process_set),
        _prepare, [tensor], op, (prescale, postscale), process_set,
    )  # fmt: skip
    native = _submit.reducescatter(tensor, output, name, code, before, after, number)
    return Pending([native], (tensor, output), lambda: output)


def reducescatter_async(
    tensor: torch.Tensor,
    name: Optional[str] = None,
    op: int = Average,
    process_set: ProcessSet = global_process_set,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
) -> int:
    """Starts combining a tensor with those of the other ranks, of which each rank gets its share of
    the rows: size(0) / ranks, and one more for the first size(0) % ranks ranks. Any op."""
    return register(
        reducescatter_pending(tensor, name, op, process_set, prescale_factor, postscale_factor)
    )


def grouped_reducescatter_pending(
    tensors: Sequence[torch.Tensor],
    name: Optional[str],
    op: int,
    process_set: ProcessSet,
    prescale: float,
    postscale: float,
) -> Pending:
    """A group of reducescatters under way."""
    tensors = list(tensors)
    code, number, before, after, outputs = draw_for_all(
        "reducescatter", name, process_set, len(tensors),
        _prepare, tensors, op, (prescale, postscale), process_set,
    )  # fmt: skip
    natives: list[int] = []
    if tensors:
        with _submit.group() as group:
            for tensor, output, own in zip(tensors, outputs, names_of(name, len(tensors))):
                natives.append(
                    _submit.reducescatter(tensor, output, own, code, before, after, number, group)
                )
    return Pending(natives, (tensors, outputs), lambda: outputs)


def grouped_reducescatter_async(
    tensors: Sequence[torch.Tensor],
    name: Optional[str] = None,
    op: int = Average,
    process_set: ProcessSet = global_process_set,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
) -> int:
    """As ``reducescatter_async``, of a list of tensors that are done together or not at all."""
    return register(
        grouped_reducescatter_pending(
            tensors, name, op, process_set, prescale_factor, postscale_factor
        )
    )


# ---- sparse tensors ------------------------------------------------------------------------------


class SparseHandle(int):
    """A handle that may be called for its result, as Horovod's sparse handles are."""

    def __call__(self) -> torch.Tensor:
        """Waits for the combined rows, a coalesced sparse tensor."""
        result: torch.Tensor = synchronize(self)
        return result


def _prepare_sparse(
    tensor: torch.Tensor, op: Any, process_set: ProcessSet
) -> tuple[int, int, torch.Tensor, torch.Tensor]:
    code, number = int(Op(op)), set_id(process_set)
    index, values = _rows.flat(tensor.detach() if isinstance(tensor, torch.Tensor) else tensor)
    rows_of(values)
    return code, number, index, values


def sparse_allreduce_async(
    tensor: torch.Tensor,
    name: Optional[str] = None,
    op: int = Average,
    process_set: ProcessSet = global_process_set,
) -> SparseHandle:
    """Starts combining a sparse tensor's rows with those of the other ranks; their number may
    differ by rank, and a row may come several times.

    Returns a handle; calling it waits and gives a coalesced sparse tensor of the same shape.
    """
    code, number, index, values = prepared(
        "sparse_allreduce", name, known_set(process_set), _prepare_sparse, tensor, op, process_set
    )
    native = _submit.sparse_allreduce(index, values, name, code, number)
    shape, n, tail, dtype = tensor.shape, tensor.sparse_dim(), values.shape[1:], values.dtype

    def finish() -> torch.Tensor:
        return _rows.unflat(*_rows.take_sparse(native, tail, dtype), shape, n)

    return SparseHandle(register(Pending([], (index, values), finish, [native])))
