"""ronde.torch: gradients through every operation, against differences of the loss of all ranks."""
# ronde-test: np=1,2,3,4 timeout=120

import pytest
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd, own, several, torch


def weights(shape, salt=0):
    """Of each element of this rank's result in its loss."""
    count = max(1, torch.Size(shape).numel())
    values = (torch.arange(count, dtype=torch.float64) * 0.37 + hvd.rank() * 1.3 + salt).sin()
    return values[: torch.Size(shape).numel()].reshape(shape)


def loss_of(results):
    return sum((one * weights(one.shape, i)).sum() for i, one in enumerate(results))


def differences(operation, inputs):
    """d(sum of all ranks' losses) / d(this rank's inputs): every rank's elements are moved in turn,
    on all ranks together, since evaluating is collective."""
    step = 1e-3
    found = [torch.zeros_like(one) for one in inputs]
    shapes = hvd.allgather_object([one.numel() for one in inputs])
    for rank, counts in enumerate(shapes):
        for number, count in enumerate(counts):
            for element in range(count):
                total = 0.0
                for sign in (1, -1):
                    moved = [one.clone() for one in inputs]
                    if rank == hvd.rank():
                        moved[number].view(-1)[element] += sign * step
                    loss = loss_of(operation(moved)).reshape(1)
                    total += sign * hvd.allreduce(loss, op=hvd.Sum).item()
                if rank == hvd.rank():
                    found[number].view(-1)[element] = total / (2 * step)
    return found


def check(operation, *inputs, times=1.0):
    """The gradient is ``times`` the derivative."""
    inputs = [one.double() for one in inputs]
    leaves = [one.clone().requires_grad_() for one in inputs]
    loss_of(operation(leaves)).backward()
    for leaf, wanted in zip(leaves, differences(operation, inputs)):
        assert leaf.grad.shape == leaf.shape
        assert torch.allclose(leaf.grad, wanted * times, atol=1e-6), (leaf.grad, wanted * times)


@pytest.mark.parametrize("op", ["Sum", "Average"])
def test_of_an_allreduce(op):
    code = getattr(hvd, op)
    check(lambda x: [hvd.allreduce(x[0], op=code)], own((2, 3)))
    check(lambda x: [hvd.allreduce(x[0], op=code, name="named")], own((4,)))


def test_of_an_allreduce_with_factors():
    check(
        lambda x: [hvd.allreduce(x[0], op=hvd.Sum, prescale_factor=0.5, postscale_factor=3.0)],
        own((3,)),
    )


@pytest.mark.parametrize("op", ["Min", "Max", "Product", "Adasum"])
def test_of_other_allreduces_is_the_allreduce_of_the_gradients_with_the_same_op(op):
    code = getattr(hvd, op)
    leaf = own((5,)).double().requires_grad_()
    slope = weights((5,))
    hvd.allreduce(leaf, op=code).backward(slope)
    assert torch.equal(leaf.grad, hvd.allreduce(slope, op=code))


def test_of_a_compressed_allreduce():
    leaf = own((4,)).requires_grad_()
    hvd.allreduce(leaf, op=hvd.Sum, compression=hvd.Compression.bf16).sum().backward()
    assert torch.equal(leaf.grad, torch.full((4,), float(hvd.size())))


def test_of_a_grouped_allreduce():
    check(lambda x: hvd.grouped_allreduce(x, op=hvd.Sum), own((2,)), own((3, 1)))
    check(lambda x: hvd.grouped_allreduce(x, name="g"), own((2,)), own((3, 1)))


def test_of_an_allgather_is_averaged():
    rows = hvd.rank() + 1
    check(lambda x: [hvd.allgather(x[0])], own((rows, 2)), times=1.0 / hvd.size())


def test_of_a_grouped_allgather():
    rows = hvd.rank()
    check(
        lambda x: hvd.grouped_allgather(x, name="gg"),
        own((rows, 2)),
        own((2,)),
        times=1.0 / hvd.size(),
    )


