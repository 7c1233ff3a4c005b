"""ronde.torch: init and its arguments, HOROVOD_* variables, process sets, timelines, the
environment."""
# ronde-test: np=1,2,3,4 timeout=120

import json
import os
import re
import time
from pathlib import Path

import pytest
import ronde
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd, of_all, own, same, several, torch

NAMES = """
    init shutdown is_initialized rank size local_rank local_size cross_rank cross_size
    is_homogeneous mpi_built mpi_enabled gloo_built gloo_enabled nccl_built ccl_built cuda_built
    rocm_built ddl_built mpi_threads_supported start_timeline stop_timeline allreduce allreduce_
    allreduce_async allreduce_async_ grouped_allreduce grouped_allreduce_ grouped_allreduce_async
    grouped_allreduce_async_ sparse_allreduce_async allgather allgather_async grouped_allgather
    grouped_allgather_async broadcast broadcast_ broadcast_async broadcast_async_ alltoall
    alltoall_async reducescatter reducescatter_async grouped_reducescatter
    grouped_reducescatter_async join barrier poll synchronize Sum Average Min Max Product Adasum
    Compression ProcessSet add_process_set remove_process_set global_process_set
    DistributedOptimizer broadcast_parameters broadcast_optimizer_state broadcast_object
    allgather_object SyncBatchNorm HorovodInternalError elastic
""".split()


def test_every_name_is_there_and_described():
    for name in NAMES:
        value = getattr(hvd, name)
        if callable(value) and not isinstance(value, int):
            assert value.__doc__, name
    assert issubclass(hvd.HorovodInternalError, RuntimeError)


def test_where_this_process_is():
    assert 0 <= hvd.rank() < hvd.size()
    assert 0 <= hvd.local_rank() < hvd.local_size() <= hvd.size()
    assert 0 <= hvd.cross_rank() < hvd.cross_size()
    assert isinstance(hvd.is_homogeneous(), bool)
    assert hvd.rank() == ronde.rank() and hvd.size() == ronde.size()


def test_what_was_built():
    assert hvd.mpi_built() is True and hvd.mpi_enabled() is True
    for name in (
        "gloo_built",
        "gloo_enabled",
        "ccl_built",
        "ddl_built",
        "cuda_built",
        "rocm_built",
    ):
        assert getattr(hvd, name)() is False
    assert hvd.nccl_built() == 0
    assert isinstance(hvd.mpi_threads_supported(), bool)


def test_the_core_package_shares_the_context():
    numpy = pytest.importorskip("numpy")
    got = ronde.allreduce(numpy.ones(3), ronde.Sum, name="core")
    assert (numpy.asarray(got) == hvd.size()).all()


# ---- variables -----------------------------------------------------------------------------------

VARIABLES = {
    "HOROVOD_FUSION_THRESHOLD": ("1048576", "fusion_threshold", "1M"),
    "HOROVOD_CACHE_CAPACITY": ("77", "cache_capacity", "77"),
    "HOROVOD_STALL_CHECK_TIME_SECONDS": ("33", "stall_warn", "33"),
    "HOROVOD_STALL_CHECK_DISABLE": ("1", "stall_warn", "0"),
    "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": ("120", "stall_abort", "120"),
    "HOROVOD_LOG_LEVEL": ("ERROR", "log", "error"),
    "HOROVOD_AUTOTUNE": ("1", "autotune", "on"),
}


def setting(name):
    found = re.search(rf"^\s*{name}\s+(\S+)", ronde.describe(), re.MULTILINE)
    assert found, name
    return found.group(1)


