"""A training run's state, kept in memory: what was committed last, and how ranks come to agree."""

from __future__ import annotations

import copy
import queue
from collections.abc import Callable
from typing import Any, ClassVar, Optional

import torch

from .. import _core
from .._errors import HostsUpdatedInterrupt
from ..functions import broadcast_object, broadcast_optimizer_state, broadcast_parameters
from .sampler import ElasticSampler


class State:
    """What `hvd.elastic.run` handles. Derive from it, or use `ObjectState` and `TorchState`."""

    def __init__(
        self,
        bcast_object: Callable[..., Any] = broadcast_object,
        get_rank: Callable[[], int] = _core.rank,
    ) -> None:
        self._bcast_object = bcast_object
        self._rank = get_rank
        self._updates: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()
        self._last_update = 0.0
        self._reset_callbacks: list[Callable[[], None]] = []

    def register_reset_callbacks(self, callbacks: list[Callable[[], None]]) -> None:
        """To be called after each reset: to scale a learning rate with the number of ranks, say."""
        self._reset_callbacks.extend(callbacks)

    def on_reset(self) -> None:
        """After a reset."""
        self._updates = queue.SimpleQueue()
        self.reset()
        for callback in self._reset_callbacks:
            callback()

    def on_hosts_updated(self, timestamp: float, update_res: int = 0) -> None:
        """For who knows of hosts that come (1) or go (2): the next commit interrupts on all ranks.
        From any thread."""
        self._updates.put((timestamp, update_res))

    def commit(self) -> None:
        """Keeps the state as it is now; collective."""
        self.save()
        self.check_host_updates()

    def check_host_updates(self) -> None:
        """Raises ``HostsUpdatedInterrupt`` on all ranks where rank 0 was told of one;
        collective."""
        before = latest = self._last_update
        kinds = 0
        while not self._updates.empty():
            timestamp, kind = self._updates.get()
            if timestamp > latest:
                latest, kinds = timestamp, kinds | kind
        before, self._last_update, kinds = self._bcast_object((before, latest, kinds))
        if self._last_update > before:
            raise HostsUpdatedInterrupt(skip_sync=kinds == 2)

    def save(self) -> None:
        """Keeps the state in memory."""
        raise NotImplementedError

    def restore(self) -> None:
        """Goes back to what was kept last."""
        raise NotImplementedError

    def sync(self) -> None:
        """Makes all ranks have rank 0's state; collective."""
        raise NotImplementedError

    def reset(self) -> None:
        """For derived classes: after a reset, before its callbacks."""


class ObjectState(State):
    """Plain Python values, as attributes."""

    def __init__(
        self,
        bcast_object: Callable[..., Any] = broadcast_object,
        get_rank: Callable[[], int] = _core.rank,
        **kwargs: Any,
    ) -> None:
        self._saved_state = kwargs
        super().__init__(bcast_object, get_rank)
        self._set_attributes()

    def save(self) -> None:
        """Keeps a copy of the values."""
        self._saved_state = {name: copy.deepcopy(getattr(self, name)) for name in self._saved_state}

    def restore(self) -> None:
        """Goes back to the values that were kept last."""
        self._set_attributes()

    def sync(self) -> None:
        """Takes rank 0's values, and keeps them; collective."""
        if self._saved_state:
            current = {name: getattr(self, name) for name in self._saved_state}
            self._saved_state = self._bcast_object(current)
            self._set_attributes()

    def _set_attributes(self) -> None:
        for name, value in self._saved_state.items():
            object.__setattr__(self, name, copy.deepcopy(value))


class StateHandler:
    """How one value is saved, restored and synchronized, by its ``state_dict``."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.save()

    def save(self) -> None:
        """Keeps a copy."""
        self._saved = copy.deepcopy(self.value.state_dict())

    def restore(self) -> None:
        """Goes back to it."""
        self.value.load_state_dict(copy.deepcopy(self._saved))

    def sync(self) -> None:
        """Takes rank 0's."""
        self.value.load_state_dict(broadcast_object(self.value.state_dict(), name="elastic.state"))

    def set_value(self, value: Any) -> None:
        """Another object takes its place."""
        self.value = value
        self.save()


class ModelStateHandler(StateHandler):
    """Parameters and buffers, in place."""

    def sync(self) -> None:
        """Takes rank 0's values, and keeps them; collective."""
        broadcast_parameters(self.value.state_dict(), root_rank=0)
        self.save()


class OptimizerStateHandler(StateHandler):
    """Options and state."""

    def sync(self) -> None:
        """Takes rank 0's values, and keeps them; collective."""
        broadcast_optimizer_state(self.value, root_rank=0)
        self.save()


class SamplerStateHandler(StateHandler):
    """Epoch, and what was processed of it."""


_registry: list[tuple[type, type[StateHandler]]] = [
    (torch.nn.Module, ModelStateHandler),
    (torch.optim.Optimizer, OptimizerStateHandler),
    (torch.optim.lr_scheduler.LRScheduler, StateHandler),
    (ElasticSampler, SamplerStateHandler),
]


def get_handler_registry() -> list[tuple[type, type[StateHandler]]]:
    """Which class of values is handled how; the first that fits counts."""
    return _registry


def set_handler_registry(registry: list[tuple[type, type[StateHandler]]]) -> None:
    """Replaces it."""
    global _registry
    _registry = registry


def _handler(value: Any) -> Optional[StateHandler]:
    for kind, handler in _registry:
        if isinstance(value, kind):
            return handler(value)
    return None


class TorchState(ObjectState):
    """A model, an optimizer, and any other values, as attributes.

    Modules, optimizers, learning rate schedulers and `ElasticSampler` are saved and synchronized by
    their ``state_dict``, everything else as plain Python values.
    """

    _handlers: ClassVar[dict[str, StateHandler]] = {}  # each instance has its own

    def __init__(
        self,
        model: Optional[torch.nn.Module] = None,
        optimizer: Optional[torch.optim.Optimizer] = None,
        **kwargs: Any,
    ) -> None:
        values = {**kwargs, "model": model, "optimizer": optimizer}
        handlers = {name: handler for name, value in values.items() if (handler := _handler(value))}
        object.__setattr__(self, "_handlers", handlers)
        for name, handler in handlers.items():
            object.__setattr__(self, name, handler.value)
        super().__init__(**{k: v for k, v in values.items() if k not in handlers})

    def save(self) -> None:
        """Keeps a copy of the values."""
        for handler in self._handlers.values():
            handler.save()
        super().save()

    def restore(self) -> None:
        """Goes back to the values that were kept last."""
        for handler in self._handlers.values():
            handler.restore()
        super().restore()

    def sync(self) -> None:
        """Takes rank 0's values, and keeps them; collective."""
        for handler in self._handlers.values():
            handler.sync()
        super().sync()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._handlers:
            self._handlers[name].set_value(value)
        super().__setattr__(name, value)
