"""One submission of each kind: a tensor's memory, by its address, to the library.

Each function checks the tensor, submits, and returns the library's handle. ``name`` None: matched
by a counter per kind, which advances also when the call fails, here or in the library. ``group``:
the number of the `group` that it belongs to, or 0.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Optional

import torch

from . import _core
from ._core import library, pointer
from ._dtypes import dtype_code
from ._errors import fail

_NO_DTYPE = -1  # refused by the library, after it has drawn a number

# How many numbers this layer has had the library draw, by kind and process set: ranks that leave a
# loop at different steps, and join, have drawn differently many, and begin anew.
drawn: Counter[tuple[str, int]] = Counter()


def draw(kind: str, process_set: int) -> None:
    """Advances the counter of unnamed operations of a kind, as a call does that the library
    refuses."""
    drawn[kind, process_set] += 1
    call, handle = _core.call_of((), 1.0, 1.0, process_set, 0), ctypes.c_uint64()
    lib, context = library(), pointer()
    if kind in ("allreduce", "broadcast"):
        submit = getattr(lib, f"ronde_{kind}_async")
        submit(context, None, None, None, 0, _NO_DTYPE, 0, call, handle)
    elif kind == "allgather":
        lib.ronde_allgather_async(context, None, None, 0, 0, _NO_DTYPE, None, 0, None, call, handle)
    elif kind == "alltoall":
        lib.ronde_alltoall_async(
            context, None, None, None, 0, 0, _NO_DTYPE, None, 0, None, call, handle
        )
    elif kind == "reducescatter":
        lib.ronde_reducescatter_async(
            context, None, None, 0, 0, _NO_DTYPE, 0, None, 0, call, handle
        )
    elif kind == "sparse_allreduce":
        lib.ronde_sparse_allreduce_async(
            context, None, None, None, 0, 0, _NO_DTYPE, 0, call, handle
        )
    else:
        call = _core.make_call((), 1.0, 1.0, process_set)
        call.dimensions = -1
        lib.ronde_barrier_async(context, None, call, handle)


def prepared(
    kind: str, name: Optional[str], process_set: int, prepare: Callable[..., Any], *arguments: Any
) -> Any:
    """What ``prepare`` makes of the arguments; where it refuses them, an unnamed operation has
    drawn its number all the same."""
    try:
        return prepare(*arguments)
    except Exception:
        if name is None:
            draw(kind, process_set)
        raise


def _name(kind: str, name: Optional[str], process_set: int) -> Optional[bytes]:
    """A name as the library takes it; where there is none it draws a number, which is counted."""
    if name is None:
        drawn[kind, process_set] += 1
        return None
    text = str(name).encode()
    if b"\0" in text:
        raise ValueError(f"the name {name!r} holds a zero byte")
    return text


def forget_numbers() -> None:
    """After a join of all ranks: the library's numbers begin anew."""
    for kind, process_set in list(drawn):
        if process_set == 0:
            del drawn[kind, process_set]


def rows_of(tensor: torch.Tensor) -> tuple[int, int, int]:
    """Type, rows, and elements of a row; ``ValueError`` for a scalar, which has no rows."""
    code = dtype_code(tensor)
    if tensor.dim() == 0:
        raise ValueError("a tensor of no dimension has no rows: give it one with tensor.view(1)")
    return code, tensor.shape[0], math.prod(tensor.shape[1:])


@contextlib.contextmanager
def group() -> Iterator[int]:
    """A group: what is submitted in the block is queued at its end, or all of it is refused."""
    number = ctypes.c_uint64()
    _core.check(library().ronde_group_begin(pointer(), number))
    try:
        yield number.value
    except BaseException:
        library().ronde_group_cancel(pointer(), number)
        raise
    _core.check(library().ronde_group_end(pointer(), number))


def _submitted(status: int, handle: ctypes.c_uint64, group: int) -> int:
    """The handle; a refusal in a group is told at the group's end."""
    if status < 0 and not group:
        fail(status)
    return handle.value


