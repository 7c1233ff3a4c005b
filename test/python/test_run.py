# ronde-test: np=1 timeout=120
"""ronde.run, python -m ronde, and the wheel: each in processes of its own."""

import os
import subprocess
import sys
import time
import zipfile

import pytest
from conftest import TOP

import ronde

OWN_CONTEXT = True


def clean():
    """The environment without this test's own settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RONDE_")}


def needs_cloudpickle():
    pytest.importorskip("cloudpickle")


def test_run_gives_each_ranks_result_and_shows_what_they_print(capsys):
    needs_cloudpickle()
    factor = 10

    def work(base, plus=0):
        ronde.init()
        print(f"rank {ronde.rank()} speaks")
        return base + plus + factor * ronde.allreduce(ronde.rank(), ronde.Sum) + ronde.rank()

    assert ronde.run(work, (100,), {"plus": 5}, np=3) == [135, 136, 137]
    said = capsys.readouterr().out.split("\n")
    assert sorted(said) == ["", "rank 0 speaks", "rank 1 speaks", "rank 2 speaks"]
    assert ronde.run(os.getpid, np=1) != [os.getpid()]


def test_run_names_the_rank_that_failed_with_its_traceback():
    needs_cloudpickle()

    def work():
        ronde.init()
        if ronde.rank() == 1:
            raise ValueError("no good")
        ronde.barrier()

    start = time.monotonic()
    with pytest.raises(ronde.RemoteError, match="rank 1 failed: ValueError: no good") as caught:
        ronde.run(work, np=2)
    assert caught.value.rank == 1 and 'raise ValueError("no good")' in caught.value.traceback
    assert time.monotonic() - start < 40


def test_run_notices_a_rank_that_dies_and_one_that_never_ends():
    needs_cloudpickle()
    with pytest.raises(ronde.RemoteError, match="rank 0 ended without a result|rank 0.*without"):
        ronde.run(lambda: os._exit(3), np=1)
    with pytest.raises(TimeoutError, match="2 s"):
        ronde.run(lambda: time.sleep(60), np=2, timeout=2)


def test_run_refuses_what_cannot_be():
    with pytest.raises(ronde.RondeError, match="0 ranks"):
        ronde.run(os.getpid, np=0)
    script = (
        "import sys; sys.modules['cloudpickle'] = None\nimport ronde\ndef f(): pass\n"
        "try:\n ronde.run(f)\nexcept ronde.RondeError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "install cloudpickle" in done.stdout, done.stderr


def test_run_works_where_this_process_has_opened_mpi_itself():
    ronde.init()
    try:
        assert ronde.run(os.getpid, np=2, env={"X": "1"})
    finally:
        ronde.shutdown()


def test_the_module_prints_what_ronde_info_prints_and_checks():
    environment = {**clean(), "RONDE_SLOTS": "8"}
    done = subprocess.run(
        [sys.executable, "-m", "ronde"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "two ranks         an allreduce works" in done.stdout
    build = os.environ["RONDE_LIBRARY"].rpartition("/lib/")[0]
    info = subprocess.run(
        [f"{build}/bin/ronde-info"], capture_output=True, text=True, env=environment
    )
    assert info.returncode == 0
    for line in info.stdout.split("\n"):
        if not line.startswith(("MPI ", "mpi ")):  # the thread level is each program's own choice
            assert line in done.stdout.split("\n"), line
    bad = subprocess.run(
        [sys.executable, "-m", "ronde", "--settings", "slots=none"],
        capture_output=True,
        text=True,
        env=clean(),
    )
    assert bad.returncode == 1 and "slots" in bad.stderr


def test_the_wheel_carries_the_library_and_works_alone(tmp_path):
    environment = {**clean(), "RONDE_LIBRARY": os.environ["RONDE_LIBRARY"]}
    backend = TOP / "bindings/python/backend.py"
    done = subprocess.run(
        [sys.executable, backend, tmp_path], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / done.stdout.strip()
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    sources = {
        str(path.relative_to(TOP / "bindings/python"))
        for path in (TOP / "bindings/python/ronde").rglob("*.py")
    }
    assert sources | {"ronde/lib/libronde.so.0", "ronde/py.typed"} <= set(names)
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--no-deps",
            "--target",
            target,
            wheel,
        ],
        check=True,
    )
    code = (
        "import ronde; ronde.init(); print(ronde._abi.loaded().path, ronde.allreduce(4, ronde.Sum))"
    )
    alone = {**clean(), "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=alone, cwd=tmp_path
    )
    assert done.stdout == f"{target}/ronde/lib/libronde.so.0 4\n", done.stderr
    # The same tree makes the same bytes.
    (tmp_path / "again").mkdir()
    subprocess.run([sys.executable, backend, tmp_path / "again"], check=True, env=environment)
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


def test_pip_installs_the_folder(tmp_path):
    """No network, and nothing but Python's library is needed to build."""
    target = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--target",
        target,
    ]
    subprocess.run(
        [*pip, TOP / "bindings/python"],
        check=True,
        env={**clean(), "RONDE_LIBRARY": os.environ["RONDE_LIBRARY"]},
    )
    assert (target / "ronde" / "lib" / "libronde.so.0").exists()
