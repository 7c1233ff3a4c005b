"""Process sets: some of the ranks, in which operations are matched and run of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

from . import _core


class ProcessSet:
    """Some of the ranks.

    Make one from global ranks (any order, no duplicates) or from an mpi4py communicator, then
    register it on every rank with ``hvd.init(process_sets=[...])`` or ``hvd.add_process_set``.
    """

    process_set_id: Optional[int] = None
    ranks: Optional[list[int]] = None
    mpi_comm: Any = None

    def __init__(self, ranks_or_comm: Union[Iterable[int], Any]) -> None:
        if hasattr(ranks_or_comm, "py2f"):
            self.mpi_comm = ranks_or_comm
            return
        wrong = "a ProcessSet is made of a list of ranks or an mpi4py communicator"
        if isinstance(ranks_or_comm, (str, bytes)) or not isinstance(ranks_or_comm, Iterable):
            raise ValueError(f"{wrong}, not of {ranks_or_comm!r}")
        ranks = list(ranks_or_comm)
        if any(not isinstance(rank, int) or isinstance(rank, bool) for rank in ranks):
            raise ValueError(f"{wrong}, not of {ranks!r}")
        self.ranks = sorted(ranks)

    def _invalidate(self) -> None:
        self.process_set_id = None

    def size(self) -> Optional[int]:
        """How many ranks it has; None before it is registered."""
        if self.process_set_id is None:
            return None
        size = _core.library().ronde_process_set_size(_core.pointer(), self.process_set_id)
        if size < 0:
            raise ValueError(f"process set {self.process_set_id} does not exist")
        return int(size)

    def rank(self) -> Optional[int]:
        """This process's number within it; None before it is registered; ``ValueError`` on a rank
        that is no member."""
        if self.process_set_id is None:
            return None
        rank = _core.library().ronde_process_set_rank(_core.pointer(), self.process_set_id)
        if rank < 0:
            raise ValueError(f"this process is no member of {self}")
        return int(rank)

    def included(self) -> Optional[bool]:
        """Whether this process is a member; None where the ranks are not known yet."""
        if self.ranks is None:
            return None
        return _core.rank() in self.ranks

    def __str__(self) -> str:
        return (
            f"ProcessSet(process_set_id={self.process_set_id}, ranks={self.ranks}, "
            f"mpi_comm={self.mpi_comm})"
        )

    __repr__ = __str__


global_process_set = ProcessSet([])
global_process_set.process_set_id = 0

_registered: list[ProcessSet] = []


def set_id(process_set: ProcessSet) -> int:
    """Its number; ``ValueError`` where it is none, or not registered."""
    number = getattr(process_set, "process_set_id", None)
    if number is None:
        raise ValueError(
            f"{process_set!r} is not registered: pass it to hvd.init(process_sets=[...]) or "
            "hvd.add_process_set() on every rank"
        )
    return int(number)


def _add(process_set: ProcessSet) -> None:
    """Registers it; collective."""
    if process_set.ranks is None and process_set.mpi_comm is not None:
        number, ranks = _core.process_set_of_communicator(process_set.mpi_comm)
        process_set.ranks = ranks
    else:
        ranks = process_set.ranks or []
        number = _core.process_set_add(ranks)
    process_set.process_set_id = number
    _registered.append(process_set)


def _refuse_known(ranks: Optional[Sequence[int]]) -> None:
    known = [global_process_set, *_registered]
    if ranks is not None and any(one.ranks == list(ranks) for one in known):
        raise ValueError(f"there is a process set of the ranks {list(ranks)} already")


def register_at_init(process_sets: Iterable[ProcessSet]) -> None:
    """What ``hvd.init`` does with its list."""
    global_process_set.ranks = list(range(_core.size()))
    process_sets = list(process_sets)
    for one in process_sets:
        if not isinstance(one, ProcessSet):
            raise ValueError(f"process_sets is a list of hvd.ProcessSet, not of {one!r}")
        one._invalidate()
    for one in process_sets:
        _refuse_known(one.ranks)
        _add(one)


def forget_at_shutdown() -> None:
    """No set but the global one outlives a context."""
    for one in _registered:
        one._invalidate()
    _registered.clear()
    global_process_set.ranks = []


def add_process_set(process_set: Union[ProcessSet, Sequence[int]]) -> ProcessSet:
    """Registers a process set, or makes one of a list of ranks; returns it.

    Collective over all ranks, members or not. ``ValueError`` where there is one of these ranks.
    """
    if not isinstance(process_set, ProcessSet):
        process_set = ProcessSet(process_set)
    _core.pointer()  # before anything else: is it initialized?
    _refuse_known(process_set.ranks)
    _add(process_set)
    return process_set


def remove_process_set(process_set: ProcessSet) -> bool:
    """Removes it, once this rank's operations in it are done; whether there was one to remove.

    Collective over all ranks, members or not. The global process set stays: False.
    """
    number = process_set.process_set_id
    if not number:
        return False
    process_set._invalidate()
    if process_set in _registered:
        _registered.remove(process_set)
    return _core.process_set_remove(number)
