"""python -m ronde: what ronde-info prints, and whether this installation works."""

from __future__ import annotations

import argparse
import ctypes
import sys
from typing import Any, List, Optional

import ronde

from . import _abi
from ._rank import sum_of_ranks
from .errors import RondeError


def _mpi_text() -> str:
    """What ``ronde-info`` says of MPI."""
    mpi: Any = ctypes.CDLL(str(_abi.mpi_library()))
    major, minor = ctypes.c_int(), ctypes.c_int()
    mpi.MPI_Get_version(ctypes.byref(major), ctypes.byref(minor))
    return f"MPI {major.value}.{minor.value}: {_abi.mpi_text()}"


def _print_check() -> None:
    loaded = _abi.loaded()
    print(f"library           {loaded.path} ({loaded.why})")
    print(f"abi               {_abi.MAJOR}, all {len(_abi.FUNCTIONS)} functions")
    print(f"mpi library       {_abi.mpi_library()}")
    made_global = _abi.wants_global_symbols(_abi.mpi_text())
    print(f"mpi's symbols     {'made global, as this MPI needs it' if made_global else 'local'}")
    print(f"python            {sys.version.split()[0]}, package {ronde.__version__}")
    for name in ("numpy", "ml_dtypes", "mpi4py", "cloudpickle"):
        try:
            version = __import__(name).__version__
        except ImportError:
            version = "not installed"
        print(f"{name:<17} {version}")


def _try_two_ranks() -> bool:
    try:
        results = ronde.run(sum_of_ranks, np=2, timeout=60)
    except (RondeError, TimeoutError, OSError) as error:
        print(f"two ranks         FAILED: {error}")
        return False
    works = results == [3, 3]
    print(
        f"two ranks         {'an allreduce works' if works else f'FAILED: {results}, not [3, 3]'}"
    )
    return works


def main(arguments: Optional[List[str]] = None) -> int:
    """0: all is well; 1: it is not, and said."""
    parser = argparse.ArgumentParser(prog="python -m ronde", description=__doc__)
    parser.add_argument("-s", "--settings", help="as a program would give them, such as 'log=info'")
    parser.add_argument("--no-trial", action="store_true", help="do not try two ranks")
    options = parser.parse_args(arguments)
    try:
        ronde.init(settings=options.settings)
        rank, size = ronde.rank(), ronde.size()
        if rank == 0:
            print(f"Ronde {ronde.version()}\n{_mpi_text()}\n\n{ronde.describe()}")
            _print_check()
        ronde.shutdown()
    except RondeError as error:
        print(f"python -m ronde: {error}", file=sys.stderr)
        return 1
    if size > 1 or options.no_trial:
        return 0
    return 0 if _try_two_ranks() else 1


if __name__ == "__main__":
    sys.exit(main())
