"""The decorator for a training function that may be begun again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ... import errors
from .. import _basics
from .._errors import HorovodInternalError, HostsUpdatedInterrupt
from .state import State

# After these the context cannot be used any more, and opening another needs the rank that is lost.
_FOR_GOOD = (errors.PeerLostError, errors.MPIError, errors.SystemCallError)


def _reset() -> None:
    _basics.shutdown()
    _basics.init()


def run(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes ``function(state, ...)`` go on after failed operations.

    The state is synchronized, then the function called. When it raises a ``HorovodInternalError``
    the state is restored to the last commit, Ronde is shut down and opened again by all ranks, the
    state's reset callbacks are called, and all begins again; after a ``HostsUpdatedInterrupt`` the
    same without restoring. All ranks must have got the error, as they do of a mismatch; an
    operation that waits for a rank which has failed alone ends by
    ``HOROVOD_STALL_SHUTDOWN_TIME_SECONDS``. Where a rank is lost the state is restored and the
    error raised.
    """

    @functools.wraps(function)
    def wrapper(state: State, *args: Any, **kwargs: Any) -> Any:
        skip_sync = False
        while True:
            try:
                if not skip_sync:
                    state.sync()
                return function(state, *args, **kwargs)
            except HorovodInternalError as error:
                state.restore()
                if isinstance(error, _FOR_GOOD):
                    raise
                skip_sync = False
            except HostsUpdatedInterrupt as interrupt:
                skip_sync = interrupt.skip_sync
            _reset()
            state.on_reset()

    return wrapper