def reopened(monkeypatch, **variables):
    hvd.shutdown()
    for name in list(os.environ):
        if name.startswith(("HOROVOD_", "RONDE_STALL")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    hvd.init()


@pytest.fixture
def closed_after():
    yield
    hvd.shutdown()


@pytest.mark.parametrize("variable", VARIABLES)
def test_variables_of_horovod_count_when_set_before_init(variable, monkeypatch, closed_after):
    value, name, wanted = VARIABLES[variable]
    reopened(monkeypatch, **{variable: value})
    assert setting(name) == wanted


def test_rondes_own_variables_win(monkeypatch, closed_after):
    reopened(monkeypatch, HOROVOD_CACHE_CAPACITY="77", RONDE_CACHE_CAPACITY="99")
    assert setting("cache_capacity") == "99"


def test_what_does_not_disable_does_not(monkeypatch, closed_after):
    variables = {"HOROVOD_STALL_CHECK_DISABLE": "0", "HOROVOD_STALL_CHECK_TIME_SECONDS": "44"}
    reopened(monkeypatch, **variables)
    assert setting("stall_warn") == "44"
    reopened(monkeypatch, HOROVOD_LOG_LEVEL="trace", HOROVOD_TIMELINE="DYNAMIC")
    assert setting("log") == "debug"


def test_garbage_in_a_variable_of_one_rank_fails_opening_on_all(monkeypatch):
    hvd.shutdown()
    if hvd_rank_of_launcher() == 0:
        monkeypatch.setenv("HOROVOD_FUSION_THRESHOLD", "lots")
    with pytest.raises(ValueError, match=r"lots|fusion_threshold") as raised:
        hvd.init()
    if hvd_rank_of_launcher() == 0:
        assert "HOROVOD_FUSION_THRESHOLD" in str(raised.value)
    assert not hvd.is_initialized()
    monkeypatch.delenv("HOROVOD_FUSION_THRESHOLD", raising=False)
    hvd.init()


def hvd_rank_of_launcher():
    for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


# ---- timelines -----------------------------------------------------------------------------------


def test_a_timeline_is_json_at_all_times_and_names_what_horovods_does(tmp_path):
    folder = Path(hvd.broadcast_object(str(tmp_path), 0))
    path = folder / "timeline.json"
    hvd.start_timeline(str(path), mark_cycles=True)
    with pytest.raises(ValueError):
        hvd.start_timeline(str(path))
    hvd.allreduce(own(), name="seen")
    hvd.allgather(own(), name="gathered")
    file = folder / f"timeline.json.{hvd.rank()}.json"
    time.sleep(0.2)
    text = file.read_text()
    json.loads(text)
    for word in (
        "NEGOTIATE_ALLREDUCE",
        '"ALLREDUCE"',
        "CYCLE_START",
        "NEGOTIATE_ALLGATHER",
        "seen",
    ):
        assert word in text, word
    hvd.stop_timeline()
    hvd.stop_timeline()
    json.loads(file.read_text())
    if hvd.rank() == 0:
        assert path.is_symlink() and path.read_text() == file.read_text()


def test_a_timeline_that_cannot_be_written_is_a_value_error():
    with pytest.raises(ValueError):
        hvd.start_timeline("/nowhere/at/all/timeline.json")
    with pytest.raises(ValueError):
        hvd.start_timeline("")


def test_the_timeline_variable_records_from_the_opening(tmp_path, monkeypatch, closed_after):
    folder = hvd.broadcast_object(str(tmp_path), 0)
    reopened(monkeypatch, HOROVOD_TIMELINE=f"{folder}/all.json")
    rank = hvd.rank()
    hvd.allreduce(own(), name="from the start")
    hvd.shutdown()
    events = json.loads(Path(f"{folder}/all.json.{rank}.json").read_text())
    assert "from the start" in json.dumps(events)
    if rank == 0:
        assert json.loads(Path(f"{folder}/all.json").read_text()) == events


# ---- process sets --------------------------------------------------------------------------------


def test_the_global_process_set():
    world = hvd.global_process_set
    assert world.process_set_id == 0 and world.included()
    assert world.ranks == list(range(hvd.size()))
    assert world.size() == hvd.size() and world.rank() == hvd.rank()
    assert hvd.remove_process_set(world) is False


def test_sets_are_made_used_and_removed():
    several()
    last = hvd.size() - 1
    some = hvd.add_process_set([last])
    assert some.ranks == [last] and some.process_set_id > 0 and some.size() == 1
    assert some.included() == (hvd.rank() == last)
    if some.included():
        assert some.rank() == 0
        same(hvd.allreduce(own(), op=hvd.Sum, process_set=some), own())
        assert len(hvd.allgather(own(), process_set=some)) == 3
        same(hvd.broadcast(own(), last, process_set=some), own())
        hvd.barrier(process_set=some)
        assert hvd.broadcast_object("x", last, process_set=some) == "x"
        assert hvd.allgather_object("x", process_set=some) == ["x"]
    else:
        with pytest.raises(ValueError):
            some.rank()
        with pytest.raises(ValueError):
            hvd.allreduce(own(), process_set=some)
    with pytest.raises(ValueError):
        hvd.add_process_set([last])
    assert hvd.remove_process_set(some) is True
    assert some.process_set_id is None and some.size() is None and some.rank() is None
    assert hvd.remove_process_set(some) is False
    same(hvd.allreduce(own(), op=hvd.Sum), of_all().sum(0))


def test_sets_are_given_to_init():
    several()
    hvd.shutdown()
    first, others = hvd.ProcessSet([0]), hvd.ProcessSet([1])
    assert first.process_set_id is None and first.size() is None
    hvd.init(process_sets=[first, others])
    mine = first if hvd.rank() == 0 else others
    if mine.included():
        assert hvd.allreduce(torch.ones(1), op=hvd.Sum, process_set=mine).item() == mine.size()
    assert {first.process_set_id, others.process_set_id} == {1, 2}
    hvd.shutdown()
    assert first.process_set_id is None


def test_wrong_sets_are_value_errors():
    for wrong in ("01", 3, [0.5], ["0"], None):
        with pytest.raises(ValueError):
            hvd.ProcessSet(wrong)
    with pytest.raises(ValueError):
        hvd.add_process_set(list(range(hvd.size())))
    with pytest.raises(ValueError):
        hvd.add_process_set([0, hvd.size()])
    with pytest.raises(ValueError):
        hvd.add_process_set([0, 0])
    assert "ranks=[0, 1]" in str(hvd.ProcessSet([1, 0]))


def test_wrong_arguments_of_init_are_value_errors():
    hvd.shutdown()
    for wrong in ({"comm": 3}, {"comm": "all"}, {"comm": ["0"]}, {"process_sets": "static"}):
        with pytest.raises(ValueError):
            hvd.init(**wrong)
    hvd.init(process_sets="dynamic")


def test_init_with_a_list_of_ranks_or_a_communicator():
    MPI = pytest.importorskip("mpi4py.MPI")
    hvd.shutdown()
    world = MPI.COMM_WORLD
    hvd.init(comm=list(range(world.Get_size())))
    assert hvd.size() == world.Get_size()
    hvd.shutdown()
    half = world.Split(world.Get_rank() % 2, world.Get_rank())
    hvd.init(comm=half)
    assert hvd.size() == half.Get_size() and hvd.rank() == half.Get_rank()
    assert hvd.global_process_set.mpi_comm is half
    hvd.shutdown()
    if world.Get_rank() == 0:
        hvd.init(comm=[0])
        assert hvd.size() == 1
        hvd.shutdown()
    else:
        with pytest.raises(ValueError):
            hvd.init(comm=[0])
    hvd.init()
    of_comm = hvd.ProcessSet(world.Split(world.Get_rank() % 2, world.Get_rank()))
    if world.Get_size() > 2:
        hvd.add_process_set(of_comm)
        assert of_comm.included() and of_comm.size() == half.Get_size()
