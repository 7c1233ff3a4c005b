"""What can go wrong, as exceptions. Every status of the library has a class; the text is the
library's.

``RondeError`` is a ``RuntimeError``. Errors of a call's own arguments are ``ValueError`` as well.
Errors of arguments are local and immediate; a ``MismatchError`` is raised on every rank of the
operation, and so is a ``StalledError`` on every rank that submitted it.
"""

from __future__ import annotations

import enum
from typing import Dict, NoReturn, Optional, Type


class Status(enum.IntEnum):
    """``enum ronde_status`` of ``ronde.h``."""

    OK = 0
    PENDING = 1
    ARGUMENT = -1
    OVERFLOW = -2
    MEMORY = -3
    CLOSED = -4
    HANDLE = -5
    DUPLICATE = -6
    MISMATCH = -7
    TRUNCATED = -8
    THREADS = -9
    MPI = -10
    SYSTEM = -11
    PEER = -12
    STALLED = -13
    PROCESS_SET = -14


class RondeError(RuntimeError):
    """Any error of Ronde. ``status`` is the library's number, 0 where the library did not say
    it."""

    status: int = 0

    def __init__(self, text: str = "", status: Optional[int] = None) -> None:
        super().__init__(text)
        if status is not None:
            self.status = status


class LibraryError(RondeError, ImportError):
    """``libronde.so`` was not found, or is of another version."""


class ArgumentError(RondeError, ValueError):
    """A wrong argument: dtype, op, root, shape, memory, option or setting. Local and immediate."""

    status = Status.ARGUMENT


class CountOverflowError(RondeError, OverflowError):
    """Count times element size exceeds the address space."""

    status = Status.OVERFLOW


class OutOfMemoryError(RondeError, MemoryError):
    """Memory, or shared memory, is full."""

    status = Status.MEMORY


class ClosedError(RondeError):
    """Before ``init``, after ``shutdown``, or in a forked child."""

    status = Status.CLOSED


class HandleError(RondeError, ValueError):
    """The operation's handle is stale, or another thread waits on it."""

    status = Status.HANDLE


class DuplicateError(RondeError, ValueError):
    """An operation of this kind and name is outstanding on this rank already."""

    status = Status.DUPLICATE


class MismatchError(RondeError):
    """Ranks disagree about dtype, shape, op, root or scale. Raised on all of them."""

    status = Status.MISMATCH


class TruncatedError(RondeError, ValueError):
    """The output has too little room for the rows that came. The others have their result."""

    status = Status.TRUNCATED


class ThreadLevelError(RondeError):
    """MPI's thread level is too low for this use."""

    status = Status.THREADS


class MPIError(RondeError):
    """MPI returned an error. For good: close the context."""

    status = Status.MPI


class SystemCallError(RondeError):
    """The operating system refused something."""

    status = Status.SYSTEM


class PeerLostError(RondeError):
    """A rank was lost. For good: every later call says so; close the context."""

    status = Status.PEER


class StalledError(RondeError):
    """Time is up, and some ranks did not submit the operation. The others go on."""

    status = Status.STALLED


class ProcessSetError(RondeError, ValueError):
    """An unknown process set, or one that this rank is no member of."""

    status = Status.PROCESS_SET


class RemoteError(RondeError):
    """A rank of :func:`ronde.run` failed: ``rank`` is its number, ``traceback`` its traceback."""

    def __init__(self, text: str, rank: int = -1, traceback: str = "") -> None:
        super().__init__(text)
        self.rank = rank
        self.traceback = traceback


CLASSES: Dict[int, Type[RondeError]] = {
    int(kind.status): kind
    for kind in (
        ArgumentError,
        CountOverflowError,
        OutOfMemoryError,
        ClosedError,
        HandleError,
        DuplicateError,
        MismatchError,
        TruncatedError,
        ThreadLevelError,
        MPIError,
        SystemCallError,
        PeerLostError,
        StalledError,
        ProcessSetError,
    )
}


def error_class(status: int) -> Type[RondeError]:
    """The class of a status; it is made as ``cls(text, status)``."""
    return CLASSES.get(status, RondeError)


def error_of(status: int, text: str) -> RondeError:
    """The exception of a status."""
    return error_class(status)(text, status)


def last_error() -> str:
    """The text of this thread's last failed call of the library."""
    from . import _abi

    text: bytes = _abi.library().ronde_last_error()
    return text.decode("utf-8", "replace")


def fail(status: int) -> NoReturn:
    """Raises the exception of an error that a call has just returned, with the library's text."""
    raise error_of(status, last_error())


def check(status: int) -> int:
    """Passes 0 and states (positive) on, and raises errors (negative)."""
    if status < 0:
        fail(status)
    return status
