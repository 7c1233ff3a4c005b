"""Handles of asynchronous operations.

A handle belongs to the :class:`Context` that made it. Until its operation is done, the context
keeps the operation's memory alive, whatever becomes of the handle: dropping one without waiting is
harmless.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from typing import TYPE_CHECKING, Any, Generator, List, Optional, Tuple

from . import _arrays
from ._types import DType
from .errors import ClosedError, RondeError, error_of, last_error

if TYPE_CHECKING:
    from ._core import Core

PENDING = 1
_STALE = -5
# A wait is one of many short ones, since Python's signal handlers (Ctrl-C) run between them only.
SLICE_SECONDS = 0.1

_RUNNING, _DONE, _FAILED = 0, 1, 2


class Handle:
    """One asynchronous operation, as its submission returned it.

    ``wait()`` or ``await`` gives the operation's result; both may be repeated. ``name`` is what the
    operation was called, or None.
    """

    __slots__ = ("_context", "_error", "_opening", "_state", "_value", "name", "number")

    def __init__(
        self, context: "Core", number: int, value: Any, name: Optional[str] = None
    ) -> None:
        self._context = context
        self._opening = context.openings
        self._state = _RUNNING
        self._value = value
        self._error: Optional[RondeError] = None
        self.name = name
        self.number = number

    def wait(self, timeout: Optional[float] = None) -> Any:
        """Blocks until the operation is done, and returns its result.

        ``timeout`` is in seconds; after it ``TimeoutError`` is raised, and the handle stays valid.
        Raises what became of the operation (:class:`~ronde.MismatchError`, ...). The interpreter's
        lock is released meanwhile, and Ctrl-C is heard within 0.1 s.
        """
        if self._state == _RUNNING:
            context = self._context
            if self._opening != context.openings:
                self._forget()
            else:
                self._wait(context, timeout)
        if self._state == _FAILED:
            assert self._error is not None
            raise self._error
        return self._value

    def _wait(self, context: "Core", timeout: Optional[float]) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seconds = SLICE_SECONDS
            if end is not None:
                seconds = min(seconds, max(0.0, end - time.monotonic()))
            status = self._step(context, seconds)
            if status == _STALE:
                status = self._find_out(context)
            if self._state != _RUNNING:
                return
            if status != PENDING:
                self.settle(context, status)
                return
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"{self!r} is not done after {timeout} s")

    def _step(self, context: "Core", seconds: float) -> int:
        """Waits for so long: PENDING, or what became of the operation, whose handle is then
        free."""
        status: int = context.library.ronde_wait_for(context.pointer, self.number, seconds)
        return status

    def _find_out(self, context: "Core") -> int:
        """The library does not know the handle, or not for this thread."""
        if self.number in context.ended:
            self._error = context.ended.pop(self.number)
            self._state = _FAILED
        elif context.is_staged(self.number):
            raise error_of(_STALE, last_error())
        else:  # another thread waits, and will settle it
            time.sleep(0.0005)
        return PENDING

    def settle(self, context: "Core", status: int) -> None:
        """The library has freed the handle, and this is what it said."""
        context.kept.pop(self.number, None)
        if status < 0:
            self._error = error_of(status, last_error())
            self._state = _FAILED
        else:
            self._state = _DONE
        if context.guard.held:
            context.guard.release(self.number)

    def _forget(self) -> None:
        self._error = ClosedError(
            "the context was closed before this operation was waited for: its result is gone", -4
        )
        self._state = _FAILED

    def poll(self) -> bool:
        """Whether the operation is done, with or without an error. Does not block."""
        if self._state != _RUNNING:
            return True
        context = self._context
        if self._opening != context.openings:
            return True
        return bool(context.library.ronde_poll(context.pointer, self.number) != PENDING)

    def done(self) -> bool:
        """As :meth:`poll`."""
        return self.poll()

    @property
    def result(self) -> Any:
        """The operation's result, waited for if need be."""
        return self.wait()

    def exception(self) -> Optional[RondeError]:
        """The operation's error, or None; waited for if need be."""
        try:
            self.wait()
        except RondeError as error:
            if error is not self._error:
                raise
        return self._error

    def __await__(self) -> Generator[Any, None, Any]:
        """Lets other tasks of the event loop run until the operation is done.

        It is looked at in intervals of an eighth of the time that it takes, at most 5 ms.
        """
        start = time.monotonic()
        while not self.poll():
            elapsed = time.monotonic() - start
            yield from asyncio.sleep(min(0.005, elapsed / 8) if elapsed > 0.0001 else 0).__await__()
        return self.wait()

    def __repr__(self) -> str:
        state = ("running", "done", "failed")[self._state]
        return f"<{type(self).__name__} {self.name or self.number} {state}>"

    def __del__(self) -> None:
        try:
            if self._state == _RUNNING and self._opening == self._context.openings:
                self._context.dropped.append(self.number)
        except AttributeError:  # at the interpreter's end, or half made
            pass


