"""ronde.torch: SyncBatchNorm against batch normalization of all ranks' batches in one process."""
# ronde-test: np=1,2,3,4 timeout=120

import pytest
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd, torch

SHAPES = {"2d": (), "3d": (5,), "4d": (3, 2), "5d": (2, 2, 2)}
PLAIN = {
    0: torch.nn.BatchNorm1d,
    1: torch.nn.BatchNorm1d,
    2: torch.nn.BatchNorm2d,
    3: torch.nn.BatchNorm3d,
}


def batches(sides, rows_of_rank, dtype):
    generator = torch.Generator().manual_seed(5)
    return [
        (
            torch.randn(rows_of_rank(rank), 4, *sides, generator=generator, dtype=torch.float64) * 3
            + 100
        ).to(dtype)
        for rank in range(hvd.size())
    ]


def pair(sides, dtype, **options):
    mine = hvd.SyncBatchNorm(4, **options).to(dtype)
    whole = PLAIN[len(sides)](4, **options).to(torch.float64)
    if mine.affine:
        for module in (mine, whole):
            with torch.no_grad():
                module.weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
                module.bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
    return mine, whole


def check(
    sides, dtype=torch.float64, rows_of_rank=lambda rank: rank + 2, tolerance=1e-8, **options
):
    mine, whole = pair(sides, dtype, **options)
    for _ in range(2):
        parts = batches(sides, rows_of_rank, dtype)
        everything = torch.cat(parts).double().requires_grad_()
        own = parts[hvd.rank()].clone().requires_grad_()
        slopes = torch.randn(everything.shape, generator=torch.Generator().manual_seed(6)).double()
        wanted = whole(everything)
        start = sum(len(part) for part in parts[: hvd.rank()])
        rows = slice(start, start + len(own))
        got = mine(own)
        assert got.dtype == dtype and got.shape == own.shape
        assert torch.allclose(got.double(), wanted[rows], atol=tolerance)
        mine.zero_grad()
        whole.zero_grad()
        got.backward(slopes[rows].to(dtype))
        wanted.backward(slopes)
        assert torch.allclose(own.grad.double(), everything.grad[rows], atol=tolerance)
        if mine.affine:
            for name in ("weight", "bias"):
                total = hvd.allreduce(getattr(mine, name).grad.double(), op=hvd.Sum)
                assert torch.allclose(total, getattr(whole, name).grad, atol=10 * tolerance)
        if mine.track_running_stats:
            assert torch.allclose(
                mine.running_mean.double(), whole.running_mean, atol=tolerance * 100
            )
            assert torch.allclose(
                mine.running_var.double(), whole.running_var, atol=tolerance * 100
            )
            assert mine.num_batches_tracked == whole.num_batches_tracked
    return mine, whole


@pytest.mark.parametrize("shape", SHAPES)
def test_normalizes_over_all_ranks_batches(shape):
    check(SHAPES[shape])


def test_in_float32_no_digits_are_lost_to_a_large_mean():
    check((3, 2), torch.float32, tolerance=2e-4)


def test_bfloat16_is_computed_in_float32():
    check((3, 2), torch.bfloat16, tolerance=0.2)


def test_a_rank_may_have_no_rows():
    check((3,), rows_of_rank=lambda rank: 0 if rank == 0 and hvd.size() > 1 else 3)


@pytest.mark.parametrize(
    "options",
    [
        {"affine": False},
        {"momentum": None},
        {"track_running_stats": False},
        {"momentum": 0.5, "eps": 0.1},
    ],
)
def test_options(options):
    check((3,), **options)


def test_evaluation_uses_what_was_learned_and_sends_nothing():
    mine, whole = check((3,))
    mine.eval()
    whole.eval()
    data = torch.randn(hvd.rank() + 1, 4, 3, dtype=torch.float64)
    if hvd.rank() == 0:
        assert torch.allclose(mine(data), whole(data), atol=1e-6)


def test_wrong_inputs_are_value_errors():
    layer = hvd.SyncBatchNorm(4)
    with pytest.raises(ValueError):
        layer(torch.ones(4))
    with pytest.raises(ValueError):
        layer(torch.ones(2, 5, 3))
