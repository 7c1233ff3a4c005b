"""A script in the style of Horovod's documentation, of which the import alone is changed."""
# ronde-test: np=1,2,4 timeout=180

import sys
from pathlib import Path

import pytest
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "python" / "digits_torch.py"
HOROVOD, RONDE = "import horovod.torch as hvd", "import ronde.torch as hvd"


def horovod_script():
    """The example as a Horovod user would have it."""
    text = EXAMPLE.read_text()
    assert text.count(RONDE) == 1
    script = text.replace(RONDE, HOROVOD)
    assert "import ronde" not in script and "from ronde" not in script and "ronde." not in script
    return script


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "8"],
        ["--epochs", "8", "--fp16-allreduce", "--gradient-predivide-factor", "2"],
        ["--epochs", "3", "--batches-per-allreduce", "2", "--batch-size", "16"],
        ["--epochs", "3", "--use-adasum"],
    ],
    ids=["plain", "fp16", "batches", "adasum"],
)
def test_a_horovod_script_runs_and_learns(arguments, capsys):
    script = horovod_script().replace(HOROVOD, RONDE)
    names = {"__name__": "digits", "__file__": str(EXAMPLE)}
    exec(compile(script, str(EXAMPLE), "exec"), names)
    accuracy = names["main"](arguments)
    assert accuracy > (0.85 if arguments[1] == "8" else 0.15)
    printed = capsys.readouterr().out
    assert ("accuracy" in printed) == (hvd.rank() == 0)
    assert hvd.broadcast_object(accuracy, 0) == accuracy
    assert "horovod" not in sys.modules
