"""Process sets and groups: both are numbers of the library, so they pass as such."""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager
from ctypes import byref, c_int32, c_uint64
from typing import Any, Iterator, List, Sequence

from . import _abi
from ._core import Core, int32
from .errors import ArgumentError, HandleError, error_of, last_error


class ProcessSet(int):
    """Some of the ranks; as a number, its id, which is equal on all ranks."""

    _context: "ProcessSets"

    @classmethod
    def make(cls, context: "ProcessSets", number: int) -> "ProcessSet":
        """The set of that number of a context."""
        made = cls(number)
        made._context = context
        return made

    @property
    def id(self) -> int:
        """The number."""
        return int(self)

    @property
    def ranks(self) -> List[int]:
        """The global ranks of the members, in order."""
        return self._context.process_set_ranks(self)

    def rank(self) -> int:
        """This rank's number in the set; -1: no member."""
        return self._context.process_set_rank(self)

    def size(self) -> int:
        """How many members; -1: the set was removed."""
        return self._context.process_set_size(self)

    def included(self) -> bool:
        """Whether this rank is a member."""
        return self.rank() >= 0

    def remove(self) -> None:
        """See :meth:`Context.remove_process_set`."""
        self._context.remove_process_set(self)

    def __repr__(self) -> str:
        return f"ProcessSet({int(self)})"


class Group(int):
    """A group that has begun; as a number, the library's."""

    refusals: List[str]


class ProcessSets(Core):
    """Making, removing and asking about process sets; groups.

    Making and removing are collective over *all* ranks of the context, members or not, and block.
    """

    def _made(self, function: Any, *arguments: Any) -> ProcessSet:
        pointer = self.require()
        number = c_int32()
        with self.uninterrupted():
            self.check(function(pointer, *arguments, byref(number)))
        return ProcessSet.make(self, number.value)

    def uninterrupted(self) -> Any:
        """See :meth:`Context.uninterrupted`."""
        raise NotImplementedError

    def add_process_set(self, ranks: Sequence[int]) -> ProcessSet:
        """The set of these distinct global ranks, in any order, the same list on all ranks."""
        self.require()
        if isinstance(ranks, (str, bytes)) or not hasattr(ranks, "__iter__"):
            raise ArgumentError(f"the ranks are {ranks!r}: pass a list of global ranks")
        members = [int32(rank, "a rank") for rank in ranks]
        array = (c_int32 * max(1, len(members)))(*members)
        return self._made(self.library.ronde_process_set_add, array, len(members))

    def split_process_set(self, colour: int) -> ProcessSet:
        """One set per colour, of the ranks that pass it. A negative colour joins none: set -1."""
        self.require()
        return self._made(self.library.ronde_process_set_split, int32(colour, "the colour"))

    def process_set_from_communicator(self, communicator: Any) -> ProcessSet:
        """The set of the ranks of a communicator: one of mpi4py's, or a Fortran handle.

        All ranks of the context call, each with its own; ``MPI.COMM_NULL`` gives set -1.
        """
        self.require()
        handle = fortran_handle(communicator)
        return self._made(self.library.ronde_process_set_from_communicator, handle)

    def remove_process_set(self, process_set: int) -> None:
        """Waits for this rank's operations in the set, and for all ranks; then the number is
        unknown."""
        pointer = self.require()
        with self.uninterrupted():
            self.check(
                self.library.ronde_process_set_remove(
                    pointer, int32(process_set, "the process set")
                )
            )

    def process_set_rank(self, process_set: int) -> int:
        """This rank's number in the set; -1: no member."""
        number: int = self.library_open().ronde_process_set_rank(
            self.pointer, int32(process_set, "the set")
        )
        return number

    def process_set_size(self, process_set: int) -> int:
        """How many ranks the set has; -1: no such set."""
        number: int = self.library_open().ronde_process_set_size(
            self.pointer, int32(process_set, "the set")
        )
        return number

    def process_set_ranks(self, process_set: int) -> List[int]:
        """The set's global ranks, in order. Raises :class:`ProcessSetError`."""
        room = max(1, self.process_set_size(process_set))
        ranks, n = (c_int32 * room)(), c_int32()
        self.check(
            self.library.ronde_process_set_ranks(self.pointer, process_set, ranks, room, byref(n))
        )
        return list(ranks[: n.value])

    def library_open(self) -> ctypes.CDLL:
        """The library, of an open context. Raises :class:`ClosedError`."""
        self.require()
        library: ctypes.CDLL = self.library
        return library

    # ---- groups ----------------------------------------------------------------------------------

    @contextmanager
    def group(self) -> Iterator[Group]:
        """Operations that complete together or not at all::

            with ronde.group() as group:
                handles = [ronde.allreduce_async(t, group=group) for t in tensors]

        Nothing is queued before the end of the block. An exception that leaves the block cancels
        the group; one that does not (a submission that was refused) ends it with an error that
        tells all refusals.
        """
        pointer, opening = self.require(), self.openings
        number = c_uint64()
        self.check(self.library.ronde_group_begin(pointer, byref(number)))
        group = Group(number.value)
        group.refusals = []
        try:
            yield group
        except BaseException:
            if self.openings == opening:
                self.library.ronde_group_cancel(pointer, group)
                self.end_group(group, HandleError("the operation's group was cancelled"))
            raise
        status = self.library.ronde_group_end(self.require(), group)
        if status < 0:
            error = error_of(status, "; ".join(group.refusals) or last_error())
            self.end_group(group, error)
            raise error
        self.end_group(group, None)


def fortran_handle(communicator: Any) -> int:
    """The Fortran handle of a communicator of mpi4py's, or a number that is one."""
    if hasattr(communicator, "py2f"):
        other = getattr(sys.modules.get("mpi4py.MPI"), "Get_library_version", None)
        if other is not None and not _abi.is_mpi_of(other()):
            raise ArgumentError(
                f"mpi4py uses {other().partition(',')[0]}, but Ronde {_abi.mpi_text()}: set "
                f"MPI4PY_LIBMPI={_abi.mpi_library()}, or install mpi4py for that MPI"
            )
        return int32(communicator.py2f(), "the communicator")
    if isinstance(communicator, int) and not isinstance(communicator, bool):
        return int32(communicator, "the communicator")
    raise ArgumentError(
        f"a {type(communicator).__name__} is no communicator: pass one of mpi4py's, or a "
        "Fortran handle"
    )
