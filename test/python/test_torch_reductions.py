"""ronde.torch: allreduce, reducescatter and their groups, sparse allreduce, and compression."""
# ronde-test: np=1,2,3,4 timeout=120

import pytest
from torch_ranks import *  # noqa: F403
from torch_ranks import (
    FLOATS,
    INTEGERS,
    MORE_INTEGERS,
    hvd,
    of_all,
    of_rank,
    own,
    same,
    several,
    torch,
)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS + MORE_INTEGERS)
def test_sums_every_type(dtype):
    wanted = of_all(dtype=torch.int64).sum(0).to(dtype)
    same(hvd.allreduce(own(dtype=dtype), op=hvd.Sum), wanted)


@pytest.mark.parametrize("dtype", FLOATS)
def test_averages_by_default_and_rounds_once(dtype):
    exact = of_all(dtype=torch.float64).mean(0)
    got = hvd.allreduce(own(dtype=dtype))
    assert got.dtype == dtype
    assert torch.allclose(got.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32, torch.bfloat16])
def test_takes_minimum_maximum_and_product(dtype):
    tensors = of_all(dtype=dtype)
    same(hvd.allreduce(own(dtype=dtype), op=hvd.Min), tensors.amin(0))
    same(hvd.allreduce(own(dtype=dtype), op=hvd.Max), tensors.amax(0))
    product = tensors.double().prod(0).to(dtype)
    got = hvd.allreduce(own(dtype=dtype), op=hvd.Product)
    assert torch.allclose(got.double(), product.double(), rtol=0.01)


def test_bool_sums_as_or_and_multiplies_as_and():
    mine = torch.tensor([hvd.rank() == 0, True, False])
    same(hvd.allreduce(mine, op=hvd.Sum), torch.tensor([True, True, False]))
    same(hvd.allreduce(mine, op=hvd.Product), torch.tensor([hvd.size() == 1, True, False]))


def test_adasum_averages_equal_and_adds_orthogonal_gradients():
    equal = torch.tensor([3.0, 4.0])
    assert torch.allclose(hvd.allreduce(equal, op=hvd.Adasum), equal)
    orthogonal = torch.zeros(hvd.size())
    orthogonal[hvd.rank()] = 2.0
    assert torch.allclose(
        hvd.allreduce(orthogonal, op=hvd.Adasum), torch.full_like(orthogonal, 2.0)
    )


def test_scales_before_and_after():
    got = hvd.allreduce(own(), op=hvd.Sum, prescale_factor=0.5, postscale_factor=4.0)
    same(got, of_all().sum(0) * 2)
    got = hvd.allreduce_(own(), op=hvd.Sum, prescale_factor=2.0)
    same(got, of_all().sum(0) * 2)


def test_leaves_the_input_alone_and_works_in_place_where_asked():
    tensor = own()
    result = hvd.allreduce(tensor, op=hvd.Sum)
    same(tensor, own())
    assert result.data_ptr() != tensor.data_ptr()
    address = tensor.data_ptr()
    assert hvd.allreduce_(tensor, op=hvd.Sum) is tensor
    assert tensor.data_ptr() == address
    same(tensor, of_all().sum(0))


def test_uses_a_parameter_and_a_view_in_place():
    parameter = torch.nn.Parameter(own())
    assert hvd.allreduce_(parameter, op=hvd.Sum) is parameter
    same(parameter.detach(), of_all().sum(0))
    whole = torch.zeros(5, 4)
    whole[1:4] = own()
    hvd.allreduce_(whole[1:4], op=hvd.Sum)
    same(whole[1:4], of_all().sum(0))
    assert not whole[0].any() and not whole[4].any()


