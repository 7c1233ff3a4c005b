"""Asynchronous operations that only move data: allgather, broadcast, alltoall.

While a rank has joined, Horovod's allgather and alltoall are errors, and Ronde's take an empty
contribution. To tell, each is submitted in a group with a tiny sum, to which every rank that takes
part contributes: what is missing of it has joined. The group completes together, so both see the
same ranks.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from typing import Any, Optional

import torch

from .._types import Op
from ..errors import Status
from . import _core, _rows, _submit
from ._dtypes import dtype_code
from ._errors import failure
from ._handles import Pending, register, synchronize
from ._process_sets import ProcessSet, global_process_set, set_id
from ._reductions import draw_for_all, known_set, names_of
from ._submit import prepared, rows_of


class _Presence:
    """The tiny sum beside an operation."""

    def __init__(self, kind: str, name: Optional[str], process_set: int) -> None:
        ranks = _core.library().ronde_process_set_size(_core.pointer(), process_set)
        self.kind, self.name, self.process_set = kind, name, process_set
        self.members = torch.zeros(max(ranks, 1), dtype=torch.uint8)
        if name is not None and len(name) > 400:  # names have at most 1000 bytes
            name = hashlib.sha1(name.encode()).hexdigest()
        number = _submit.drawn[kind, process_set]  # of an unnamed one, which it is to draw
        self.own_name = f"{kind} by {number if name is None else name}"

    def submit(self, group: int) -> list[int]:
        """Alone in its set a rank needs no such sum."""
        if len(self.members) < 2:
            return []
        rank = _core.library().ronde_process_set_rank(_core.pointer(), self.process_set)
        if rank >= 0:
            self.members[rank] = 1
        return [
            _submit.allreduce(
                self.members, self.members, self.own_name, Op.SUM, 1.0, 1.0, self.process_set, group
            )
        ]

    def joined(self) -> Optional[Exception]:
        """The error, where a rank of the set has joined."""
        if len(self.members) < 2 or bool(self.members.all()):
            return None
        gone = [i for i, here in enumerate(self.members.tolist()) if not here]
        called = self.kind if self.name is None else f"{self.kind} '{self.name}'"
        return failure(
            Status.MISMATCH,
            f"{called}: rank {', '.join(map(str, gone))} of the process set has joined; "
            f"{self.kind} is not supported with join: all ranks must take part",
        )


# ---- allgather -----------------------------------------------------------------------------------


def _prepare_gather(
    tensors: Sequence[torch.Tensor], process_set: ProcessSet
) -> tuple[int, list[Any]]:
    number = set_id(process_set)
    for tensor in tensors:
        rows_of(tensor)
    ranks = _core.library().ronde_process_set_size(_core.pointer(), number)
    return number, [(ctypes.c_size_t * max(ranks, 1))() for _ in tensors]


class Gathered(Pending):
    """An allgather under way; ``rows``: by tensor, an array of each rank's rows."""

    __slots__ = ("rows",)
    rows: list[Any]


def allgather_pending(
    tensors: Sequence[torch.Tensor], name: Optional[str], process_set: ProcessSet, grouped: bool
) -> Gathered:
    """An allgather of one tensor, or of a list, under way."""
    tensors = list(tensors)
    n = len(tensors)
    presence = _Presence("allgather", name, known_set(process_set))
    number, rows = draw_for_all(
        "allgather", name, process_set, n, _prepare_gather, tensors, process_set
    )
    takes: list[int] = []
    natives: list[int] = []
    if tensors:
        names = names_of(name, n) if grouped else [name]
        with _submit.group() as group:
            for tensor, places, own in zip(tensors, rows, names):
                takes.append(_submit.allgather(tensor, places, own, number, group))
            natives = presence.submit(group)
    made = list(takes)

    def finish() -> Any:
        results = [
            _rows.take(native, tensor.shape[1:], tensor.dtype)
            for native, tensor in zip(made, tensors)
        ]
        return results if grouped else results[0]

    pending = Gathered(natives, (tensors, rows, presence), finish, takes)
    pending.rows = rows
    pending.failing = presence.joined
    return pending


