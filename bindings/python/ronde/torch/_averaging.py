"""The distributed optimizer: combines gradients while the backward pass still computes others."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

import torch

from .._types import Op
from . import _core, _rows, _submit
from ._errors import fail, failure
from ._gradients import GradientArena, Group, Prepared, Slot
from ._hooked import RACE, HookedOptimizer
from ._process_sets import set_id
from .compression import Compression

_TWICE = (
    "optimizer.step() called without optimizer.skip_synchronize() context after "
    "optimizer.synchronize(): gradients are combined a second time. Use "
    "`with optimizer.skip_synchronize(): optimizer.step()`"
)


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
        self._plain = self._compression is Compression.none

    # ---- submitting ------------------------------------------------------------------------------

    def _ready(self, slot: Slot) -> None:
        if slot.group is None:
            self._submit(slot)
            return
        slot.group.ready += 1
        if slot.group.ready == len(slot.group.slots):
            self._submit_group(slot.group)

    def _prepare(self, slot: Slot) -> Optional[Prepared]:
        if self._plain and self._distributed:
            slot.prepare(self._scales, set_id(self.process_set))
        return slot.prepared

    def _submit(self, slot: Slot, group: int = 0) -> None:
        prepared = slot.prepared or self._prepare(slot)
        address = slot.place_of(prepared) if prepared and not group else 0
        if not prepared or not address:
            self._submit_packed(slot, group)
            return
        slot.sent, slot.sparse = slot.parameter.grad, False
        handle = prepared.handle
        status = _core.library().ronde_allreduce_async(
            _core.pointer(),
            prepared.name,
            address,
            address,
            prepared.elements,
            prepared.dtype,
            self.op,
            prepared.call,
            handle,
        )
        if status < 0:
            fail(status)
        slot.native = handle.value
        self._under_way.append(slot)

    def _submit_packed(self, slot: Slot, group: int) -> None:
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
            raise AssertionError(RACE)
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
