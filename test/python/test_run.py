# ronde-test: np=1 timeout=120
"""ronde.run, python -m ronde, and the wheel: each in processes of its own."""

import os
import shutil
import subprocess
import sys
import time
import zipfile

import pytest
from conftest import TOP

import ronde

OWN_CONTEXT = True


def clean(*without):
    """The environment without settings, and without these."""
    kept = {"RONDE_LIBRARY"} - set(without)
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("RONDE_", *without))
    }


def needs_cloudpickle():
    pytest.importorskip("cloudpickle")


def test_run_gives_each_ranks_result_and_shows_what_they_print(capsys):
    needs_cloudpickle()
    factor = 10

    def work(base, plus=0):
        ronde.init()
        sys.stdout.write(f"rank {ronde.rank()} speaks\n")  # in one piece
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


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The package as if it had come alone: a copy, so that nothing is left in the tree."""
    pytest.importorskip("setuptools")
    copy = tmp_path_factory.mktemp("source") / "python"
    shutil.copytree(
        TOP / "bindings/python", copy, ignore=shutil.ignore_patterns("__pycache__", ".*")
    )
    return copy


def pip(*arguments, **more):
    """Without the network: what builds is in this Python already."""
    command = [sys.executable, "-m", "pip", *map(str, arguments), "-q", "--no-deps"]
    environment = {**clean("RONDE_LIBRARY"), **more}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_the_wheel_carries_the_library_and_works_alone(source, tmp_path):
    build = ["--no-build-isolation", source]
    pip("wheel", "--wheel-dir", tmp_path, *build, RONDE_LIBRARY=os.environ["RONDE_LIBRARY"])
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {str(path.relative_to(source)) for path in (source / "ronde").rglob("*.py")}
    assert modules | {"ronde/lib/libronde.so.0", "ronde/py.typed"} <= names
    assert sorted(path.name for path in source.iterdir()) == [
        "README.md", "pyproject.toml", "ronde", "setup.py",
    ]  # fmt: skip
    fresh = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", fresh], check=True)
    site = next(fresh.glob("lib/python3*/site-packages"))
    pip("install", "--no-index", "--target", site, wheel)
    code = "import ronde; ronde.init(); print(ronde._abi.loaded().path, ronde.allreduce(4.0))"
    done = subprocess.run(
        [fresh / "bin/python", "-c", code],
        capture_output=True,
        text=True,
        env=clean("RONDE_LIBRARY", "PYTHONPATH"),
        cwd=tmp_path,
    )
    assert done.stdout == f"{site}/ronde/lib/libronde.so.0 4.0\n", done.stderr


def test_a_wheel_without_library_is_of_any_platform(source, tmp_path):
    pip("wheel", "--wheel-dir", tmp_path, "--no-build-isolation", source)
    assert [path.name for path in tmp_path.glob("*.whl")] == ["ronde-0.1.0-py3-none-any.whl"]


def test_an_editable_install_uses_the_tree(source, tmp_path):
    fresh = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", fresh], check=True)
    python = fresh / "bin/python"
    site = next(fresh.glob("lib/python3*/site-packages"))
    pip("install", "--no-build-isolation", "--target", site, "--editable", source)
    done = subprocess.run(
        [python, "-c", "import site, ronde; print(ronde.__file__)"],
        capture_output=True, text=True, env=clean("RONDE_LIBRARY", "PYTHONPATH"), cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == f"{source}/ronde/__init__.py\n", done.stderr
