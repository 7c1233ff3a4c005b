"""The distributed optimizer: combines gradients while the backward pass still computes others."""

from __future__ import annotations

import os
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

import torch

from .._types import Op
from . import _core, _rows, _submit
from ._errors import failure
from ._gradients import GradientArena, Group, Slot
from ._process_sets import ProcessSet, set_id
from .compression import Compressor

_TOO_OFTEN = (
    "gradients were computed more than backward_passes_per_step times before step() or "
    "synchronize(): increase backward_passes_per_step to accumulate gradients locally"
)
_RACE = (
    "optimizer.zero_grad() was called after loss.backward() but before optimizer.step() or "
    "optimizer.synchronize(): the gradients are being combined"
)
_TWICE = (
    "optimizer.step() called without optimizer.skip_synchronize() context after "
    "optimizer.synchronize(): gradients are combined a second time. Use "
    "`with optimizer.skip_synchronize(): optimizer.step()`"
)


def remove_hooks(hooks: list[Any]) -> None:
    """When the optimizer is gone, its hooks are."""
    for hook in hooks:
        hook.remove()


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
        weakref.finalize(self, remove_hooks, self._hooks).atexit = False
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
            raise AssertionError(_RACE)
        super().zero_grad(set_to_none)


class AveragingOptimizer(HookedOptimizer):
    """Combines gradients; `DistributedOptimizer` makes it and describes it."""

    def _open(
        self,
        op: int,
        predivide: float,
        groups: Optional[list[list[torch.Tensor]]],
        sparse_as_dense: bool,
        in_arena: bool,
    ) -> None:
        self.op = Op(op)
        self.gradient_predivide_factor = predivide
        self.sparse_as_dense = sparse_as_dense or in_arena
        self._under_way: deque[Slot] = deque()
        self._synchronized = False
        self._should_synchronize = True
        self._scales = (1.0 / predivide, predivide) if self.op == Op.AVERAGE else (1.0, 1.0)
        slots = {id(slot.parameter): slot for slot in self._slots}
        for members in groups or []:
            group = Group()
            group.slots = [slots[id(one)] for one in members if id(one) in slots]
            for slot in group.slots:
                slot.group = group
        self._arena = GradientArena(self._slots) if in_arena else None

    # ---- submitting ------------------------------------------------------------------------------

    def _ready(self, slot: Slot) -> None:
        if slot.group is None:
            self._submit(slot)
            return
        slot.group.ready += 1
        if slot.group.ready == len(slot.group.slots):
            self._submit_group(slot.group)

    def _submit(self, slot: Slot, group: int = 0) -> None:
        sent = slot.pack(self._compression, self.sparse_as_dense)
        number = set_id(self.process_set)
        if slot.sparse and not self.sparse_as_dense:
            pair = _rows.flat(sent)
            slot.sent = pair  # the memory that is in use
            slot.native = _submit.sparse_allreduce(*pair, slot.name, self.op, number, group)
        else:
            before, after = self._scales
            slot.native = _submit.allreduce(
                sent, sent, slot.name, self.op, before, after, number, group
            )
        self._under_way.append(slot)

    def _submit_group(self, group: Group) -> None:
        group.ready = 0
        known = len(self._under_way)
        try:
            with _submit.group() as number:
                for slot in group.slots:
                    self._submit(slot, number)
        except BaseException:
            while len(self._under_way) > known:
                self._under_way.pop().native = 0
            raise

    def _submit_missing(self) -> None:
        """What the backward pass did not reach here, it may have reached elsewhere."""
        for slot in self._slots:
            if slot.native:
                continue
            if slot.group is None:
                self._submit(slot)
            else:
                self._submit_group(slot.group)

    # ---- waiting ---------------------------------------------------------------------------------

    def synchronize(self) -> None:
        """Waits until all gradients are combined, those included that have not been computed.
        Raises the first error, once nothing is under way any more."""
        if not self._distributed:
            self._synchronized = True
            return
        error: Optional[Exception] = None
        try:
            self._submit_missing()
        except Exception as refused:
            error = refused
        while self._under_way:
            failed = self._finish(self._under_way[0])
            self._under_way.popleft()
            error = error or failed
        self._reset()
        for slot in self._slots:
            if slot.group is not None:
                slot.group.ready = 0
        if error is not None:
            raise error
        self._synchronized = True

    def _finish(self, slot: Slot) -> Optional[Exception]:
        if slot.sparse and not self.sparse_as_dense:
            return self._finish_sparse(slot)
        status = _core.wait(slot.native)
        slot.native = 0
        if status:
            slot.sent = None
            return failure(status)
        slot.unpack(self._compression, self.sparse_as_dense)
        return None

    def _finish_sparse(self, slot: Slot) -> Optional[Exception]:
        _core.wait_done(slot.native)
        error: Optional[Exception] = None
        try:
            slot.unpack(self._compression, self.sparse_as_dense)
        except RuntimeError as failed:
            error = failed
        _core.wait(slot.native)
        slot.native, slot.sent = 0, None
        return error

    @contextmanager
    def skip_synchronize(self) -> Iterator[None]:
        """In this context ``step()`` does not wait: after ``synchronize()``, to clip, say."""
        self._should_synchronize = False
        try:
            yield
        finally:
            self._should_synchronize = True

    # ---- as optimizers do ------------------------------------------------------------------------

    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        """Waits for the gradients, and lets the wrapped optimizer use them. A closure's gradients
        are combined each time that it is evaluated."""
        if not self._should_synchronize:
            self._synchronized = False
            return super().step(closure)
        if self._synchronized:
            warnings.warn(_TWICE, stacklevel=2)
        if closure is None or self._active:
            self.synchronize()
        self._synchronized = False
        if closure is None:
            return super().step()

        def evaluate() -> Any:
            loss = closure()
            self.synchronize()
            self._synchronized = False
            return loss

        return super().step(evaluate)

    step.hooked = True  # type: ignore[attr-defined]  # the wrapped step runs step hooks already

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the wrapped optimizer's; gradients in the arena stay there, and are zero."""
        if self._active:
            raise AssertionError(_RACE)
        if self._arena is None:
            super().zero_grad(set_to_none)
        else:
            self._arena.zero()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As the wrapped optimizer's; passes begin to count again."""
        self._synchronized = False
        self._should_synchronize = True
        if not self._under_way:
            self._reset()
        super().load_state_dict(state_dict)
