"""Opening and closing, who and where this process is, what was built, and the timeline."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

import ronde

from .. import errors
from . import _core, _environment, _handles, _process_sets, _submit
from ._process_sets import ProcessSet

_THREAD_MULTIPLE = 3  # MPI_THREAD_MULTIPLE, in every MPI


def _communicator(comm: Any) -> Any:
    """None for all ranks, or an mpi4py communicator."""
    if comm is None or hasattr(comm, "py2f"):
        return comm
    wrong = "comm is a list of ranks, or an mpi4py communicator"
    if isinstance(comm, (str, bytes)) or not isinstance(comm, Iterable):
        raise ValueError(f"{wrong}, not {comm!r}")
    ranks = list(comm)
    if any(not isinstance(rank, int) for rank in ranks):
        raise ValueError(f"{wrong}, not {ranks!r}")
    if not ranks:
        return None
    try:
        from mpi4py import MPI
    except ImportError:
        raise ValueError("init(comm=[ranks]) needs mpi4py; without it, init() takes all ranks")
    world = MPI.COMM_WORLD
    if sorted(ranks) == list(range(world.Get_size())):
        return world
    if world.Get_rank() not in ranks:
        raise ValueError(f"rank {world.Get_rank()} is not in comm={ranks}")
    return world.Create_group(world.group.Incl(ranks))


def init(
    comm: Any = None,
    process_sets: Union[str, Sequence[ProcessSet], None] = None,
) -> None:
    """Opens the default context; collective. Does nothing where it is open.

    ``comm``: None for all ranks; a list of ranks of MPI_COMM_WORLD, called by those ranks (needs
    mpi4py); or an mpi4py communicator. ``process_sets``: process sets to register, the same list on
    all ranks; ``"dynamic"`` is accepted, as sets may always be added. ``HOROVOD_*`` variables with
    a counterpart count as set now. Raises ``ValueError`` for settings that are wrong on any rank.
    """
    if is_initialized():
        return
    if isinstance(process_sets, str):
        if process_sets.lower() != "dynamic":
            raise ValueError(f'process_sets is a list, or "dynamic", not {process_sets!r}')
        process_sets = None
    found = _environment.settings()
    text = ";".join(f"{setting}={value}" for setting, (value, _) in found.items())
    _handles.forget()
    _submit.drawn.clear()
    try:
        ronde.init(communicator=_communicator(comm), settings=text or None)
    except errors.ArgumentError as error:
        blamed = [variable for setting, (_, variable) in found.items() if setting in str(error)]
        hint = f" (it may come from {', '.join(blamed)})" if blamed else ""
        raise errors.ArgumentError(f"{error}{hint}", error.status) from None
    _process_sets.global_process_set.mpi_comm = comm if hasattr(comm, "py2f") else None
    if "timeline" in found:
        _link_timeline(found["timeline"][0])
    try:
        _process_sets.register_at_init(process_sets or [])
    except Exception:
        shutdown()
        raise


def shutdown() -> None:
    """Closes the default context, after this rank's operations; collective. Gradients in
    the node's shared memory stay where they are, as private memory. Does nothing where it is not
    open."""
    if not is_initialized():
        return
    ronde.shutdown()
    _handles.forget()
    _process_sets.forget_at_shutdown()


def is_initialized() -> bool:
    """Whether ``init`` was called, and ``shutdown`` was not."""
    return bool(ronde.is_initialized())


def _ask(function: str) -> int:
    return int(getattr(_core.library(), function)(_core.pointer()))


def rank() -> int:
    """This process's rank. ``ValueError`` before ``init``, as for all that follow."""
    return _ask("ronde_rank")


def size() -> int:
    """How many ranks there are."""
    return _ask("ronde_size")


def local_rank() -> int:
    """This process's rank among those of its node."""
    return _ask("ronde_local_rank")


def local_size() -> int:
    """How many ranks this node has."""
    return _ask("ronde_local_size")


def cross_rank() -> int:
    """The index of this rank's node."""
    return _ask("ronde_cross_rank")


def cross_size() -> int:
    """How many nodes there are."""
    return _ask("ronde_cross_size")


def is_homogeneous() -> bool:
    """Whether every node has the same number of ranks."""
    return bool(_ask("ronde_is_homogeneous"))


# ---- what was built ------------------------------------------------------------------------------


def mpi_threads_supported() -> bool:
    """Whether MPI was initialised for calls from several threads at once."""
    _core.pointer()
    provided = ctypes.c_int(0)
    # Found through the library's own dependencies, so in the MPI that it uses.
    query = _core.library().MPI_Query_thread
    query(ctypes.byref(provided))
    return provided.value >= _THREAD_MULTIPLE


def mpi_enabled() -> bool:
    """True: MPI starts the ranks, and carries what crosses the network."""
    return True


def mpi_built() -> bool:
    """True."""
    return True


def gloo_enabled() -> bool:
    """False: there is no Gloo in Ronde."""
    return False


def gloo_built() -> bool:
    """False."""
    return False


def nccl_built() -> int:
    """0: this build has no NCCL."""
    return 0


def ddl_built() -> bool:
    """False."""
    return False


def ccl_built() -> bool:
    """False."""
    return False


def cuda_built() -> bool:
    """False: this build takes CPU tensors only."""
    return False


def rocm_built() -> bool:
    """False."""
    return False


# ---- the timeline --------------------------------------------------------------------------------


def _link_timeline(path: str) -> None:
    """Every rank records into ``PATH.RANK.json``; ``PATH`` itself, where Horovod's rank 0 writes,
    becomes a link to rank 0's."""
    if rank() != 0:
        return
    try:
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(os.path.basename(path) + ".0.json", path)
    except OSError as error:
        warnings.warn(
            f"the timeline is in {path}.0.json; {path} cannot link to it: {error}", stacklevel=3
        )


def start_timeline(file_path: Optional[str], mark_cycles: bool = False) -> None:
    """Starts recording what this rank does, into ``file_path.RANK.json``; on rank 0 ``file_path``
    is a link to that. Cycles are always marked. ``ValueError`` before ``init``, where a timeline is
    being recorded, or for a path that cannot be written."""
    if not file_path:
        raise ValueError("the timeline needs a path")
    path = os.fspath(file_path)
    try:
        _core.check(_core.library().ronde_timeline_start(_core.pointer(), os.fsencode(path)))
    except errors.SystemCallError as error:
        raise ValueError(str(error)) from None
    _link_timeline(path)


def stop_timeline() -> None:
    """Writes what is recorded, and ends the timeline. Nothing happens where none is recorded."""
    status = _core.library().ronde_timeline_stop(_core.pointer())
    if status != errors.Status.ARGUMENT:
        _core.check(status)