def test_of_a_broadcast_is_the_sum_on_the_root_and_zero_elsewhere():
    for root in {0, hvd.size() - 1}:
        check(lambda x, root=root: [hvd.broadcast(x[0], root)], own((2, 2)))
        leaf = own((3,)).requires_grad_()
        hvd.broadcast(leaf, root).sum().backward()
        wanted = float(hvd.size() if hvd.rank() == root else 0)
        assert torch.equal(leaf.grad, torch.full((3,), wanted))


def test_of_an_alltoall_goes_the_way_back():
    ranks, rank = hvd.size(), hvd.rank()
    splits = [(rank + peer) % 2 + peer for peer in range(ranks)]
    check(lambda x: [hvd.alltoall(x[0], splits)[0]], own((sum(splits), 2)))
    check(lambda x: [hvd.alltoall(x[0])], own((2 * ranks,)))


@pytest.mark.parametrize("op", ["Sum", "Average"])
def test_of_a_reducescatter_is_the_derivative_times_the_number_of_ranks(op):
    code, ranks = getattr(hvd, op), hvd.size()
    rows = 2 * ranks + 1
    check(lambda x: [hvd.reducescatter(x[0], op=code)], own((rows, 2)), times=ranks)
    check(lambda x: hvd.grouped_reducescatter(x, op=code), own((rows,)), own((ranks,)), times=ranks)


def test_of_a_scaled_reducescatter_leaves_the_incoming_gradient_alone():
    ranks = hvd.size()
    leaf = own((ranks, 2)).double().requires_grad_()
    result = hvd.reducescatter(leaf, op=hvd.Sum, prescale_factor=2.0, postscale_factor=5.0)
    slope = torch.ones_like(result)
    result.backward(slope)
    assert torch.equal(slope, torch.ones_like(slope))
    assert torch.equal(leaf.grad, torch.full((ranks, 2), 10.0 * ranks, dtype=torch.float64))


def test_gradients_of_named_operations_match_in_any_order():
    several()
    names = ["left", "right"] if hvd.rank() == 0 else ["right", "left"]
    leaves = {name: own((2,)).requires_grad_() for name in names}
    handles = {
        name: hvd.allreduce_async(leaves[name].detach(), name=f"{name}.async") for name in names
    }
    for handle in handles.values():
        hvd.synchronize(handle)
    for name in ("left", "right"):
        hvd.allreduce(leaves[name], name=name, op=hvd.Sum).sum().backward()
        assert torch.equal(leaves[name].grad, torch.full((2,), float(hvd.size())))


def test_gradients_of_gradients():
    leaf = own((3,)).double().requires_grad_()
    (first,) = torch.autograd.grad(
        (hvd.allreduce(leaf, op=hvd.Sum) ** 2).sum(), leaf, create_graph=True
    )
    (second,) = torch.autograd.grad(first.sum(), leaf)
    ranks = hvd.size()
    assert torch.allclose(second, torch.full((3,), 2.0 * ranks**2, dtype=torch.float64))


def test_gradients_in_a_process_set():
    several()
    ranks = [0, hvd.size() - 1] if hvd.size() > 2 else [1]
    n, some = len(ranks), hvd.add_process_set(ranks)
    if some.included():
        leaf = own((2,)).requires_grad_()
        hvd.allreduce(leaf, op=hvd.Sum, process_set=some).sum().backward()
        assert torch.equal(leaf.grad, torch.full((2,), float(n)))
        leaf = own((2, 1)).requires_grad_()
        hvd.allgather(leaf, process_set=some).sum().backward()
        assert torch.equal(leaf.grad, torch.ones(2, 1))
        leaf = own((2,)).requires_grad_()
        hvd.broadcast(leaf, ranks[-1], process_set=some).sum().backward()
        assert leaf.grad[0].item() == (float(n) if hvd.rank() == ranks[-1] else 0.0)
        leaf = own((4,)).requires_grad_()
        hvd.reducescatter(leaf, op=hvd.Sum, process_set=some).sum().backward()
        assert torch.equal(leaf.grad, torch.full((4,), float(n)))
    assert hvd.remove_process_set(some)
