"""The library as ctypes sees it: where it is, and the one table of its functions.

Nothing else in the package declares a type of the library. ``library()`` loads it at the first use;
calls through it release the GIL.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .errors import LibraryError

MAJOR = 0  # the soname's number: another one is another ABI
SONAME = f"libronde.so.{MAJOR}"


class Options(ctypes.Structure):
    """``struct ronde_options``."""

    _fields_ = [
        ("size", c_uint32),
        ("communicator", c_int32),
        ("has_communicator", c_int32),
        ("settings", c_char_p),
    ]


class Call(ctypes.Structure):
    """``struct ronde_call``."""

    _fields_ = [
        ("size", c_uint32),
        ("process_set", c_int32),
        ("prescale", c_double),
        ("postscale", c_double),
        ("shape", POINTER(c_size_t)),
        ("dimensions", c_int32),
        ("divide", c_int32),
        ("weight", c_double),
        ("deadline", c_double),
        ("group", c_uint64),
        ("wire", c_int32),
        ("reserved", c_int32),
    ]


class Counters(ctypes.Structure):
    """``struct ronde_counters``."""

    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("operations", c_uint64),
        ("bins", c_uint64),
        ("announcements", c_uint64),
        ("cached", c_uint64),
        ("messages_sent", c_uint64),
        ("bytes_sent", c_uint64),
        ("thread_wakeups", c_uint64),
        ("thread_cpu_us", c_uint64),
        ("direct_operations", c_uint64),
        ("batches", c_uint64),
        ("negotiated", c_uint64),
    ]


CALL_BYTES = ctypes.sizeof(Call)

_context = c_void_p
_handle = POINTER(c_uint64)
_call = POINTER(Call)
_sizes = POINTER(c_size_t)
_place = POINTER(c_void_p)
_int32s = POINTER(c_int32)
_indices = POINTER(c_int64)

# What an operation takes between its context and its call; the asynchronous form ends with the
# place for the handle.
_OPERATIONS: Dict[str, Sequence[Any]] = {
    "allreduce": (c_char_p, c_void_p, c_void_p, c_size_t, c_int32, c_int32),
    "broadcast": (c_char_p, c_void_p, c_void_p, c_size_t, c_int32, c_int32),
    "allgather": (c_char_p, c_void_p, c_size_t, c_size_t, c_int32, c_void_p, c_size_t, _sizes),
    "reduce": (c_char_p, c_void_p, c_void_p, c_size_t, c_int32, c_int32, c_int32),
    "reducescatter": (c_char_p, c_void_p, c_size_t, c_size_t, c_int32, c_int32, c_void_p, c_size_t),
    "alltoall": (
        c_char_p, c_void_p, _sizes, c_size_t, c_size_t, c_int32, c_void_p, c_size_t, _sizes,
    ),
    "gather": (
        c_char_p, c_void_p, c_size_t, c_size_t, c_int32, c_void_p, c_size_t, _sizes, c_int32,
    ),
    "scatter": (
        c_char_p, c_void_p, _sizes, c_size_t, c_size_t, c_int32, c_void_p, c_size_t, _sizes,
        c_int32,
    ),
    "send": (c_char_p, c_void_p, c_size_t, c_int32, c_int32),
    "recv": (c_char_p, c_void_p, c_size_t, c_int32, c_int32),
    "barrier": (c_char_p,),
    "join": (_int32s,),
    "sparse_allreduce": (c_char_p, _indices, c_void_p, c_size_t, c_size_t, c_int32, c_int32),
}  # fmt: skip

# name: (result, arguments) of every function of ronde.h. (ronde_open_mpi of ronde_mpi.h takes an
# MPI_Comm, which each MPI makes of something else: communicators come as Fortran handles instead.)
FUNCTIONS: Dict[str, Tuple[Any, Sequence[Any]]] = {
    "ronde_options_init": (None, (POINTER(Options), c_size_t)),
    "ronde_open": (c_int32, (POINTER(Options), _place)),
    "ronde_close": (c_int32, (_place,)),
    "ronde_rank": (c_int32, (_context,)),
    "ronde_size": (c_int32, (_context,)),
    "ronde_local_rank": (c_int32, (_context,)),
    "ronde_local_size": (c_int32, (_context,)),
    "ronde_cross_rank": (c_int32, (_context,)),
    "ronde_cross_size": (c_int32, (_context,)),
    "ronde_is_homogeneous": (c_int32, (_context,)),
    "ronde_malloc": (c_int32, (_context, c_size_t, _place)),
    "ronde_free": (c_int32, (_context, c_void_p)),
    "ronde_call_init": (None, (_call, c_size_t)),
    "ronde_share_rows": (c_size_t, (c_size_t, c_int32, c_int32)),
    "ronde_group_begin": (c_int32, (_context, _handle)),
    "ronde_group_end": (c_int32, (_context, c_uint64)),
    "ronde_group_cancel": (c_int32, (_context, c_uint64)),
    "ronde_poll": (c_int32, (_context, c_uint64)),
    "ronde_wait": (c_int32, (_context, c_uint64)),
    "ronde_wait_for": (c_int32, (_context, c_uint64, c_double)),
    "ronde_take": (c_int32, (_context, c_uint64, _place, _sizes)),
    "ronde_take_sparse": (c_int32, (_context, c_uint64, POINTER(_indices), _place, _sizes)),
    "ronde_process_set_add": (c_int32, (_context, _int32s, c_int32, _int32s)),
    "ronde_process_set_split": (c_int32, (_context, c_int32, _int32s)),
    "ronde_process_set_from_communicator": (c_int32, (_context, c_int32, _int32s)),
    "ronde_process_set_remove": (c_int32, (_context, c_int32)),
    "ronde_process_set_rank": (c_int32, (_context, c_int32)),
    "ronde_process_set_size": (c_int32, (_context, c_int32)),
    "ronde_process_set_ranks": (c_int32, (_context, c_int32, _int32s, c_int32, _int32s)),
    "ronde_direct_allreduce": (
        c_int32, (_context, c_void_p, c_void_p, c_size_t, c_int32, c_int32, _call),
    ),
    "ronde_direct_broadcast": (
        c_int32, (_context, c_void_p, c_void_p, c_size_t, c_int32, c_int32, _call),
    ),
    "ronde_direct_allgather": (
        c_int32, (_context, c_void_p, c_size_t, c_size_t, c_int32, c_void_p, _sizes, _call),
    ),
    "ronde_timeline_start": (c_int32, (_context, c_char_p)),
    "ronde_timeline_stop": (c_int32, (_context,)),
    "ronde_last_error": (c_char_p, ()),
    "ronde_fail": (c_int32, (c_int32, c_char_p)),
    "ronde_status_name": (c_char_p, (c_int32,)),
    "ronde_dtype_name": (c_char_p, (c_int32,)),
    "ronde_dtype_bytes": (c_size_t, (c_int32,)),
    "ronde_op_name": (c_char_p, (c_int32,)),
    "ronde_version": (c_char_p, ()),
    "ronde_counters_read": (c_int32, (_context, POINTER(Counters), c_size_t)),
    "ronde_describe": (c_int32, (_context, c_char_p, c_size_t, _sizes)),
}  # fmt: skip
for _name, _arguments in _OPERATIONS.items():
    FUNCTIONS[f"ronde_{_name}_async"] = (c_int32, (_context, *_arguments, _call, _handle))
    if _name != "sparse_allreduce":  # nobody could take its result
        FUNCTIONS[f"ronde_{_name}"] = (c_int32, (_context, *_arguments, _call))

# ---- where it is ---------------------------------------------------------------------------------


def _ask_pkg_config() -> Optional[Path]:
    try:
        said = subprocess.run(
            ["pkg-config", "--variable=libdir", "ronde"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return None
    folder = said.stdout.decode().strip()
    return Path(folder) / SONAME if said.returncode == 0 and folder else None


def candidates() -> Iterator[Tuple[str, str]]:
    """(why, path) of the places where the library may be, in the order in which they count."""
    package = Path(__file__).resolve().parent
    named = os.environ.get("RONDE_LIBRARY")
    if named:  # who names one wants that one
        yield "RONDE_LIBRARY", named
        return
    yield "carried by the package", str(package / "lib" / SONAME)
    tree = package.parents[2]
    if (tree / "include" / "ronde.h").exists():
        yield "built in the source tree", str(tree / "build" / "lib" / SONAME)
    asked = _ask_pkg_config()
    if asked:
        yield "pkg-config", str(asked)
    yield "the system's linker", SONAME


def _load() -> Tuple[ctypes.CDLL, str, str]:
    looked: List[str] = []
    for why, path in candidates():
        if os.sep in path and not os.path.exists(path):
            looked.append(f"{path} ({why}): no such file")
            continue
        try:
            return ctypes.CDLL(path), path, why
        except OSError as error:
            looked.append(f"{path} ({why}): {error}")
    raise LibraryError(
        "libronde.so was not found; set RONDE_LIBRARY to its path. Looked at " + "; ".join(looked)
    )


def _declare(library: ctypes.CDLL, path: str) -> None:
    try:
        library.ronde_version.restype = c_char_p
        version = library.ronde_version().decode()
    except AttributeError:
        raise LibraryError(f"{path} is no libronde.so") from None
    if int(version.split(".")[0]) != MAJOR:
        raise LibraryError(f"{path} is Ronde {version}, but this package speaks to {MAJOR}.x")
    for name, (result, arguments) in FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise LibraryError(f"{path} is Ronde {version}, which has no {name} yet") from None
        function.restype = result
        function.argtypes = arguments


class Loaded:
    """What was loaded: the library, its path, and why that one."""

    def __init__(self) -> None:
        self.library, self.path, self.why = _load()
        _declare(self.library, self.path)


_loaded: Optional[Loaded] = None


def loaded() -> Loaded:
    """Loads the library if it is not yet."""
    global _loaded
    if _loaded is None:
        _loaded = Loaded()
    return _loaded


def library() -> ctypes.CDLL:
    """The library, with types for every function of the table."""
    return (_loaded or loaded()).library


# ---- what MPI wants --------------------------------------------------------------


def mpi_library() -> Optional[Path]:
    """The file of the MPI that the library brought, as the process has it mapped."""
    loaded()
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            path = Path(line.split(maxsplit=5)[-1].strip())
            if path.name.startswith(("libmpi.so", "libmpich.so")):
                return path
    return None


def mpi_text() -> str:
    """What ``MPI_Get_library_version`` says, in the MPI that the library brought; its first
    line."""
    mpi: Any = ctypes.CDLL(str(mpi_library()))
    text, length = ctypes.create_string_buffer(8192), ctypes.c_int()
    mpi.MPI_Get_library_version(text, ctypes.byref(length))
    return text.value.decode("utf-8", "replace").strip().partition("\n")[0]


def is_mpi_of(text: str) -> bool:
    """Whether ``MPI_Get_library_version`` of somebody else's MPI says that it is the library's."""
    return text.strip("\0 \n").partition("\n")[0] == mpi_text()


def wants_global_symbols(text: str) -> bool:
    """Whether an MPI of that text must have its symbols global before it is initialised.

    Plug-ins of Open MPI use symbols of the MPI that loads them. Version 4 makes them global itself,
    in ``MPI_Init``; those before it are not known to.
    """
    found = re.match(r"Open MPI v(\d+)\.", text)
    return found is not None and int(found.group(1)) < 4


def make_symbols_global_if_needed() -> bool:
    """Loads MPI's own library, not Ronde's, once more with global symbols, where that is needed."""
    needed = wants_global_symbols(mpi_text())
    if needed:
        ctypes.CDLL(str(mpi_library()), mode=ctypes.RTLD_GLOBAL)
    return needed
