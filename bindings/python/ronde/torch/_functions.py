"""The operations as autograd functions.

Gradients follow Horovod's conventions. They are operations themselves, so all ranks must go through
the backward pass, and those of a named operation ``x`` meet as ``x.gradient``, in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import torch

from .._types import Op
from . import _core
from ._handles import register, synchronize
from ._moves import allgather_pending, alltoall_pending, broadcast_async
from ._process_sets import ProcessSet
from ._reductions import allreduce_async, grouped_allreduce_async, op_meant
from ._reductions_rows import grouped_reducescatter_pending, reducescatter_pending

Tensor = torch.Tensor
Tensors = tuple[Tensor, ...]


def _gradient_name(name: Optional[str]) -> Optional[str]:
    return None if name is None or len(name) > 900 else f"{name}.gradient"


class AllreduceFunction(torch.autograd.Function):
    """The gradient: the allreduce of the gradients, with the same op and factors."""

    @staticmethod
    def forward(
        ctx: Any,
        tensor: Tensor,
        average: Optional[bool],
        name: Optional[str],
        op: Optional[int],
        prescale: float,
        postscale: float,
        process_set: ProcessSet,
    ) -> Tensor:
        handle = allreduce_async(tensor, average, name, op, prescale, postscale, process_set)
        ctx.options = (
            _gradient_name(name),
            op_meant(op, average),
            prescale,
            postscale,
            process_set,
        )
        result: Tensor = synchronize(handle)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        reduced = apply_allreduce(gradient.contiguous(), None, *ctx.options)
        return (reduced, *[None] * 6)


class GroupedAllreduceFunction(torch.autograd.Function):
    """As `AllreduceFunction`, of several tensors."""

    @staticmethod
    def forward(
        ctx: Any,
        average: Optional[bool],
        name: Optional[str],
        op: Optional[int],
        prescale: float,
        postscale: float,
        process_set: ProcessSet,
        *tensors: Tensor,
    ) -> Tensors:
        handle = grouped_allreduce_async(
            tensors, average, name, op, prescale, postscale, process_set
        )
        ctx.options = (
            _gradient_name(name),
            op_meant(op, average),
            prescale,
            postscale,
            process_set,
        )
        return tuple(synchronize(handle))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        reduced = apply_grouped_allreduce(
            None, *ctx.options, *[one.contiguous() for one in gradients]
        )
        return (*[None] * 6, *reduced)


def _offsets(pending: Any, process_set: ProcessSet) -> list[int]:
    """Where this rank's rows begin in each gathered tensor."""
    rank = process_set.rank() or 0
    return [sum(list(rows)[:rank]) for rows in pending.rows]


