"""What the tests of ronde.torch share: PyTorch or a skip, an open context, and ranks in step."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import ronde.torch as hvd

OWN_CONTEXT = True  # opened as a Horovod script does, and opened again by some tests
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
MORE_INTEGERS = [getattr(torch, n) for n in ("uint16", "uint32", "uint64") if hasattr(torch, n)]


@pytest.fixture(autouse=True)
def open_and_in_step():
    """Open, all ranks at the same test, and nothing under way after it."""
    hvd.init()
    hvd.barrier()
    yield
    if hvd.is_initialized():
        hvd.barrier()


def of_rank(rank, shape=(3, 4), dtype=torch.float32):
    """Small whole numbers that tell rank and index apart, so that sums are exact in every type."""
    count = 1
    for length in shape:
        count *= length
    return ((torch.arange(count) * 3 + rank * 5) % 7 + 1).reshape(shape).to(dtype)


def own(shape=(3, 4), dtype=torch.float32):
    return of_rank(hvd.rank(), shape, dtype)


def of_all(shape=(3, 4), dtype=torch.float32, ranks=None):
    ranks = range(hvd.size()) if ranks is None else ranks
    return torch.stack([of_rank(rank, shape, dtype) for rank in ranks])


def same(got, wanted):
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, (got, wanted)
    assert torch.equal(got, wanted), (got, wanted)


def several():
    if hvd.size() < 2:
        pytest.skip("needs two ranks")
