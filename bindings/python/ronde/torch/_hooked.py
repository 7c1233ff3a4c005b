"""What the distributed optimizers share: hooks that tell of gradients."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

import torch

from . import _core
from ._gradients import Slot
from ._handles import Pending, register
from ._process_sets import ProcessSet
from .compression import Compressor

_TOO_OFTEN = (
    "gradients were computed more than backward_passes_per_step times before step() or "
    "synchronize(): increase backward_passes_per_step to accumulate gradients locally"
)
RACE = (
    "optimizer.zero_grad() was called after loss.backward() but before optimizer.step() or "
    "optimizer.synchronize(): the gradients are being combined"
)


def let_go(hooks: list[Any], slots: list[Slot]) -> None:
    """When the optimizer is gone, its hooks are; and what the library still works on stays."""
    for hook in hooks:
        hook.remove()
    for slot in slots:
        if slot.native:
            register(
                Pending([slot.native], (slot.sent, slot.parameter, slot.parameter.grad), _none)
            )


def _none() -> None:
    pass


class HookedOptimizer(torch.optim.Optimizer):
    """What the two distributed optimizers share: slots, and hooks that tell of gradients."""

    def _begin(
        self,
        names: dict[int, str],
        compression: type[Compressor],
        passes: int,
        process_set: ProcessSet,
    ) -> None:
        self._names = names
        self._compression = compression
        self.backward_passes_per_step = passes
        self.process_set = process_set
        self._slots: list[Slot] = []
        self._active: dict[Slot, None] = {}  # those with a pass since the last synchronization
        self._hooks: list[Any] = []
        elastic = os.environ.get("HOROVOD_ELASTIC") == "1"
        self._distributed = bool(process_set.included()) and (_core.size() > 1 or elastic)
        weakref.finalize(self, let_go, self._hooks, self._slots).atexit = False
        for i, group in enumerate(self.param_groups):
            self._attach(i, group["params"])

    def _attach(self, index: int, parameters: list[torch.Tensor]) -> None:
        for j, parameter in enumerate(parameters):
            if not parameter.requires_grad:
                continue
            name = self._names.get(id(parameter), f"allreduce.noname.{index}.{j}")
            slot = Slot(parameter, name)
            slot.passes = self.backward_passes_per_step
            self._slots.append(slot)
            if self._distributed:
                register: Any = parameter.register_post_accumulate_grad_hook
                self._hooks.append(register(self._hook_of(slot)))

    def _hook_of(self, slot: Slot) -> Callable[[torch.Tensor], None]:
        owner = weakref.ref(self)  # the parameter must not keep the optimizer alive

        def hook(parameter: torch.Tensor) -> None:
            optimizer = owner()
            if optimizer is not None:
                optimizer._pass_done(slot)

        return hook

    def _pass_done(self, slot: Slot) -> None:
        if slot.passes <= 0:
            raise AssertionError(_TOO_OFTEN)
        slot.passes -= 1
        self._active[slot] = None
        if not slot.passes:
            self._ready(slot)

    def _ready(self, slot: Slot) -> None:
        raise NotImplementedError

    def _reset(self) -> None:
        self._active.clear()
        for slot in self._slots:
            slot.passes = self.backward_passes_per_step

    def set_backward_passes_per_step(self, passes: int) -> None:
        """From the next step on."""
        if passes <= 0:
            raise ValueError("backward_passes_per_step must be > 0")
        self.backward_passes_per_step = passes
        for slot in self._slots:
            slot.passes = passes

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the wrapped optimizer's; the gradients of these parameters are combined as well."""
        super().add_param_group(param_group)
        self._attach(len(self.param_groups) - 1, self.param_groups[-1]["params"])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the wrapped optimizer's; ``AssertionError`` while gradients are being combined."""
        if self._active:
            raise AssertionError(RACE)
        super().zero_grad(set_to_none)
