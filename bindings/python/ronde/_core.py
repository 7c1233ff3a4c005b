"""What every operation of a context rests on: the library's pointer, names, options and
submission."""

from __future__ import annotations

import ctypes
import operator
import os
from ctypes import byref, c_size_t, c_uint64
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from . import _arrays
from ._abi import CALL_BYTES, Call
from ._buffers import Buffer, view
from ._guard import Guard
from ._handles import PENDING, SLICE_SECONDS, Handle, NumberHandle
from ._types import DType
from .errors import ArgumentError, ClosedError, RondeError, fail

Name = Union[str, bytes, None]

# A call that the library refuses, but only after it has drawn the number of an unnamed operation
# and told the group: kind -> (arguments before the dtype, arguments after it), without name and
# call.
_REFUSED: Dict[str, Tuple[Sequence[Any], Sequence[Any]]] = {
    "allreduce": ((None, None, 0), (0,)),
    "broadcast": ((None, None, 0), (0,)),
    "allgather": ((None, 0, 0), (None, 0, None)),
    "reduce": ((None, None, 0), (0, 0)),
    "reducescatter": ((None, 0, 0), (0, None, 0)),
    "alltoall": ((None, None, 0, 0), (None, 0, None)),
    "gather": ((None, 0, 0), (None, 0, None, 0)),
    "scatter": ((None, None, 0, 0), (None, 0, None, 0)),
    "sparse_allreduce": ((None, None, 0, 0), (0,)),
    "send": ((None, 0), ()),
    "recv": ((None, 0), ()),
}


