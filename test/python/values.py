"""What the tests send: values that tell rank and index apart, with sums that are exact in any
order."""

from __future__ import annotations

from typing import Any, List

import numpy as np

import ronde

TYPES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16",
    "bfloat16", "float32", "float64",
]  # fmt: skip
PERIOD = 7  # prime, and prime to the numbers of ranks


def numpy_type(name: str) -> Any:
    """numpy's, or ml_dtypes'; None where there is no ml_dtypes."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


def of_rank(rank: int, shape: Any, name: str = "float32") -> Any:
    """Small whole numbers, exact in every type; the sum of 8 ranks is below 128."""
    index = np.arange(int(np.prod(shape)), dtype="int64").reshape(shape)
    if name == "bool":
        return (index + rank) % 3 == 0
    return ((index + 3 * rank) % PERIOD + 1).astype(numpy_type(name))


def of_all(shape: Any, name: str = "float32") -> List[Any]:
    """What every rank has."""
    return [of_rank(rank, shape, name) for rank in range(ronde.size())]


def same(got: Any, want: Any) -> bool:
    """Equal in shape, type and every bit."""
    return got.shape == want.shape and got.dtype == want.dtype and got.tobytes() == want.tobytes()