class AllgatherFunction(torch.autograd.Function):
    """The gradient: this rank's rows of the averaged gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, name: Optional[str], process_set: ProcessSet) -> Tensor:
        pending = allgather_pending([tensor], name, process_set, False)
        output: Tensor = synchronize(register(pending))
        ctx.slice = (_offsets(pending, process_set)[0], tensor.shape[0])
        ctx.options = (_gradient_name(name), process_set)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        name, process_set = ctx.options
        reduced = apply_allreduce(
            gradient.contiguous(), None, name, Op.AVERAGE, 1.0, 1.0, process_set
        )
        return reduced.narrow(0, *ctx.slice), None, None


class GroupedAllgatherFunction(torch.autograd.Function):
    """As `AllgatherFunction`, of several tensors."""

    @staticmethod
    def forward(
        ctx: Any, name: Optional[str], process_set: ProcessSet, *tensors: Tensor
    ) -> Tensors:
        pending = allgather_pending(tensors, name, process_set, True)
        outputs = synchronize(register(pending))
        ctx.slices = list(zip(_offsets(pending, process_set), [one.shape[0] for one in tensors]))
        ctx.options = (_gradient_name(name), process_set)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        name, process_set = ctx.options
        reduced = apply_grouped_allreduce(
            None, name, Op.AVERAGE, 1.0, 1.0, process_set, *[one.contiguous() for one in gradients]
        )
        return (None, None, *[one.narrow(0, *part) for one, part in zip(reduced, ctx.slices)])


class BroadcastFunction(torch.autograd.Function):
    """The gradient: the sum of the gradients on the root, zero elsewhere."""

    @staticmethod
    def forward(
        ctx: Any, tensor: Tensor, root_rank: int, name: Optional[str], process_set: ProcessSet
    ) -> Tensor:
        ctx.is_root = _core.rank() == root_rank
        ctx.options = (_gradient_name(name), process_set)
        result: Tensor = synchronize(broadcast_async(tensor, root_rank, name, process_set))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        name, process_set = ctx.options
        reduced = apply_allreduce(gradient.contiguous(), None, name, Op.SUM, 1.0, 1.0, process_set)
        return (reduced if ctx.is_root else torch.zeros_like(reduced)), None, None, None


class AlltoallFunction(torch.autograd.Function):
    """The gradient: the rows go back to where they came from."""

    @staticmethod
    def forward(
        ctx: Any, tensor: Tensor, splits: Any, name: Optional[str], process_set: ProcessSet
    ) -> Any:
        output, received = synchronize(
            register(alltoall_pending(tensor, splits, name, process_set))
        )
        ctx.received = received
        ctx.options = (_gradient_name(name), process_set)
        if splits is None:
            return output
        ctx.mark_non_differentiable(received)
        return output, received

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *unused: Any) -> Any:
        back, _ = apply_alltoall(gradient.contiguous(), ctx.received, *ctx.options)
        return back, None, None, None


def _factor(op: int, prescale: float, postscale: float, process_set: ProcessSet) -> float:
    """Of a reducescatter's gradient, against the plain allgather."""
    ranks = (process_set.size() or 1) if op == Op.SUM else 1
    return ranks * prescale * postscale


class ReducescatterFunction(torch.autograd.Function):
    """The gradient: the allgather of the gradients; of a sum, as many times as there are ranks."""

    @staticmethod
    def forward(
        ctx: Any,
        tensor: Tensor,
        name: Optional[str],
        op: int,
        process_set: ProcessSet,
        prescale: float,
        postscale: float,
    ) -> Tensor:
        pending = reducescatter_pending(tensor, name, op, process_set, prescale, postscale)
        ctx.factor = _factor(op, prescale, postscale, process_set)
        ctx.options = (_gradient_name(name), process_set)
        result: Tensor = synchronize(register(pending))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        gathered = apply_allgather((gradient * ctx.factor).contiguous(), *ctx.options)
        return (gathered, *[None] * 5)


class GroupedReducescatterFunction(torch.autograd.Function):
    """As `ReducescatterFunction`, of several tensors."""

    @staticmethod
    def forward(
        ctx: Any,
        name: Optional[str],
        op: int,
        process_set: ProcessSet,
        prescale: float,
        postscale: float,
        *tensors: Tensor,
    ) -> Tensors:
        pending = grouped_reducescatter_pending(tensors, name, op, process_set, prescale, postscale)
        ctx.factor = _factor(op, prescale, postscale, process_set)
        ctx.options = (_gradient_name(name), process_set)
        return tuple(synchronize(register(pending)))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        scaled = [(one * ctx.factor).contiguous() for one in gradients]
        return (*[None] * 5, *apply_grouped_allgather(*ctx.options, *scaled))


apply_allreduce: Callable[..., Any] = AllreduceFunction.apply
apply_grouped_allreduce: Callable[..., Any] = GroupedAllreduceFunction.apply
apply_allgather: Callable[..., Any] = AllgatherFunction.apply
apply_grouped_allgather: Callable[..., Any] = GroupedAllgatherFunction.apply
apply_broadcast: Callable[..., Any] = BroadcastFunction.apply
apply_alltoall: Callable[..., Any] = AlltoallFunction.apply
apply_reducescatter: Callable[..., Any] = ReducescatterFunction.apply
apply_grouped_reducescatter: Callable[..., Any] = GroupedReducescatterFunction.apply
