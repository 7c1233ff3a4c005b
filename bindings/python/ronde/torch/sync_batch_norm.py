"""Batch normalization over the batches of all ranks together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import torch
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from .._types import Op
from . import _core
from ._handles import synchronize
from ._moves import allgather_async
from ._reductions import allreduce_async

Tensor = torch.Tensor


class SyncBatchNorm(_BatchNorm):
    """As ``torch.nn.BatchNorm*d``, with mean and variance of the batches of all ranks.

    Input of shape (N, C, ...), where N may differ by rank and may be 0; float32, float64, or a half
    type (computed in float32). Gradients of input, weight and bias are those of the whole batch as
    far as it went through this rank, so that a ``DistributedOptimizer`` does the rest. All ranks
    must go through it, forward and backward, in the same order.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, got {input.shape[1]}")

    def forward(self, input: Tensor) -> Tensor:
        """The normalized input, of the same shape."""
        self._check_input_dim(input)
        uses_batch = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the average of all batches so far
                momentum = 1.0 / float(self.num_batches_tracked)
        updates = self.training and self.track_running_stats
        mean = self.running_mean if updates or not uses_batch else None
        var = self.running_var if updates or not uses_batch else None
        if not uses_batch or _core.size() == 1:
            return functional.batch_norm(
                input, mean, var, self.weight, self.bias, uses_batch, momentum, self.eps
            )
        output: Tensor = _apply(input, self.weight, self.bias, mean, var, self.eps, momentum)
        return output


def _by_channel(vector: Tensor, like: Tensor) -> Tensor:
    """(C) as (1, C, 1, ...), to go with an input."""
    return vector.view([1, -1] + [1] * (like.dim() - 2))


class _SyncBatchNorm(torch.autograd.Function):
    """One message forward, one backward.

    Every rank sends count, mean and sum of squared deviations of its own batch, and combines all
    of them (Chan, Golub, LeVeque 1979): no difference of large sums, so no loss of digits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Optional[Tensor],
        bias: Optional[Tensor],
        running_mean: Optional[Tensor],
        running_var: Optional[Tensor],
        eps: float,
        momentum: float,
    ) -> Tensor:
        double = input.dtype == torch.float64
        data = input if double else input.float()
        sides = [d for d in range(input.dim()) if d != 1]
        channels, count = input.shape[1], input.numel() // max(input.shape[1], 1)
        mean = data.mean(sides, dtype=torch.float64) if count else data.new_zeros(channels).double()
        deviations = data.double() - _by_channel(mean, data)
        own = torch.cat([mean.new_tensor([count]), mean, deviations.square().sum(sides)])
        name = f"sync_batch_norm.{channels}"
        rows = synchronize(allgather_async(own.unsqueeze(0), name))
        counts, means, squares = rows[:, :1], rows[:, 1 : channels + 1], rows[:, channels + 1 :]
        total = counts.sum()
        if total < 1:
            raise ValueError("no rank has any value to normalize")
        mean = (counts * means).sum(0) / total
        square = (squares + counts * (means - mean).square()).sum(0)
        if running_mean is not None and running_var is not None:
            unbiased = square / (total - 1).clamp(min=1)
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
        invstd = (square / total + eps).rsqrt()
        mean, invstd = mean.to(data.dtype), invstd.to(data.dtype)
        ctx.save_for_backward(input, weight, mean, invstd, total.to(data.dtype))
        output = (data - _by_channel(mean, data)) * _by_channel(invstd, data)
        if weight is not None:
            output = output * _by_channel(weight.to(data.dtype), data)
        if bias is not None:
            output = output + _by_channel(bias.to(data.dtype), data)
        return output.to(input.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        input, weight, mean, invstd, total = ctx.saved_tensors
        data, slope = input.to(mean.dtype), gradient.to(mean.dtype)
        sides = [d for d in range(input.dim()) if d != 1]
        normalized = (data - _by_channel(mean, data)) * _by_channel(invstd, data)
        own_bias = slope.sum(sides)
        own_weight = (slope * normalized).sum(sides)
        input_gradient = None
        if ctx.needs_input_grad[0]:
            channels = len(own_bias)
            sums = torch.cat([own_bias, own_weight])
            name = f"sync_batch_norm.{channels}.gradient"
            sums = synchronize(allreduce_async(sums, name=name, op=Op.SUM)) / total
            all_bias, all_weight = sums[:channels], sums[channels:]
            scale = invstd if weight is None else invstd * weight.to(mean.dtype)
            input_gradient = slope - _by_channel(all_bias, data)
            input_gradient = input_gradient - normalized * _by_channel(all_weight, data)
            input_gradient = (input_gradient * _by_channel(scale, data)).to(input.dtype)
        wants_weight = weight is not None and ctx.needs_input_grad[1]
        weight_gradient = own_weight.to(weight.dtype) if wants_weight else None
        wants_bias = ctx.needs_input_grad[2]
        bias_gradient = own_bias.to(input.dtype if weight is None else weight.dtype)
        return (
            input_gradient, weight_gradient, bias_gradient if wants_bias else None,
            None, None, None, None,
        )  # fmt: skip


_apply: Callable[..., Any] = _SyncBatchNorm.apply
