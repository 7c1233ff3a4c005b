"""ronde.run: a function on several ranks, from a script or a notebook."""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Sequence, TextIO

from . import _abi
from .errors import RemoteError, RondeError

# What a launcher, or MPI itself, leaves in the environment of a process that is a rank: a new job
# must not take itself for a part of that one.
_OF_A_RANK = (
    "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_", "OMPI_APP_CTX", "OMPI_FIRST_", "OMPI_NUM_APP",
    "OMPI_FILE_", "OMPI_REACHABLE", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_MCA_pmix",
    "OMPI_MCA_schizo", "OMPI_ARGV", "OMPI_COMMAND", "PMIX_", "PMI_", "HYDI_", "HYDRA_",
    "MPI_LOCAL", "PRTE_",
)  # fmt: skip


def launcher() -> List[str]:
    """The command that starts ranks: of the MPI that the library was built with."""
    named = os.environ.get("MPIRUN")
    mpi = _abi.mpi_library()
    is_mpich = mpi is not None and mpi.name.startswith("libmpich")
    names = (
        [named]
        if named
        else ["mpirun.mpich", "mpiexec.hydra", "mpirun"]
        if is_mpich
        else ["mpirun"]
    )
    for name in names:
        path = shutil.which(name)
        if path:
            break
    else:
        raise RondeError(
            f"{' and '.join(names)} not found on PATH: install MPI's launcher, or set MPIRUN"
        )
    said = subprocess.run(
        [path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if b"Open MPI" not in said.stdout:
        return [path]
    return [path, "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]


def environment(more: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """This process's environment without what makes it a rank."""
    made = {name: value for name, value in os.environ.items() if not name.startswith(_OF_A_RANK)}
    if os.geteuid() == 0:  # in a container; Open MPI wants it said
        made["OMPI_ALLOW_RUN_AS_ROOT"] = made["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    made.setdefault("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
    made.setdefault("OMPI_MCA_btl_base_warn_component_unused", "0")
    package = str(Path(__file__).resolve().parents[1])
    paths = [package, *(path for path in sys.path if path), made.get("PYTHONPATH", "")]
    made["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    made.update(more or {})
    return made


def _pickled(job: Any) -> bytes:
    """By cloudpickle where it is installed, so that functions of notebooks and lambdas work."""
    try:
        cloudpickle = importlib.import_module("cloudpickle")
    except ImportError:
        pass
    else:
        data: bytes = cloudpickle.dumps(job)
        return data
    function = job[0]
    if getattr(function, "__module__", None) == "__main__" or "<" in getattr(
        function, "__qualname__", ""
    ):
        raise RondeError(
            f"{function!r} is in no module that ranks could import: install cloudpickle, or move it"
        )
    return pickle.dumps(job, pickle.HIGHEST_PROTOCOL)


def _pump(source: IO[bytes], target: TextIO) -> None:
    for line in source:
        target.write(line.decode("utf-8", "replace"))
        target.flush()


def _start(command: Sequence[str], variables: Dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
        start_new_session=True,  # Ctrl-C comes here, and is passed on once
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process.send_signal(number)
        try:
            process.wait(5)
            return
        except subprocess.TimeoutExpired:
            pass


def _follow(process: subprocess.Popen[bytes], timeout: Optional[float]) -> int:
    """Shows what the ranks print where this process prints, which in a notebook is no file."""
    assert process.stdout is not None and process.stderr is not None
    pumps = [
        threading.Thread(target=_pump, args=pair, daemon=True)
        for pair in ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    ]
    for pump in pumps:
        pump.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise TimeoutError(f"the ranks were not done after {timeout} s, and were stopped") from None
    except BaseException:
        _stop(process)
        raise
    for pump in pumps:
        pump.join(5)
    return code


def _results(folder: Path, np: int, code: int) -> List[Any]:
    failures = sorted(folder.glob("failed.*"), key=lambda path: path.stat().st_mtime_ns)
    if failures:
        first = pickle.loads(failures[0].read_bytes())
        others = [path.suffix[1:] for path in failures[1:]]
        raise RemoteError(
            f"rank {first['rank']} failed: {first['error']}"
            + (f" (and rank {', '.join(others)} after it)" if others else "")
            + f"\n\n{first['traceback']}",
            first["rank"],
            first["traceback"],
        )
    missing = [rank for rank in range(np) if not (folder / f"result.{rank}").exists()]
    if missing:
        raise RemoteError(
            f"rank {', '.join(map(str, missing))} ended without a result; the launcher said {code}",
            missing[0],
        )
    return [pickle.loads((folder / f"result.{rank}").read_bytes()) for rank in range(np)]


def run(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Optional[Mapping[str, Any]] = None,
    np: int = 2,
    *,
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
    mpirun: Sequence[str] = (),
) -> List[Any]:
    """Calls ``fn(*args, **kwargs)`` on ``np`` ranks of a new job, and returns their results by
    rank.

    The function calls ``ronde.init()`` as a script would, and returns what pickle takes. What ranks
    print is printed here. ``env`` are more variables for them, ``mpirun`` more arguments of MPI's
    launcher, which is found on PATH (``MPIRUN`` names another). Where a rank raises, the job is
    ended and :class:`RemoteError` raised, which names that rank and has its traceback; after
    ``timeout`` seconds, ``TimeoutError``. Functions of ``__main__`` and lambdas need
    ``cloudpickle``.
    """
    if np < 1:
        raise RondeError(f"{np} ranks")
    with tempfile.TemporaryDirectory(prefix="ronde-run-") as name:
        folder = Path(name)
        (folder / "job").write_bytes(_pickled((fn, tuple(args), dict(kwargs or {}))))
        command = [*launcher(), "-np", str(np), *mpirun, sys.executable, "-m", "ronde._rank", name]
        code = _follow(_start(command, environment(env)), timeout)
        return _results(folder, np, code)
