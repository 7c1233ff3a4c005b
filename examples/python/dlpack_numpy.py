"""Tensors of other libraries, used where they lie: DLPack, array interfaces, the buffer protocol.

    mpirun -np 2 python examples/python/dlpack_numpy.py

Whatever has `__dlpack__` works as a tensor of Ronde: JAX's arrays, PyTorch's, CuPy's on the host.
Where JAX is installed its arrays are used here; else a small class of one's own, which lends
numpy's memory. JAX's arrays do not change, so their results go into a numpy array, from which JAX
makes an array again.
"""

import array

import numpy as np

import ronde

try:
    import jax.numpy as jnp
except ImportError:
    jnp = None


class Tensor:
    """A tensor of some library: it has a shape, and lends its memory by DLPack alone."""

    def __init__(self, values):
        self._values = np.array(values, "float32")

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


def main():
    """One tensor of each kind, reduced or gathered."""
    ronde.init()
    rank, size = ronde.rank(), ronde.size()

    # One that may be written to is reduced in place.
    tensor = Tensor([rank, 10.0, rank + 20])
    ronde.allreduce(tensor, ronde.Average, name="tensor", out=tensor)
    mean = np.from_dlpack(tensor)

    # What does not change gives a new array.
    kind = "jax" if jnp is not None else "numpy"
    gradient = (jnp if jnp is not None else np).full(4, 1.0 + rank, "float32")
    total = ronde.allreduce(gradient, ronde.Sum, name="gradient")
    if jnp is not None:
        total = jnp.asarray(total)

    # Python's own arrays have the buffer protocol.
    rows = ronde.allgather(array.array("i", [rank, -rank]), name="rows")

    print(f"rank {rank} of {size}: {mean.tolist()}, {kind} {total.tolist()}, {rows.tolist()}")
    ronde.shutdown()


if __name__ == "__main__":
    main()