def allgather_async(
    tensor: torch.Tensor,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> int:
    """Starts gathering the ranks' tensors, one after the other along the first dimension, which may
    differ by rank; the others and the type must be equal. ``ValueError`` for a scalar tensor."""
    return register(allgather_pending([tensor], name, process_set, False))


def grouped_allgather_async(
    tensors: Sequence[torch.Tensor],
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> int:
    """As ``allgather_async``, of a list of tensors that are done together or not at all."""
    return register(allgather_pending(tensors, name, process_set, True))


# ---- broadcast -----------------------------------------------------------------------------------


def _prepare_broadcast(
    tensor: torch.Tensor, root_rank: int, process_set: ProcessSet, in_place: bool
) -> tuple[int, int, torch.Tensor]:
    number, root = set_id(process_set), int(root_rank)
    dtype_code(tensor)
    return number, root, tensor.detach() if in_place else torch.empty_like(tensor)


def _broadcast(
    tensor: torch.Tensor,
    root_rank: int,
    name: Optional[str],
    process_set: ProcessSet,
    in_place: bool,
) -> Pending:
    number, root, output = prepared(
        "broadcast", name, known_set(process_set),
        _prepare_broadcast, tensor, root_rank, process_set, in_place,
    )  # fmt: skip
    native = _submit.broadcast(tensor, output, root, name, number)
    result = tensor if in_place else output
    return Pending([native], (tensor, output), lambda: result)


def broadcast_async(
    tensor: torch.Tensor,
    root_rank: int,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> int:
    """Starts copying the root's tensor to all ranks, into a new one. ``root_rank`` is a global
    rank. Type and shape must be the same on all ranks."""
    return register(_broadcast(tensor, root_rank, name, process_set, False))


def broadcast_async_(
    tensor: torch.Tensor,
    root_rank: int,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> int:
    """As ``broadcast_async``, into the tensor itself."""
    return register(_broadcast(tensor, root_rank, name, process_set, True))


def broadcast_(
    tensor: torch.Tensor,
    root_rank: int,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> torch.Tensor:
    """As ``broadcast``, into the tensor itself; returns it."""
    pending = _broadcast(tensor, root_rank, name, process_set, True)
    result: torch.Tensor = synchronize(register(pending))
    return result


# ---- alltoall ------------------------------------------------------------------------------------


def _prepare_alltoall(
    tensor: torch.Tensor, splits: Any, process_set: ProcessSet
) -> tuple[int, Any, Any, torch.dtype]:
    number = set_id(process_set)
    rows_of(tensor)
    ranks = max(1, _core.library().ronde_process_set_size(_core.pointer(), number))
    received = (ctypes.c_size_t * ranks)()
    if splits is None:
        return number, None, received, torch.int32
    dtype = splits.dtype if isinstance(splits, torch.Tensor) else torch.int32
    given = [int(one) for one in torch.as_tensor(splits).reshape(-1).tolist()]
    if len(given) != ranks:
        raise ValueError(f"splits has {len(given)} entries, the process set {ranks} ranks")
    if min(given) < 0:
        raise ValueError(f"splits {given}: a number of rows is not negative")
    return number, (ctypes.c_size_t * ranks)(*given), received, dtype


def alltoall_pending(
    tensor: torch.Tensor, splits: Any, name: Optional[str], process_set: ProcessSet
) -> Pending:
    """An alltoall under way; the result is the pair of rows and received splits."""
    presence = _Presence("alltoall", name, known_set(process_set))
    number, given, received, dtype = prepared(
        "alltoall", name, known_set(process_set), _prepare_alltoall, tensor, splits, process_set
    )
    with _submit.group() as group:
        native = _submit.alltoall(tensor, given, received, name, number, group)
        natives = presence.submit(group)

    def finish() -> tuple[torch.Tensor, torch.Tensor]:
        output = _rows.take(native, tensor.shape[1:], tensor.dtype)
        return output, torch.tensor(list(received), dtype=dtype)

    pending = Pending(natives, (tensor, received, presence), finish, [native])
    pending.failing = presence.joined
    return pending


def alltoall_async(
    tensor: torch.Tensor,
    splits: Any = None,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> int:
    """Starts sending the first ``splits[0]`` rows to rank 0 of the set, the next to rank 1, and so
    on; None: equally many to each. ``synchronize`` gives the rows that came, in order of rank, and
    how many from each (of the type of ``splits`` where that is a tensor, else int32)."""
    return register(alltoall_pending(tensor, splits, name, process_set))
