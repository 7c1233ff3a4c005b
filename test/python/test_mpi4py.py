# ronde-test: np=1,2,4 timeout=60
"""With mpi4py's communicators."""

import os

import numpy as np
import pytest

import ronde
from ronde import _abi

pytest.importorskip("mpi4py", reason="mpi4py is not installed")
# Wheels of mpi4py find an MPI at run time: it must be the library's.
os.environ["MPI4PY_LIBMPI"] = str(_abi.mpi_library())
try:
    from mpi4py import MPI
except ImportError as error:
    pytest.skip(f"mpi4py finds no MPI: {error}", allow_module_level=True)

if not _abi.is_mpi_of(MPI.Get_library_version()):
    pytest.skip("mpi4py is made for another MPI than the library", allow_module_level=True)

OWN_CONTEXT = True


def test_a_communicator_is_duplicated_and_left_alone():
    world = MPI.COMM_WORLD
    half = world.Split(world.rank % 2, world.rank)
    ronde.init(half)
    assert (ronde.rank(), ronde.size()) == (half.rank, half.size)
    got = ronde.allreduce(np.array([world.rank]), ronde.Sum)
    assert got.tolist() == [sum(range(world.rank % 2, world.size, 2))]
    ronde.shutdown()
    assert half.allreduce(1) == half.size
    half.Free()
    assert MPI.Is_initialized() and not MPI.Is_finalized()


def test_communicators_make_process_sets():
    world = MPI.COMM_WORLD
    ronde.init(world)
    half = world.Split(world.rank // 2, world.rank)
    mine = ronde.process_set_from_communicator(half)
    assert mine.size() == half.size and mine.rank() == half.rank
    assert ronde.allreduce(1, ronde.Sum, process_set=mine) == half.size
    none = ronde.process_set_from_communicator(MPI.COMM_NULL if world.rank else MPI.COMM_SELF)
    assert (none == -1) == (world.rank > 0)
    assert ronde.process_set_from_communicator(world.py2f()).ranks == list(range(world.size))
    ronde.shutdown()
    half.Free()


def test_mpi_and_ronde_work_beside_each_other():
    ronde.init(MPI.COMM_WORLD)
    handle = ronde.allreduce_async(np.ones(1000), ronde.Sum, name="ours")
    assert MPI.COMM_WORLD.allreduce(1) == ronde.size()
    assert handle.wait()[0] == ronde.size()
    with pytest.raises(ronde.ArgumentError, match="communicator"):
        ronde.Context().open("world")
    ronde.shutdown()
    ronde.init()
    assert ronde.size() == MPI.COMM_WORLD.size
    ronde.shutdown()


def test_a_communicator_of_another_mpi_is_refused():
    assert not _abi.is_mpi_of("MPICH Version: 3.2\nof somebody")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_abi, "mpi_text", lambda: "MPICH Version: 3.2")
        with pytest.raises(ronde.ArgumentError, match="MPI4PY_LIBMPI"):
            ronde.init(MPI.COMM_WORLD)