def allreduce(
    tensor: torch.Tensor,
    output: torch.Tensor,
    name: Optional[str],
    op: int,
    prescale: float,
    postscale: float,
    process_set: int,
    group: int = 0,
) -> int:
    """Of checked tensors of one shape and type, which may be one."""
    handle = ctypes.c_uint64()
    status = library().ronde_allreduce_async(
        pointer(),
        _name("allreduce", name, process_set),
        tensor.data_ptr(),
        output.data_ptr(),
        tensor.numel(),
        dtype_code(tensor),
        op,
        _core.call_of(tensor.shape, prescale, postscale, process_set, group),
        handle,
    )
    return _submitted(status, handle, group)


def broadcast(
    tensor: torch.Tensor,
    output: torch.Tensor,
    root: int,
    name: Optional[str],
    process_set: int,
    group: int = 0,
) -> int:
    """Of checked tensors of one shape and type, which may be one."""
    handle = ctypes.c_uint64()
    status = library().ronde_broadcast_async(
        pointer(),
        _name("broadcast", name, process_set),
        tensor.data_ptr(),
        output.data_ptr(),
        tensor.numel(),
        dtype_code(tensor),
        root,
        _core.call_of(tensor.shape, 1.0, 1.0, process_set, group),
        handle,
    )
    return _submitted(status, handle, group)


def allgather(
    tensor: torch.Tensor, rows_by_rank: Any, name: Optional[str], process_set: int, group: int
) -> int:
    """The library makes the result: `take` it."""
    code, rows, row_count = rows_of(tensor)
    handle = ctypes.c_uint64()
    status = library().ronde_allgather_async(
        pointer(),
        _name("allgather", name, process_set),
        tensor.data_ptr(),
        rows,
        row_count,
        code,
        None,
        0,
        rows_by_rank,
        _core.call_of(tensor.shape, 1.0, 1.0, process_set, group),
        handle,
    )
    return _submitted(status, handle, group)


def alltoall(
    tensor: torch.Tensor,
    splits: Any,
    received: Any,
    name: Optional[str],
    process_set: int,
    group: int,
) -> int:
    """``splits`` and ``received``: arrays of size_t (or None for even splits). `take` the
    result."""
    code, rows, row_count = rows_of(tensor)
    handle = ctypes.c_uint64()
    status = library().ronde_alltoall_async(
        pointer(),
        _name("alltoall", name, process_set),
        tensor.data_ptr(),
        splits,
        rows,
        row_count,
        code,
        None,
        0,
        received,
        _core.call_of(tensor.shape, 1.0, 1.0, process_set, group),
        handle,
    )
    return _submitted(status, handle, group)


def reducescatter(
    tensor: torch.Tensor,
    output: torch.Tensor,
    name: Optional[str],
    op: int,
    prescale: float,
    postscale: float,
    process_set: int,
    group: int = 0,
) -> int:
    """``output``: this rank's share of the rows."""
    code, rows, row_count = rows_of(tensor)
    handle = ctypes.c_uint64()
    status = library().ronde_reducescatter_async(
        pointer(),
        _name("reducescatter", name, process_set),
        tensor.data_ptr(),
        rows,
        row_count,
        code,
        op,
        output.data_ptr(),
        output.shape[0],
        _core.call_of(tensor.shape, prescale, postscale, process_set, group),
        handle,
    )
    return _submitted(status, handle, group)


def sparse_allreduce(
    indices: torch.Tensor,
    values: torch.Tensor,
    name: Optional[str],
    op: int,
    process_set: int,
    group: int = 0,
) -> int:
    """int64 indices of the rows of ``values``. `take_sparse` the result."""
    code, rows, row_count = rows_of(values)
    handle = ctypes.c_uint64()
    status = library().ronde_sparse_allreduce_async(
        pointer(),
        _name("sparse_allreduce", name, process_set),
        ctypes.cast(indices.data_ptr(), ctypes.POINTER(ctypes.c_int64)),
        values.data_ptr(),
        rows,
        row_count,
        code,
        op,
        _core.call_of((), 1.0, 1.0, process_set, group),
        handle,
    )
    return _submitted(status, handle, group)