class NumberHandle(Handle):
    """Of a tensor that is one of Python's numbers: so is the result."""

    __slots__ = ()

    def settle(self, context: "Core", status: int) -> None:
        super().settle(context, status)
        if self._state == _DONE:
            self._value = _arrays.item(self._value)


class IntegerHandle(Handle):
    """Of a join: the result is a rank."""

    __slots__ = ()

    def settle(self, context: "Core", status: int) -> None:
        super().settle(context, status)
        if self._state == _DONE:
            self._value = int(self._value.value)


def _poll_for(library: Any, pointer: Optional[int], number: int, seconds: float) -> int:
    """Looks again and again, at first at once and then in intervals of an eighth of the time so
    far, at most 2 ms. (What the library made must be taken before the wait that frees it, and
    taking would not hear Ctrl-C.)"""
    start = time.monotonic()
    while True:
        status: int = library.ronde_poll(pointer, number)
        elapsed = time.monotonic() - start
        if status != PENDING or elapsed >= seconds:
            return status
        time.sleep(min(0.002, elapsed / 8) if elapsed > 0.0002 else 0)


class RowsHandle(Handle):
    """Of an operation whose result's number of rows is known only at its end.

    Without a place of the caller's the library makes the result, and it is copied: what the library
    made would end with the context. ``rows`` are the rows by rank of origin, once it is done (None
    where there are none to tell, as of a gather anywhere but at its root).
    """

    __slots__ = ("_counts", "_dtype", "_made", "_made_of", "_pairs", "_row")

    def __init__(
        self,
        context: "Core",
        number: int,
        value: Any,
        name: Optional[str],
        row: Tuple[int, ...],
        dtype: DType,
        made_of: Any,
        counts: Any,
        made: bool,
        pairs: bool = False,
    ) -> None:
        super().__init__(context, number, value, name)
        self._row = row
        self._dtype = dtype
        self._made_of = made_of
        self._counts = counts
        self._made = made
        self._pairs = pairs

    @property
    def rows(self) -> Optional[List[int]]:
        """Rows by rank of the set, of a finished operation."""
        self.wait()
        return None if self._counts is None else list(self._counts)

    def _step(self, context: "Core", seconds: float) -> int:
        if not self._made:
            return super()._step(context, seconds)
        library, pointer, number = context.library, context.pointer, self.number
        status = _poll_for(library, pointer, number, seconds)
        if status == PENDING:
            return PENDING
        if status == 0:  # before the wait, which frees the handle and what was not taken
            status = self._take(library, pointer)
        waited: int = library.ronde_wait(pointer, number)
        return status or waited

    def _take(self, library: Any, pointer: Optional[int]) -> int:
        memory, rows = ctypes.c_void_p(), ctypes.c_size_t()
        status: int = library.ronde_take(
            pointer, self.number, ctypes.byref(memory), ctypes.byref(rows)
        )
        if status == 0:
            shape = (rows.value, *self._row)
            self._value = _arrays.copied(memory.value or 0, shape, self._dtype, self._made_of)
            library.ronde_free(pointer, memory)
        return status

    def settle(self, context: "Core", status: int) -> None:
        super().settle(context, status)
        if self._state != _DONE:
            return
        if not self._made and self._counts is not None and self._value is not None:
            self._value = self._value[: sum(self._counts)]
        if self._pairs:
            self._value = (self._value, list(self._counts))


class SparseHandle(Handle):
    """Of a sparse allreduce: the result is (indices, values), made by the library and copied."""

    __slots__ = ("_dtype", "_made_of", "_row")

    def __init__(
        self,
        context: "Core",
        number: int,
        name: Optional[str],
        row: Tuple[int, ...],
        dtype: DType,
        made_of: Any,
    ) -> None:
        super().__init__(context, number, None, name)
        self._row = row
        self._dtype = dtype
        self._made_of = made_of

    def _step(self, context: "Core", seconds: float) -> int:
        library, pointer, number = context.library, context.pointer, self.number
        status = _poll_for(library, pointer, number, seconds)
        if status == PENDING:
            return PENDING
        if status == 0:
            status = self._take(library, pointer)
        waited: int = library.ronde_wait(pointer, number)
        return status or waited

    def _take(self, library: Any, pointer: Optional[int]) -> int:
        indices = ctypes.POINTER(ctypes.c_int64)()
        values, rows = ctypes.c_void_p(), ctypes.c_size_t()
        status: int = library.ronde_take_sparse(
            pointer, self.number, ctypes.byref(indices), ctypes.byref(values), ctypes.byref(rows)
        )
        if status == 0:
            n = rows.value
            where = ctypes.cast(indices, ctypes.c_void_p)
            self._value = (
                _arrays.copied(where.value or 0, (n,), DType.INT64),
                _arrays.copied(values.value or 0, (n, *self._row), self._dtype, self._made_of),
            )
            library.ronde_free(pointer, where)
            library.ronde_free(pointer, values)
        return status