def int32(value: Any, what: str) -> int:
    """A number that the library takes as int32_t. Raises :class:`ArgumentError`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{what} is {value!r}, no whole number") from None
    if not -(2**31) <= number < 2**31:
        raise ArgumentError(f"{what} is {number}, which is none")
    return number


def name_bytes(name: Name) -> Optional[bytes]:
    """A name as the library takes it. Raises :class:`ArgumentError`."""
    if name is None:
        return None
    if isinstance(name, str):
        name = name.encode()
    elif not isinstance(name, bytes):
        raise ArgumentError(
            f"the name is a {type(name).__name__}: pass a str, or None to have one drawn"
        )
    if b"\0" in name:
        raise ArgumentError("the name holds a zero byte")
    return name


def sizes(values: Any, what: str) -> Any:
    """Numbers of rows as an array of size_t. Raises :class:`ArgumentError`."""
    try:
        numbers = [operator.index(value) for value in values]
    except TypeError:
        raise ArgumentError(f"{what} must be whole numbers, not {values!r}") from None
    if any(not 0 <= number < 2**63 for number in numbers):
        raise ArgumentError(f"{what} must not be negative: {numbers}")
    return (c_size_t * len(numbers))(*numbers)


class Core:
    """A context without operations. ``pointer`` is the library's, None while it is not open."""

    def __init__(self) -> None:
        self.pointer: Optional[int] = None
        self.library: Any = None
        self.openings = 0  # times that it was opened or closed: tells handles of another time apart
        self.kept: Dict[int, Any] = {}  # memory of outstanding operations, by handle
        self.dropped: List[int] = []  # handles that nobody waits for any more
        self.guard = Guard()
        self.staged: Dict[int, List[int]] = {}  # handles of groups that have not ended, by group
        self.ended: Dict[int, RondeError] = {}  # why handles of groups that were refused are stale
        self._process = 0

    # ---- being open ------------------------------------------------------------------------------

    def _closed(self) -> ClosedError:
        if self.openings and self._process == os.getpid():
            return ClosedError("Ronde was shut down: call ronde.init() to open it again")
        return ClosedError("Ronde is not initialised: call ronde.init() first")

    def require(self) -> int:
        """The library's pointer. Raises :class:`ClosedError` where the context is not open."""
        if self.pointer is None:
            raise self._closed()
        return self.pointer

    def check(self, status: int) -> int:
        """Raises the library's last error where there is one; passes on what is none."""
        if status < 0:
            fail(status)
        return status

    # ---- submitting ------------------------------------------------------------------------------

    def _call(
        self,
        shape: Optional[Tuple[int, ...]],
        process_set: Any = 0,
        prescale: float = 1.0,
        postscale: float = 1.0,
        divide: int = 0,
        weight: float = 1.0,
        deadline: float = 0.0,
        group: Any = 0,
        wire: int = 0,
    ) -> Optional[Call]:
        """What a call says beyond its arguments; None: nothing."""
        if (
            shape is None
            and not process_set
            and not group
            and prescale == 1.0
            and postscale == 1.0
            and not divide
            and weight == 1.0
            and not deadline
            and not wire
        ):
            return None
        if process_set.__class__ is not int or process_set:
            process_set = int32(process_set, "the process set")
        try:
            call = Call(
                CALL_BYTES,
                process_set,
                prescale,
                postscale,
                None,
                0,
                divide,
                weight,
                deadline,
                group,
                wire,
            )
        except TypeError as error:
            raise ArgumentError(f"scales, weight and deadline must be numbers: {error}") from None
        if shape is not None:
            call.shape = (c_size_t * max(1, len(shape)))(*shape)
            call.dimensions = len(shape)
        return call

    def _submit(
        self,
        function: Any,
        arguments: Tuple[Any, ...],
        call: Optional[Call],
        keep: Any,
    ) -> int:
        """Submits, and keeps what must live until the operation is done; the handle's number."""
        if self.dropped:
            self._sweep()
        handle = c_uint64()
        status = function(self.pointer, *arguments, call, handle)
        if status < 0:
            fail(status)
        number = handle.value
        self._keep(number, call, keep)
        return number

    def _keep(self, number: int, call: Optional[Call], keep: Any) -> None:
        """What must live until the operation of that handle is done."""
        self.kept[number] = keep
        if call is not None and call.group:
            self.staged.setdefault(call.group, []).append(number)

    def _sweep(self) -> None:
        """Frees the handles that were dropped and are done by now."""
        waiting, self.dropped = self.dropped, []
        for number in waiting:
            if number not in self.kept or self.is_staged(number):
                self.ended.pop(number, None)
                continue
            status = self.library.ronde_poll(self.pointer, number)
            if status == PENDING:
                self.dropped.append(number)
                continue
            self.library.ronde_wait(self.pointer, number)
            self.kept.pop(number, None)
            self.guard.release(number)

    def is_staged(self, number: int) -> bool:
        """Whether the handle's group has not ended."""
        return any(number in numbers for numbers in self.staged.values())

    def end_group(self, group: int, error: Optional[RondeError]) -> None:
        """The group's operations are queued, or, with an error, were never."""
        for number in self.staged.pop(group, ()):
            if error is not None:
                self.kept.pop(number, None)
                self.guard.release(number)
                self.ended[number] = error

    def _refused(
        self,
        kind: str,
        name: Any,
        process_set: Any,
        group: Any,
        error: ArgumentError,
        peer: int = 0,
    ) -> ArgumentError:
        """Errors found before the library was called have the effects of those that it finds: an
        unnamed operation's number is drawn, so that later ones still match, and a group is
        refused."""
        what = f"{kind} {name!r}: {error}" if isinstance(name, str) else f"{kind}: {error}"
        if name is None or group:
            self._draw(kind, name, process_set, group, peer)
        if group and hasattr(group, "refusals"):
            group.refusals.append(what)
        return ArgumentError(what)

    def _draw(self, kind: str, name: Any, process_set: Any, group: Any, peer: int) -> None:
        before, after = _REFUSED[kind]
        called = None if name is None else b"refused"  # a named one draws no number
        try:
            call = Call(CALL_BYTES, process_set, 1, 1, None, 0, 0, 1, 0, group)
            rest = (peer,) if kind in ("send", "recv") else after
            function = getattr(self.library, f"ronde_{kind}_async")
            function(self.pointer, called, *before, -1, *rest, byref(call), byref(c_uint64()))
        except (TypeError, ctypes.ArgumentError):  # no process set or group that there could be
            pass

    # ---- results ---------------------------------------------------------------------------------

    def _target(self, source: Buffer, out: Any, dtype: Any) -> Tuple[int, Any, Any]:
        """(address, result, what to keep) of a result of the source's shape and type."""
        if out is None:
            made = _arrays.like(source)
            return _arrays.address(made), made, made
        if self.guard.held and self.guard.holds(out):
            raise ArgumentError(
                "the output is in use by an operation that is not done: wait for that first"
            )
        if out is source.owner:
            target = source if source.writable else view(out, True, dtype)
        else:
            target = self._view_out(out, source, dtype)
        return target.pointer, out, target.owner

    def _view_out(self, out: Any, source: Buffer, dtype: Any) -> Buffer:
        if dtype is None and source.dtype == DType.BFLOAT16:
            try:
                target = view(out, True)
            except ArgumentError:
                target = view(out, True, source.dtype)
        else:
            target = view(out, True, dtype)
        if target.dtype != source.dtype or target.shape != source.shape:
            raise ArgumentError(f"the output is {target}, but the result is {source}")
        return target

    def _finish(self, number: int, source: Buffer, result: Any, out: Any, name: Name) -> Any:
        """Waits for what was just submitted, by the shortest way."""
        try:
            status = self.library.ronde_wait_for(self.pointer, number, SLICE_SECONDS)
            if status:  # pending or wrong: a handle knows what to do
                handle = self._handle_of(source, number, result, out, name)
                if status < 0:
                    handle.settle(self, status)
                return handle.wait()
        except BaseException:
            if number in self.kept:
                self.dropped.append(number)
            raise
        del self.kept[number]
        return result if source.scalar is None or out is not None else _arrays.item(result)

    def _handle_of(self, source: Buffer, number: int, result: Any, out: Any, name: Name) -> Handle:
        kind = NumberHandle if source.scalar is not None and out is None else Handle
        return kind(self, number, result, name if isinstance(name, str) else None)
