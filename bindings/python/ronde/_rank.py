"""One rank of ronde.run: python -m ronde._rank FOLDER."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import ronde


def _number() -> int:
    for name in ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def _write(path: Path, value: Any) -> None:
    """At once, so that nobody reads a half."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    part = path.with_name(f".{path.name}")
    part.write_bytes(data)
    part.rename(path)


def main(folder: Path) -> int:
    """Calls the job's function, and leaves its result or what went wrong."""
    rank = _number()
    try:
        function, args, kwargs = pickle.loads((folder / "job").read_bytes())
        result = function(*args, **kwargs)
        _write(folder / f"result.{rank}", result)
        ronde.shutdown()
        return 0
    except BaseException as error:
        text = traceback.format_exc()
        said = f"{type(error).__name__}: {error}"
        _write(folder / f"failed.{rank}", {"rank": rank, "error": said, "traceback": text})
        if isinstance(error, SystemExit) and not error.code:
            raise
        # Without closing: the others may be waiting for what this rank never does.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def sum_of_ranks() -> int:
    """What each rank of the trial of ``python -m ronde`` does."""
    ronde.init()
    total: int = ronde.allreduce(ronde.rank() + 1, ronde.Sum, name="trial")
    return total


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
