"""The context: one membership in a job."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
import weakref
from contextlib import contextmanager
from ctypes import byref, c_size_t, c_void_p
from typing import Any, Callable, Dict, Iterator, List, Mapping, NoReturn, Optional, Union

from . import _abi
from ._arena import Arena
from ._direct import Direct
from ._objects import Objects
from ._reductions import Reductions
from ._sets import ProcessSet, fortran_handle
from .errors import ArgumentError, ClosedError, RondeError, check

Settings = Union[None, str, Mapping[str, Any]]


def settings_text(settings: Settings) -> Optional[bytes]:
    """Settings as the library takes them. Raises :class:`ArgumentError`."""
    if settings is None or isinstance(settings, str):
        return None if settings is None else settings.encode()
    if not isinstance(settings, Mapping):
        raise ArgumentError(f"settings are a dict or a str, no {type(settings).__name__}")
    words = {True: "on", False: "off"}
    values = {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in settings.items()
    }
    for name, value in values.items():
        if ";" in value:
            raise ArgumentError(f"the value of {name} holds a semicolon: {value}")
    return ";".join(f"{name}={value}" for name, value in values.items()).encode()


class Context(Reductions, Objects, Direct, Arena):
    """One membership in one job: ranks, their network, the node's shared segment, the coordinator.

    The package's own functions (``ronde.allreduce``, ...) are those of one context,
    ``ronde.context``. Others may be made and opened beside it. After :meth:`close` one may be
    opened again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._closing: List[Callable[[], None]] = []

    def open(self, communicator: Any = None, settings: Settings = None) -> "Context":
        """Opens the context over all ranks of the job, or over a communicator. Collective,
        blocking.

        ``communicator``: one of mpi4py's, or a Fortran handle; it is duplicated. None: all ranks;
        MPI is initialised if nobody has. Without ``mpirun`` that is one rank. ``settings``: a dict
        or ``"fusion_threshold=8M;log=info"``; they win over the environment's ``RONDE_...``. Where
        the context is open already, and neither is given, nothing happens. Call from the thread
        that initialised MPI.
        """
        if self.pointer is not None:
            if self._process != os.getpid():
                raise ClosedError("a forked child cannot use its parent's MPI: start it by spawn")
            if communicator is not None or settings is not None:
                raise ArgumentError("Ronde is initialised already: call ronde.shutdown() first")
            return self
        options = _abi.Options()
        self.library = _abi.library()
        self.library.ronde_options_init(byref(options), ctypes.sizeof(options))
        options.settings = settings_text(settings)
        if communicator is not None:
            options.communicator, options.has_communicator = fortran_handle(communicator), 1
        pointer = c_void_p()
        _abi.make_symbols_global_if_needed()
        with self.uninterrupted():
            check(self.library.ronde_open(byref(options), byref(pointer)))
        self.pointer = pointer.value
        self._process = os.getpid()
        self.openings += 1
        _watch(self)
        return self

    init = open

    def close(self) -> None:
        """Closes the context. Collective: waits for this rank's operations and for all ranks.

        Raises what went wrong (:class:`PeerLostError`, ...); the context is closed all the same.
        Where it is not open, nothing happens. Handles that were not waited for become useless.
        """
        if self.pointer is None:
            return
        if self._process != os.getpid():
            raise ClosedError("the context is the parent's, not this forked child's")
        for callback in list(self._closing):
            callback()
        self._drain()
        saved = self._save_arrays()
        pointer = c_void_p(self.pointer)
        with self.uninterrupted():
            status = self.library.ronde_close(byref(pointer))
        if pointer.value is not None:  # it may not be closed from here
            check(status)
        error = None
        try:
            check(status)
        except RondeError as raised:
            error = raised
        self.pointer = None
        self.openings += 1
        for stale in (self.kept, self.staged, self.ended, self.dropped):
            stale.clear()
        self.guard.release_all()
        self._restore_arrays(saved)
        if error is not None:
            raise error

    shutdown = close

    def before_close(self, callback: Callable[[], None]) -> None:
        """Has something called at the beginning of every :meth:`close`, once for each
        registration."""
        self._closing.append(callback)

    def _drain(self) -> None:
        """Waits for what is outstanding, in slices, so that Ctrl-C is heard."""
        for numbers in self.staged.values():
            for number in numbers:
                self.kept.pop(number, None)
        for number in list(self.kept):
            while self.library.ronde_wait_for(self.pointer, number, 0.1) == 1:
                pass

    def is_open(self) -> bool:
        """Whether the context is open, in this process."""
        return self.pointer is not None and self._process == os.getpid()

    is_initialized = is_open

    def __enter__(self) -> "Context":
        return self.open()

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is None:  # after an exception the others may never come to close
            self.close()

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Calls of the library that wait for other ranks all by themselves cannot hear Python's
        Ctrl-C: meanwhile it does what the system does, and ends the process."""
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    # ---- who and where ---------------------------------------------------------------------------

    def rank(self) -> int:
        """This process's number among all ranks."""
        return int(self.library_open().ronde_rank(self.pointer))

    def size(self) -> int:
        """The number of ranks."""
        return int(self.library_open().ronde_size(self.pointer))

    def local_rank(self) -> int:
        """This process's number among the ranks of its node."""
        return int(self.library_open().ronde_local_rank(self.pointer))

    def local_size(self) -> int:
        """The number of ranks on this node."""
        return int(self.library_open().ronde_local_size(self.pointer))

    def cross_rank(self) -> int:
        """This node's number."""
        return int(self.library_open().ronde_cross_rank(self.pointer))

    def cross_size(self) -> int:
        """The number of nodes."""
        return int(self.library_open().ronde_cross_size(self.pointer))

    def is_homogeneous(self) -> bool:
        """Whether every node has the same number of ranks."""
        return bool(self.library_open().ronde_is_homogeneous(self.pointer))

    def world(self) -> ProcessSet:
        """Process set 0: all ranks."""
        self.require()
        return ProcessSet.make(self, 0)

    # ---- what happened ---------------------------------------------------------------------------

    def start_timeline(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Records what this rank does from now on in the file ``PATH.RANK.json``."""
        pointer = self.require()
        self.check(self.library.ronde_timeline_start(pointer, os.fsencode(path)))

    def stop_timeline(self) -> None:
        """Writes what is recorded, and ends it."""
        pointer = self.require()
        self.check(self.library.ronde_timeline_stop(pointer))

    def counters(self) -> Dict[str, int]:
        """What this context has done since it was opened."""
        pointer = self.require()
        read = _abi.Counters()
        self.check(self.library.ronde_counters_read(pointer, byref(read), ctypes.sizeof(read)))
        names = [field[0] for field in _abi.Counters._fields_]
        return {name: getattr(read, name) for name in names if name not in ("size", "reserved")}

    def describe(self) -> str:
        """Versions, topology, CPU and settings as text; of a closed context: as opened now."""
        library = _abi.library()
        needed = c_size_t()
        check(library.ronde_describe(self.pointer, None, 0, byref(needed)))
        text = ctypes.create_string_buffer(needed.value)
        check(library.ronde_describe(self.pointer, text, needed.value, byref(needed)))
        return text.value.decode("utf-8", "replace")


# ---- the end of the process ----------------------------------------------------------------------

_open: "weakref.WeakSet[Context]" = weakref.WeakSet()
_watching = False


def _watch(context: Context) -> None:
    global _watching
    _open.add(context)
    if not _watching:
        _watching = True
        atexit.register(_close_all)
        sys.exit = _noted_exit


_exit = sys.exit
_exit_failed = False


def _noted_exit(status: Any = None) -> NoReturn:
    """``sys.exit``, which no hook tells of: whether this rank ends as one that failed."""
    global _exit_failed
    _exit_failed = not (status is None or (isinstance(status, int) and status == 0))
    _exit(status)


def _close_all() -> None:
    """At the interpreter's end contexts that are still open are closed, as all ranks that end well
    do. After an exception they are not: the others may be waiting for what this rank will never
    submit, and learn of its end by MPI's launcher, or as a rank that was lost."""
    failed = (
        _exit_failed
        or getattr(sys, "last_type", None) is not None
        or getattr(sys, "last_exc", None) is not None
    )
    for context in list(_open):
        if not context.is_open():
            continue
        if not failed:
            try:
                context.close()
                continue
            except RondeError as error:
                print(f"ronde: {error}", file=sys.stderr)
        # The library may still write to memory that Python is about to give back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(context.kept))


# ---- the package's own ---------------------------------------------------------------------------

context = Context()


def default() -> Context:
    """The context of ``ronde.init()``. Raises :class:`ClosedError` where it is not open."""
    context.require()
    return context
