"""Asynchronous reductions: allreduce, grouped allreduce, sparse allreduce, reducescatter."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Optional

import torch

from .._types import Op
from . import _submit
from ._dtypes import dtype_code
from ._handles import Pending, register, synchronize
from ._process_sets import ProcessSet, global_process_set, set_id
from ._submit import prepared

Average, Sum, Adasum = Op.AVERAGE, Op.SUM, Op.ADASUM
Min, Max, Product = Op.MIN, Op.MAX, Op.PRODUCT


def op_meant(op: Optional[int], average: Optional[bool] = None) -> int:
    """The op that ``op`` and the older ``average`` ask for; the average where neither is given."""
    if op is not None:
        if average is not None:
            raise ValueError("op supersedes average: pass only one of them")
        return int(Op(op))
    return int(Average if average is None or average else Sum)


def _op_of(op: Optional[int], average: Optional[bool]) -> int:
    """The same, with a warning for who uses the older one."""
    if average is not None and op is None:
        text = "the parameter average is deprecated: use op"
        warnings.warn(text, DeprecationWarning, stacklevel=6)
    return op_meant(op, average)


def number_of(value: Any, what: str) -> float:
    """A factor; ``ValueError`` where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {value!r}, no number") from None


def _prepare(
    tensors: Sequence[torch.Tensor],
    op: Any,
    average: Any,
    scales: tuple[Any, Any],
    process_set: ProcessSet,
    in_place: bool,
) -> tuple[int, int, float, float, list[torch.Tensor]]:
    """Everything that can be wrong with a reduction, before any of it is submitted."""
    code = _op_of(op, average)
    number = set_id(process_set)
    for tensor in tensors:
        dtype_code(tensor)
    outputs = list(tensors) if in_place else [torch.empty_like(one) for one in tensors]
    before, after = (
        number_of(scales[0], "prescale_factor"),
        number_of(scales[1], "postscale_factor"),
    )
    return code, number, before, after, [one.detach() for one in outputs]


def known_set(process_set: Any) -> int:
    """The set whose counter an unnamed operation would have drawn from."""
    return getattr(process_set, "process_set_id", None) or 0


def _allreduce(
    tensor: torch.Tensor,
    average: Optional[bool],
    name: Optional[str],
    op: Optional[int],
    prescale: float,
    postscale: float,
    process_set: ProcessSet,
    in_place: bool,
) -> Pending:
    code, number, before, after, outputs = prepared(
        "allreduce", name, known_set(process_set),
        _prepare, [tensor], op, average, (prescale, postscale), process_set, in_place,
    )  # fmt: skip
    output = tensor if in_place else outputs[0]
    native = _submit.allreduce(tensor, output, name, code, before, after, number)
    return Pending([native], (tensor, output), lambda: output)


def allreduce_async(
    tensor: torch.Tensor,
    average: Optional[bool] = None,
    name: Optional[str] = None,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> int:
    """Starts combining a tensor with those of the other ranks; the tensor is not modified.

    Ranks meet by ``name``, in any order; unnamed ones by their number. Type and shape must be the
    same on all ranks, or all get a ``HorovodInternalError``. ``op``: ``Average`` (default),
    ``Sum``, ``Min``, ``Max``, ``Product`` or ``Adasum``. Wrong arguments are a ``ValueError`` at
    once.

    Returns a handle for ``poll`` and ``synchronize``, which gives a tensor of the same shape.
    """
    return register(
        _allreduce(tensor, average, name, op, prescale_factor, postscale_factor, process_set, False)
    )


def allreduce_async_(
    tensor: torch.Tensor,
    average: Optional[bool] = None,
    name: Optional[str] = None,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> int:
    """As ``allreduce_async``, in place: the tensor's memory is not to be touched until it is
    done."""
    return register(
        _allreduce(tensor, average, name, op, prescale_factor, postscale_factor, process_set, True)
    )


def allreduce_(
    tensor: torch.Tensor,
    average: Optional[bool] = None,
    name: Optional[str] = None,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> torch.Tensor:
    """As ``allreduce``, in place; returns the tensor."""
    pending = _allreduce(
        tensor, average, name, op, prescale_factor, postscale_factor, process_set, True
    )
    result: torch.Tensor = synchronize(register(pending))
    return result


# ---- groups --------------------------------------------------------------------------------------


def names_of(name: Optional[str], n: int) -> list[Optional[str]]:
    """The members' names of a group."""
    return [None if name is None else f"{name}.{i}" for i in range(n)]


def draw_for_all(
    kind: str, name: Optional[str], process_set: Any, n: int, prepare: Any, *arguments: Any
) -> Any:
    """As `prepared`, where a refusal has drawn the numbers of all members of a group."""
    try:
        return prepare(*arguments)
    except Exception:
        for _ in range(n if name is None else 0):
            _submit.draw(kind, known_set(process_set))
        raise


def _grouped_allreduce(
    tensors: Sequence[torch.Tensor],
    average: Optional[bool],
    name: Optional[str],
    op: Optional[int],
    prescale: float,
    postscale: float,
    process_set: ProcessSet,
    in_place: bool,
) -> Pending:
    tensors = list(tensors)
    code, number, before, after, outputs = draw_for_all(
        "allreduce", name, process_set, len(tensors),
        _prepare, tensors, op, average, (prescale, postscale), process_set, in_place,
    )  # fmt: skip
    results = list(tensors) if in_place else outputs
    natives: list[int] = []
    if tensors:
        with _submit.group() as group:
            for tensor, output, own in zip(tensors, outputs, names_of(name, len(tensors))):
                natives.append(
                    _submit.allreduce(tensor, output, own, code, before, after, number, group)
                )
    return Pending(natives, (tensors, outputs), lambda: results)


def grouped_allreduce_async(
    tensors: Sequence[torch.Tensor],
    average: Optional[bool] = None,
    name: Optional[str] = None,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> int:
    """As ``allreduce_async``, of a list of tensors that are done together or not at all. A bad one
    fails the whole list, before anything is queued. ``synchronize`` gives a list."""
    return register(
        _grouped_allreduce(
            tensors, average, name, op, prescale_factor, postscale_factor, process_set, False
        )
    )


def grouped_allreduce_async_(
    tensors: Sequence[torch.Tensor],
    average: Optional[bool] = None,
    name: Optional[str] = None,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> int:
    """As ``grouped_allreduce_async``, in place."""
    return register(
        _grouped_allreduce(
            tensors, average, name, op, prescale_factor, postscale_factor, process_set, True
        )
    )


def grouped_allreduce_(
    tensors: Sequence[torch.Tensor],
    average: Optional[bool] = None,
    name: Optional[str] = None,
    op: Optional[int] = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    process_set: ProcessSet = global_process_set,
) -> list[torch.Tensor]:
    """As ``grouped_allreduce``, in place; returns the tensors."""
    pending = _grouped_allreduce(
        tensors, average, name, op, prescale_factor, postscale_factor, process_set, True
    )
    results: list[torch.Tensor] = synchronize(register(pending))
    return results