def test_matches_by_name_in_any_order():
    names = ["a", "b", "c", "d"]
    order = names if hvd.rank() % 2 == 0 else names[::-1]
    handles = {}
    for name in order:
        value = torch.tensor([float(ord(name) + hvd.rank())])
        handles[name] = hvd.allreduce_async(value, name=f"order.{name}", op=hvd.Sum)
    ranks = hvd.size()
    for name, handle in handles.items():
        wanted = float(ord(name) * ranks + ranks * (ranks - 1) // 2)
        assert hvd.synchronize(handle).item() == wanted


def test_handles_are_integers_that_count_up_and_can_be_polled():
    first = hvd.allreduce_async(own(), name="first")
    second = hvd.allreduce_async_(own(), name="second")
    assert isinstance(first, int) and isinstance(second, int) and second > first
    hvd.synchronize(first)
    while not hvd.poll(second):
        pass
    assert hvd.synchronize(second) is not None


def test_a_dropped_handle_keeps_its_tensors_until_it_is_done():
    for i in range(20):
        hvd.allreduce_async(torch.full((10000,), float(i)), name=f"dropped.{i}", op=hvd.Sum)
    filler = [torch.full((10000,), -1.0) for _ in range(20)]
    assert hvd.allreduce(torch.ones(1), op=hvd.Sum).item() == hvd.size()
    assert all(bool((one == -1.0).all()) for one in filler)


def test_empty_scalar_and_many_dimensional_tensors():
    same(hvd.allreduce(torch.zeros(0, 3), op=hvd.Sum), torch.zeros(0, 3))
    same(hvd.allreduce(torch.tensor(2.0), op=hvd.Sum), torch.tensor(2.0 * hvd.size()))
    deep = torch.ones([1] * 20 + [2])
    same(hvd.allreduce(deep, op=hvd.Sum), deep * hvd.size())


def test_the_older_average_argument_warns():
    with pytest.warns(DeprecationWarning):
        same(hvd.allreduce(own(), average=False), of_all().sum(0))
    with pytest.warns(DeprecationWarning):
        got = hvd.allreduce(own(), average=True)
    assert torch.allclose(got, of_all().mean(0))


@pytest.mark.parametrize("in_place", [False, True])
def test_a_group_completes_together(in_place):
    tensors = [own((n + 1, 2), dtype) for n, dtype in enumerate([*FLOATS, torch.int64])]
    call = hvd.grouped_allreduce_ if in_place else hvd.grouped_allreduce
    results = call(tensors, op=hvd.Sum, name=f"group.{in_place}", prescale_factor=2.0)
    assert isinstance(results, list)
    for n, (result, tensor) in enumerate(zip(results, tensors)):
        wanted = of_all((n + 1, 2), torch.float64).sum(0) * 2
        assert torch.equal(result.double(), wanted)
        assert (result is tensor) == in_place


def test_an_empty_group_is_an_empty_list():
    assert hvd.grouped_allreduce([]) == []
    assert hvd.synchronize(hvd.grouped_allreduce_async_([])) == []


def test_asynchronous_groups_overlap():
    handles = [
        hvd.grouped_allreduce_async([own(), own((2,))], name=f"overlap.{i}", op=hvd.Sum)
        for i in range(4)
    ]
    for handle in reversed(handles):
        first, second = hvd.synchronize(handle)
        same(first, of_all().sum(0))
        same(second, of_all((2,)).sum(0))


@pytest.mark.parametrize("rows", [0, 1, 5, 8])
@pytest.mark.parametrize("op", ["Sum", "Average", "Max"])
def test_reducescatter_gives_the_first_ranks_one_row_more(rows, op):
    ranks, rank = hvd.size(), hvd.rank()
    tensors = of_all((rows, 3), torch.float64)
    whole = {"Sum": tensors.sum(0), "Average": tensors.mean(0), "Max": tensors.amax(0)}[op]
    share, more = divmod(rows, ranks)
    start = rank * share + min(rank, more)
    wanted = whole[start : start + share + (rank < more)]
    got = hvd.reducescatter(own((rows, 3), torch.float64), op=getattr(hvd, op))
    assert got.shape == wanted.shape and torch.allclose(got, wanted)


def test_reducescatter_averages_by_default_scales_and_groups():
    ranks, rank = hvd.size(), hvd.rank()
    whole = of_all((ranks, 2)).sum(0)
    got = hvd.synchronize(hvd.reducescatter_async(own((ranks, 2)), name="rs"))
    assert torch.allclose(got, whole[rank : rank + 1] / ranks)
    got = hvd.reducescatter(own((ranks, 2)), op=hvd.Sum, prescale_factor=3.0, postscale_factor=2.0)
    same(got, whole[rank : rank + 1] * 6)
    group = [own((ranks, 2)), own((ranks, 1), torch.int32)]
    first, second = hvd.grouped_reducescatter(group, op=hvd.Sum)
    same(first, whole[rank : rank + 1])
    same(second, of_all((ranks, 1), torch.int32).sum(0, dtype=torch.int32)[rank : rank + 1])


def sparse(indices, values, shape):
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True)


