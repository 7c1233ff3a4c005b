"""What this layer takes of the core package: the library, the open context, calls' options."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Sequence
from typing import Any, Optional

import ronde

from .. import _abi
from .._abi import Call
from ..errors import Status
from ._errors import NotInitializedError, fail

library = _abi.library
PENDING = int(Status.PENDING)
SLICE_S = 0.2  # a waiting thread looks for signals (Ctrl-C) so often


def pointer() -> Any:
    """The open context, as the library's functions take it."""
    context = ronde.context.pointer
    if context is None:
        raise NotInitializedError("Ronde is not initialised, or was shut down: call hvd.init()")
    return context


def rank() -> int:
    """This process's rank among all."""
    return int(library().ronde_rank(pointer()))


def size() -> int:
    """How many ranks there are."""
    return int(library().ronde_size(pointer()))


def check(status: int) -> int:
    """Passes 0 and positive states on; raises the exception of a negative status."""
    if status < 0:
        fail(status)
    return status


# ---- options of a call ---------------------------------------------------------------------------

_DIVIDE_SIZE = 1  # an average divides by all ranks while some have joined, as Horovod's does
_MAX_DIMENSIONS = 16


def make_call(
    shape: Sequence[int], prescale: float, postscale: float, process_set: int, group: int = 0
) -> Call:
    """A ``ronde_call``. The library reads it before a submission returns, so it may be used
    again."""
    call = Call()
    library().ronde_call_init(call, ctypes.sizeof(Call))
    call.process_set = process_set
    call.prescale = prescale
    call.postscale = postscale
    call.divide = _DIVIDE_SIZE
    call.group = group
    if 0 < len(shape) <= _MAX_DIMENSIONS:
        call.shape = (ctypes.c_size_t * len(shape))(*shape)
        call.dimensions = len(shape)
    return call


_cached_call = functools.lru_cache(maxsize=4096)(make_call)


def call_of(
    shape: Sequence[int], prescale: float, postscale: float, process_set: int, group: int
) -> Call:
    """The same; one that was made before, where it is not for a group."""
    if group:
        return make_call(shape, prescale, postscale, process_set, group)
    return _cached_call(shape, prescale, postscale, process_set)


# ---- waiting -------------------------------------------------------------------------------------


def wait(native: int) -> int:
    """Waits for an operation of the library and frees its handle; its status. Ctrl-C interrupts:
    then the handle is still valid."""
    wait_for, context = library().ronde_wait_for, pointer()
    status: int = wait_for(context, native, SLICE_S)
    while status == PENDING:
        status = wait_for(context, native, SLICE_S)
    return status


def wait_done(native: int) -> None:
    """Waits until an operation is done, and leaves its handle valid, for what is to be taken of it.
    By looking, since the library's own wait would free it: at most an eighth of the time late."""
    poll, context, start = library().ronde_poll, pointer(), time.monotonic()
    while poll(context, native) == PENDING:
        elapsed = time.monotonic() - start
        time.sleep(min(0.005, elapsed / 8) if elapsed > 0.0002 else 0)


# ---- process sets --------------------------------------------------------------------------------


def process_set_add(ranks: Sequence[int]) -> int:
    """Collective. The new set's number."""
    number = ctypes.c_int32()
    array = (ctypes.c_int32 * len(ranks))(*ranks)
    check(library().ronde_process_set_add(pointer(), array, len(ranks), number))
    return number.value


def process_set_of_communicator(communicator: Any) -> tuple[Optional[int], list[int]]:
    """Collective. Number and ranks of the set of an mpi4py communicator's ranks."""
    number = ctypes.c_int32()
    handle = communicator.py2f()
    check(library().ronde_process_set_from_communicator(pointer(), handle, number))
    if number.value < 0:  # MPI.COMM_NULL: no member of any
        return None, []
    array, n = (ctypes.c_int32 * size())(), ctypes.c_int32()
    check(library().ronde_process_set_ranks(pointer(), number, array, len(array), n))
    return number.value, list(array[: n.value])


def process_set_remove(number: int) -> bool:
    """Collective. Whether there was one of that number."""
    status = library().ronde_process_set_remove(pointer(), number)
    if status == Status.PROCESS_SET:
        return False
    check(status)
    return True
