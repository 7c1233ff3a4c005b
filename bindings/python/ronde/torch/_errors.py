"""Errors as a Horovod script expects them, which are also what the core package raises.

A failed operation is a ``HorovodInternalError`` and, at once, the core's own class, so that both
``except hvd.HorovodInternalError`` and ``except ronde.MismatchError`` catch a mismatch. What a
caller did wrong in a call of its own is a ``ValueError``, and no ``HorovodInternalError``: trying
again would not help.
"""

from __future__ import annotations

import functools
from typing import NoReturn

from .. import errors
from ..errors import Status


class HorovodInternalError(errors.RondeError):
    """An operation failed; ``hvd.elastic.run`` restores the last commit and tries again."""


class HostsUpdatedInterrupt(RuntimeError):
    """Workers came or went. ``skip_sync``: none came, so states need no synchronization."""

    def __init__(self, skip_sync: bool = False) -> None:
        super().__init__("the set of hosts has changed")
        self.skip_sync = skip_sync


class NotInitializedError(errors.ClosedError, ValueError):
    """Before ``hvd.init()``, or after ``hvd.shutdown()``."""


_OWN_FAULT = (Status.ARGUMENT, Status.OVERFLOW, Status.HANDLE, Status.PROCESS_SET)


@functools.cache
def error_class(status: int) -> type[Exception]:
    """The class for a negative status of the library."""
    core = errors.CLASSES.get(status, errors.RondeError)
    if status == Status.CLOSED:
        return NotInitializedError
    if status in _OWN_FAULT:
        return core
    return type(core.__name__, (HorovodInternalError, core), {"__module__": __name__})


def failure(status: int, text: str = "") -> Exception:
    """The exception for a status; without a text, with that of this thread's last failed call."""
    return error_class(status)(text or errors.last_error(), status)


def fail(status: int) -> NoReturn:
    """Raises it."""
    raise failure(status)