def test_sparse_rows_of_one_index_are_combined():
    rank, ranks = hvd.rank(), hvd.size()
    mine = sparse([[0, rank + 1, 0]], torch.full((3, 2), float(rank + 1)), (ranks + 2, 2))
    handle = hvd.sparse_allreduce_async(mine, name="sparse", op=hvd.Sum)
    got = handle()
    assert got.is_coalesced() and got.shape == mine.shape
    dense = torch.zeros(ranks + 2, 2)
    for r in range(ranks):
        dense[0] += 2 * (r + 1)
        dense[r + 1] += r + 1
    same(got.to_dense(), dense)
    handle = hvd.sparse_allreduce_async(mine, name="sparse", op=hvd.Average)
    assert torch.allclose(hvd.synchronize(handle).to_dense(), dense / ranks)


def test_sparse_tensors_of_two_sparse_dimensions_and_of_scalars():
    mine = sparse([[0, 1], [2, hvd.rank()]], torch.tensor([1.0, 2.0]), (2, 5))
    got = hvd.sparse_allreduce_async(mine, name="two", op=hvd.Sum)()
    wanted = torch.zeros(2, 5)
    for rank in range(hvd.size()):
        wanted += sparse([[0, 1], [2, rank]], torch.tensor([1.0, 2.0]), (2, 5)).to_dense()
    same(got.to_dense(), wanted)


def test_sparse_tensors_with_nothing_in_them():
    empty = sparse(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(0, 3), (4, 3))
    got = hvd.sparse_allreduce_async(empty, name="empty", op=hvd.Sum)()
    same(got.to_dense(), torch.zeros(4, 3))


@pytest.mark.parametrize(
    "compression", [hvd.Compression.none, hvd.Compression.fp16, hvd.Compression.bf16]
)
def test_compressed_results_have_the_type_that_was_passed(compression):
    got = hvd.allreduce(own(dtype=torch.float64), op=hvd.Sum, compression=compression)
    same(got, of_all(dtype=torch.float64).sum(0))
    whole = hvd.grouped_allreduce([own(dtype=torch.int32)], op=hvd.Sum, compression=compression)
    same(whole[0], of_all(dtype=torch.int32).sum(0, dtype=torch.int32))


def test_compression_sends_what_it_says():
    value = torch.tensor([1.0 + 2.0**-9])  # exact in float16, not in bfloat16
    assert hvd.allreduce(value, compression=hvd.Compression.fp16).item() == value.item()
    assert hvd.allreduce(value, compression=hvd.Compression.bf16).item() == 1.0
    sent, ctx = hvd.Compression.fp16.compress(value)
    assert (
        sent.dtype == torch.float16
        and hvd.Compression.fp16.decompress(sent, ctx).dtype == torch.float32
    )


def test_joined_ranks_contribute_nothing_and_averages_divide_by_all():
    several()
    ranks, rank = hvd.size(), hvd.rank()
    if rank == 0:
        for step in range(3):
            got = hvd.allreduce(torch.tensor([6.0 * ranks]), name=f"joined.{step}")
            assert got.item() == 6.0  # of one contribution, by all ranks
            got = hvd.allreduce(torch.tensor([-5.0]), name=f"most.{step}", op=hvd.Max)
            assert got.item() == -5.0
    last = hvd.join()
    assert last in range(ranks)
    everybody = hvd.allgather(torch.tensor([last]))
    assert bool((everybody == last).all())
    assert hvd.allreduce(torch.ones(1), op=hvd.Sum).item() == ranks


def test_many_unnamed_operations_stay_matched():
    results = [hvd.allreduce(of_rank(hvd.rank(), (i + 1,)), op=hvd.Sum) for i in range(50)]
    for i, result in enumerate(results):
        same(result, of_all((i + 1,)).sum(0))
