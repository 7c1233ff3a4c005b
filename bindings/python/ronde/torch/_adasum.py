"""The distributed optimizer for Adasum: combines the steps that the ranks would take.

Adasum wants to see what an optimizer makes of a gradient, not the gradient. So where a gradient is
ready the wrapped optimizer steps on that parameter alone, the difference is taken, and the
differences of all ranks are combined while the backward pass goes on; `step` adds the result.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Optional

import torch

from .._types import Op
from . import _core, _submit
from ._errors import failure
from ._gradients import Slot
from ._hooked import HookedOptimizer
from ._process_sets import set_id


class AdasumOptimizer(HookedOptimizer):
    """Combines steps; `DistributedOptimizer` makes it for ``op=Adasum`` on several ranks."""

    def _open(self) -> None:
        self.op = Op.ADASUM
        self._differences: dict[Slot, torch.Tensor] = {}

    def _ready(self, slot: Slot) -> None:
        parameter = slot.parameter
        before = parameter.detach().clone(memory_format=torch.contiguous_format)
        if parameter.grad is not None:
            self._step_on(parameter)
        difference = (parameter.detach() - before).contiguous()
        parameter.detach().copy_(before)  # others' gradients may still be computed from it
        sent, slot.context = self._compression.compress(difference)
        slot.sent = sent.contiguous()
        number = set_id(self.process_set)
        slot.native = _submit.allreduce(
            slot.sent, slot.sent, slot.name, Op.ADASUM, 1.0, 1.0, number
        )

    def _step_on(self, parameter: torch.Tensor) -> None:
        """The wrapped optimizer's step on one parameter."""
        groups = [group["params"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                mine = any(one is parameter for one in group["params"])
                group["params"] = [parameter] if mine else []
            super().step()
        finally:
            for group, parameters in zip(self.param_groups, groups):
                group["params"] = parameters

    def synchronize(self) -> None:
        """Nothing: what is combined are steps, in ``step()``."""

    def skip_synchronize(self) -> AbstractContextManager[None]:
        """``AssertionError``: the combined steps are not to be skipped."""
        raise AssertionError("skipping synchronization is not supported with op=Adasum")

    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        """Waits for the combined steps, and takes them."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self._distributed:
            super().step()
            return loss
        error: Optional[Exception] = None
        for slot in self._slots:
            if not slot.native:
                self._ready(slot)
        for slot in self._slots:
            status = _core.wait(slot.native)
            slot.native = 0
            if status:
                error = error or failure(status)
            else:
                difference = self._compression.decompress(slot.sent, slot.context)
                slot.parameter.detach().add_(difference)
            slot.sent = None
        self._reset()
        if error is not None:
            raise error
        return loss

    step.hooked = True  # type: ignore[attr-defined]  # the wrapped step runs step hooks already
