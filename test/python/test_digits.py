# ronde-test: np=1 timeout=120
"""The examples and the documents' programs run as printed, and train as the C demo does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TOP

OWN_CONTEXT = True
BIN = Path(os.environ["RONDE_LIBRARY"]).parents[1] / "bin"


def ran(command, ranks=1):
    """What a command prints, run from the top by so many ranks."""
    launcher = ["tools/mpirun.sh", "-np", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launcher, *command], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def losses(path):
    return [float(line) for line in path.read_text().split()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The C demo's losses in float64, and its last lines."""
    digits = BIN / "digits"
    if not digits.exists():
        pytest.skip("the C demo is not built")
    path = tmp_path_factory.mktemp("demo") / "losses"
    text = ran([str(digits), "--fp64", "--epochs", "4", "--no-reference", "--losses", str(path)])
    return losses(path), text


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_numpy_learns_as_the_c_demo_does(demo, tmp_path, ranks):
    wanted, text = demo
    path = tmp_path / "losses"
    script = [sys.executable, "examples/python/digits_numpy.py", "--fp64", "--epochs", "4"]
    said = ran([*script, "--losses", str(path)], ranks)
    got = losses(path)
    assert len(got) == len(wanted) == 92
    assert max(abs(a - b) for a, b in zip(got, wanted)) < 1e-9
    assert "parameters identical on all ranks: yes" in said
    accuracy = next(line for line in text.split("\n") if line.startswith("final")).split("%")[0]
    assert accuracy in said


def test_shares_that_are_unequal_or_empty_change_nothing(tmp_path):
    script = [sys.executable, "examples/python/digits_numpy.py", "--fp64", "--epochs", "1"]
    script += ["--batch", "2", "--hidden", "16", "--lr", "0.01", "--losses"]
    runs = []
    for ranks in (1, 3):
        path = tmp_path / str(ranks)
        ran([*script, str(path)], ranks)
        runs.append(losses(path))
    assert len(runs[0]) == 719
    assert max(abs(a - b) for a, b in zip(*runs)) < 1e-9


def test_in_float32_it_reads_95_of_100():
    said = ran([sys.executable, "examples/python/digits_numpy.py"], 2)
    final = next(line for line in said.split("\n") if line.startswith("final"))
    assert float(final.split()[3]) > 95


def test_tensors_of_other_libraries_are_used_where_they_lie():
    said = ran([sys.executable, "examples/python/dlpack_numpy.py"], 2)
    for rank in range(2):
        assert f"rank {rank} of 2: [0.5, 10.0, 20.5], " in said
    assert said.count("[3.0, 3.0, 3.0, 3.0], [0, 0, 1, -1]") == 2


@pytest.mark.parametrize("document", ["README.md", "docs/python.md", "bindings/python/README.md"])
def test_the_first_program_of_a_document_runs(document, tmp_path):
    text = (TOP / document).read_text()
    program = tmp_path / "program.py"
    program.write_text(text.split("```python\n")[1].split("```")[0])
    said = ran([sys.executable, str(program)], 2)
    assert said.count("0.5") >= 2  # the ranks may write into each other's lines
