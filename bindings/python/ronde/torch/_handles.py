"""Handles as Horovod's: integers that count up, for ``poll`` and ``synchronize``.

A handle stands for one or several operations of the library, and keeps the tensors that they use
alive until it is synchronized, also where nobody holds the integer any more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Optional, Union

from . import _core
from ._core import PENDING
from ._errors import failure


class Pending:
    """Operations under way, and what becomes of them.

    ``natives`` are the library's handles, ``tensors`` what they use, ``finish`` makes the result of
    it once all are done. ``takes`` are handles whose result the library makes, and ``finish``
    takes; where they belong to a group with one of the natives they are done with it. ``failing``
    looks at what came for a reason to fail.
    """

    __slots__ = ("error", "failing", "finish", "natives", "takes", "tensors")

    def __init__(
        self, natives: list[int], tensors: Any, finish: Callable[[], Any], takes: Any = ()
    ) -> None:
        self.natives = natives
        self.takes: list[int] = list(takes)
        self.tensors = tensors
        self.finish = finish
        self.error: Optional[Exception] = None
        self.failing: Optional[Callable[[], Optional[Exception]]] = None

    def is_done(self) -> bool:
        """Whether waiting would return at once."""
        poll, context = _core.library().ronde_poll, _core.pointer()
        handles = itertools.chain(self.natives, self.takes)
        return all(poll(context, native) != PENDING for native in handles)

    def complete(self) -> Any:
        """Waits, and gives the result; may be called again after a KeyboardInterrupt."""
        while self.natives:
            status = _core.wait(self.natives[-1])
            self.natives.pop()
            if status and self.error is None:
                self.error = failure(status)
        for native in self.takes:
            _core.wait_done(native)
        if self.error is None and self.failing is not None:
            self.error = self.failing()
        try:
            result = self.finish() if self.error is None else None
        finally:
            self._release()
        if self.error is not None:
            raise self.error
        return result

    def _release(self) -> None:
        while self.takes:
            status = _core.wait(self.takes.pop())
            if status and self.error is None:
                self.error = failure(status)


_pending: dict[int, Pending] = {}
_numbers = itertools.count(1)
_last = 0


def register(pending: Pending) -> int:
    """A new handle."""
    global _last
    handle = _last = next(_numbers)
    _pending[handle] = pending
    return handle


def _check(handle: Any) -> None:
    if not isinstance(handle, int) or isinstance(handle, bool) or not 0 < handle <= _last:
        raise ValueError(f"{handle!r} is no handle of an asynchronous operation")


def poll(handle: int) -> bool:
    """Whether the operation is done, so that ``synchronize`` returns at once. Does not block.
    ``ValueError`` for a handle that was synchronized."""
    pending = _pending.get(handle)
    if pending is None:
        _check(handle)
        raise ValueError(f"handle {handle} was synchronized already")
    return pending.is_done()


def synchronize(handle: Union[int, Callable[[], Any]]) -> Any:
    """Waits for an asynchronous operation, and returns its result: a tensor, a list of them for a
    group, and for an all-to-all a pair with the received splits. A handle that was synchronized
    already gives None."""
    pending = _pending.get(handle)  # type: ignore[arg-type]
    if pending is None:
        _check(handle)
        return None
    try:
        return pending.complete()
    finally:
        if not pending.natives and not pending.takes:
            _pending.pop(handle, None)  # type: ignore[arg-type]


def forget() -> None:
    """After closing: the operations are done or failed, and no memory is in use."""
    _pending.clear()
