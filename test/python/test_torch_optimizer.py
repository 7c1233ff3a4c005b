"""ronde.torch: DistributedOptimizer against one process that sees all ranks' batches."""
# ronde-test: np=1,2,3,4 timeout=180

import copy
import gc
import warnings

import pytest
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd, several, torch

SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}


def model_of(dtype=torch.float64):
    torch.manual_seed(7)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 8),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 8),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 2),
    )
    return model.to(dtype)


def batch_of(rank, step, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1000 * step + rank)
    return torch.randn(4, 6, generator=generator, dtype=dtype)


def loss_of(model, rank, step):
    return model(batch_of(rank, step, next(model.parameters()).dtype)).square().mean()


def reference(steps, make=lambda p: torch.optim.SGD(p, **SGD), scale=1.0, passes=1):
    """Parameters after steps on the mean (times ``scale``) of all ranks' losses."""
    model = model_of()
    optimizer = make(model.parameters())
    for step in range(steps):
        optimizer.zero_grad()
        for one in range(passes):
            for rank in range(hvd.size()):
                loss = loss_of(model, rank, step * passes + one) * scale / hvd.size()
                loss.backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def trained(
    steps=4, make=lambda p: torch.optim.SGD(p, **SGD), passes=1, zero_to_none=True, **options
):
    model = model_of()
    optimizer = hvd.DistributedOptimizer(
        make(model.parameters()),
        named_parameters=model.named_parameters(),
        backward_passes_per_step=passes,
        **options,
    )
    for step in range(steps):
        optimizer.zero_grad(set_to_none=zero_to_none)
        for one in range(passes):
            loss_of(model, hvd.rank(), step * passes + one).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def close(got, wanted, tolerance=1e-9):
    for one, other in zip(got, wanted):
        assert torch.allclose(one.double(), other.double(), rtol=tolerance, atol=tolerance)


def alike_everywhere(parameters):
    for parameter in parameters:
        first = hvd.broadcast(parameter, 0)
        assert torch.equal(first, parameter)


@pytest.mark.parametrize("arena", [False, True])
@pytest.mark.parametrize("zero_to_none", [False, True])
def test_trains_as_one_process_with_all_batches(arena, zero_to_none):
    got = trained(gradients_in_arena=arena, zero_to_none=zero_to_none)
    close(got, reference(4))
    alike_everywhere(got)


@pytest.mark.parametrize("arena", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 100, "lists"])
def test_groups_train_alike(groups, arena):
    if groups == "lists":
        model = model_of()
        parameters = list(model.parameters())
        optimizer = hvd.DistributedOptimizer(
            torch.optim.SGD(parameters, **SGD),
            model.named_parameters(),
            groups=[parameters[:2], parameters[4:5]],
            gradients_in_arena=arena,
        )
        for step in range(4):
            optimizer.zero_grad()
            loss_of(model, hvd.rank(), step).backward()
            optimizer.step()
        close(parameters, reference(4))
    else:
        close(trained(groups=groups, gradients_in_arena=arena), reference(4))


def test_other_optimizers_train_alike():
    def adam(p):
        return torch.optim.Adam(p, lr=0.01, amsgrad=True)

    close(trained(make=adam), reference(4, adam))
    close(
        trained(make=lambda p: torch.optim.Adagrad(p)),
        reference(4, lambda p: torch.optim.Adagrad(p)),
    )


@pytest.mark.parametrize("arena", [False, True])
def test_gradients_of_several_passes_are_added_up(arena):
    close(trained(passes=3, gradients_in_arena=arena), reference(4, passes=3))


def test_sums_and_predivided_averages():
    close(trained(op=hvd.Sum), reference(4, scale=hvd.size()))
    close(trained(gradient_predivide_factor=3.0), reference(4))
    close(trained(gradient_predivide_factor=3.0, groups=2), reference(4))


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_compressed_gradients_train_nearly_alike(kind):
    got = trained(compression=getattr(hvd.Compression, kind))
    close(got, reference(4), 0.02)
    alike_everywhere(got)


def test_is_an_optimizer_of_the_same_class():
    model = model_of()
    plain = torch.optim.SGD(model.parameters(), **SGD)
    optimizer = hvd.DistributedOptimizer(plain)
    assert isinstance(optimizer, torch.optim.SGD) and type(optimizer).__name__ == "SGD"
    assert optimizer.param_groups[0]["lr"] == SGD["lr"]
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    loss_of(model, 0, 0).backward()
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(SGD["lr"] * 0.1)


def test_an_optimizer_with_a_scheduler_and_state_can_be_wrapped():
    model = model_of()
    plain = torch.optim.SGD(model.parameters(), **SGD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = torch.optim.lr_scheduler.StepLR(plain, 1, gamma=0.5)
        loss_of(model, 0, 0).backward()
        plain.step()
        plain.zero_grad()
        optimizer = hvd.DistributedOptimizer(plain, model.named_parameters())
        assert len(optimizer.state) == len(list(model.parameters()))
        loss_of(model, hvd.rank(), 1).backward()
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == SGD["lr"] * 0.5
    alike_everywhere([p.detach() for p in model.parameters()])


def test_an_optimizer_whose_constructor_wants_more_can_be_wrapped():
    class Odd(torch.optim.SGD):
        def __init__(self, params, needed, *, more):
            super().__init__(params, lr=needed)
            self.more = more

    model = model_of()
    optimizer = hvd.DistributedOptimizer(Odd(model.parameters(), 0.1, more="x"))
    assert optimizer.more == "x"
    loss_of(model, hvd.rank(), 0).backward()
    optimizer.step()
    alike_everywhere([p.detach() for p in model.parameters()])


def test_step_hooks_run_once():
    model = model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), **SGD))
    calls = []
    optimizer.register_step_pre_hook(lambda *a: calls.append("before"))
    optimizer.register_step_post_hook(lambda *a: calls.append("after"))
    loss_of(model, 0, 0).backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    loss_of(model, 0, 1).backward()
    optimizer.step()
    assert calls == ["before", "after"] * 2


def test_clipping_between_synchronize_and_step():
    model, single = model_of(), model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    plain = torch.optim.SGD(single.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        loss_of(model, hvd.rank(), step).backward()
        optimizer.synchronize()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with optimizer.skip_synchronize():
                optimizer.step()
        plain.zero_grad()
        (sum(loss_of(single, r, step) for r in range(hvd.size())) / hvd.size()).backward()
        torch.nn.utils.clip_grad_norm_(single.parameters(), 0.01)
        plain.step()
    close(list(model.parameters()), list(single.parameters()))


def test_step_after_synchronize_without_skipping_warns():
    model = model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    loss_of(model, hvd.rank(), 0).backward()
    optimizer.synchronize()
    with pytest.warns(UserWarning, match="skip_synchronize"):
        optimizer.step()


def test_zeroing_gradients_that_are_under_way_is_an_error():
    several()
    model = model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    loss_of(model, hvd.rank(), 0).backward()
    with pytest.raises(AssertionError, match="zero_grad"):
        optimizer.zero_grad()
    optimizer.step()
    optimizer.zero_grad()


def test_too_many_passes_are_an_error():
    several()
    model = model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    loss_of(model, hvd.rank(), 0).backward()
    with pytest.raises(AssertionError, match="backward_passes_per_step"):
        loss_of(model, hvd.rank(), 0).backward()
    optimizer.synchronize()
    optimizer.zero_grad()
    optimizer.set_backward_passes_per_step(2)
    loss_of(model, hvd.rank(), 0).backward()
    loss_of(model, hvd.rank(), 0).backward()
    optimizer.step()


def test_stepping_before_all_passes_are_done_combines_what_there_is():
    model = model_of()
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), backward_passes_per_step=4
    )
    loss_of(model, hvd.rank(), 0).backward()
    optimizer.step()
    alike_everywhere([p.detach() for p in model.parameters()])


@pytest.mark.parametrize("groups", [None, 2])
@pytest.mark.parametrize("arena", [False, True])
def test_parameters_that_some_ranks_did_not_use_are_combined_with_zeros(groups, arena):
    several()
    model = torch.nn.ModuleList([torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)]).double()
    hvd.broadcast_parameters(model.state_dict(), 0)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=1.0),
        model.named_parameters(),
        op=hvd.Sum,
        groups=groups,
        gradients_in_arena=arena,
    )
    data = torch.ones(1, 3, dtype=torch.float64)
    model[min(hvd.rank(), 1)](data).sum().backward()
    optimizer.synchronize()
    wanted = [1.0, float(hvd.size() - 1)]
    for layer, value in zip(model, wanted):
        assert torch.equal(layer.weight.grad, torch.full((1, 3), value, dtype=torch.float64))


def test_closures_are_combined_each_time():
    model, single = model_of(), model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model, hvd.rank(), 0)
        loss.backward()
        return loss

    for _ in range(2):
        loss = optimizer.step(closure)
    assert loss.item() > 0
    plain = torch.optim.SGD(single.parameters(), lr=0.1)
    for _ in range(2):
        plain.zero_grad()
        (sum(loss_of(single, r, 0) for r in range(hvd.size())) / hvd.size()).backward()
        plain.step()
    close(list(model.parameters()), list(single.parameters()))


def test_gradients_that_are_not_contiguous_are_combined():
    torch.manual_seed(1)
    layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(layer.parameters(), lr=1.0), op=hvd.Sum)
    data = torch.ones(1, 3, 4, 4).to(memory_format=torch.channels_last) * (hvd.rank() + 1)
    layer(data).sum().backward()
    optimizer.synchronize()
    ranks = hvd.size()
    wanted = torch.full((4, 3, 3, 3), 4.0 * ranks * (ranks + 1) / 2)
    assert torch.allclose(layer.weight.grad, wanted)


# ---- sparse gradients ----------------------------------------------------------------------------


@pytest.mark.parametrize("as_dense", [False, True])
@pytest.mark.parametrize("op", ["Average", "Sum"])
def test_sparse_gradients(as_dense, op):
    torch.manual_seed(3)
    table = torch.nn.Embedding(10, 3, sparse=True)
    single = copy.deepcopy(table)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(table.parameters(), lr=1.0),
        table.named_parameters(),
        op=getattr(hvd, op),
        sparse_as_dense=as_dense,
    )
    plain = torch.optim.SGD(single.parameters(), lr=1.0)
    ranks = hvd.size()
    for _ in range(2):
        optimizer.zero_grad()
        table(torch.tensor([0, hvd.rank() + 1, 0])).sum().backward()
        optimizer.step()
        assert table.weight.grad.is_sparse
        plain.zero_grad()
        for rank in range(ranks):
            loss = single(torch.tensor([0, rank + 1, 0])).sum()
            (loss / ranks if op == "Average" else loss).backward()
        plain.step()
    assert torch.allclose(table.weight, single.weight)


def test_sparse_gradients_that_a_rank_did_not_have_this_time():
    several()
    table = torch.nn.Embedding(4, 2, sparse=True)
    hvd.broadcast_parameters(table.state_dict(), 0)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(table.parameters(), lr=1.0), table.named_parameters(), op=hvd.Sum
    )
    for step in range(2):
        optimizer.zero_grad()
        if step == 0 or hvd.rank() == 0:
            table(torch.tensor([step])).sum().backward()
        optimizer.step()
    alike_everywhere([table.weight.detach()])


# ---- gradients in the arena ----------------------------------------------------------------------


def test_gradients_stay_in_the_arena():
    model = model_of(torch.float32)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), **SGD),
        model.named_parameters(),
        gradients_in_arena=True,
    )
    places = [p.grad.data_ptr() for p in model.parameters()]
    assert len(set(places)) == len(places) and all(place % 64 == 0 for place in places)
    for step in range(3):
        optimizer.zero_grad(set_to_none=True)
        assert all(not p.grad.any() for p in model.parameters())
        loss_of(model, hvd.rank(), step).backward()
        optimizer.step()
        assert [p.grad.data_ptr() for p in model.parameters()] == places
    model.zero_grad(
        set_to_none=True
    )  # the module's does not know: gradients come back with the next
    loss_of(model, hvd.rank(), 5).backward()
    optimizer.step()
    if hvd.size() > 1:
        assert [p.grad.data_ptr() for p in model.parameters()] == places
    optimizer.zero_grad()
    assert [p.grad.data_ptr() for p in model.parameters()] == places


def test_gradients_of_several_types_share_the_arena():
    parameters = [
        torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16)),
        torch.nn.Parameter(torch.ones(5, dtype=torch.float64)),
        torch.nn.Parameter(torch.tensor(1.0)),
        torch.nn.Parameter(torch.ones(0)),
    ]
    parameters[1].grad = torch.full((5,), 2.0, dtype=torch.float64)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(parameters, lr=1.0), op=hvd.Sum, gradients_in_arena=True
    )
    assert torch.equal(parameters[1].grad, torch.full((5,), 2.0, dtype=torch.float64))
    optimizer.zero_grad()
    sum((p * (hvd.rank() + 1)).sum().double() for p in parameters).backward()
    optimizer.synchronize()
    total = hvd.size() * (hvd.size() + 1) / 2
    for parameter in parameters:
        assert torch.equal(parameter.grad, torch.full_like(parameter, total))


def test_gradients_in_the_arena_outlive_shutdown():
    model = model_of()
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), gradients_in_arena=True
    )
    loss_of(model, hvd.rank(), 0).backward()
    optimizer.synchronize()
    before = [p.grad.clone() for p in model.parameters()]
    hvd.shutdown()
    assert all(torch.equal(p.grad, one) for p, one in zip(model.parameters(), before))
    hvd.init()
    optimizer.zero_grad()
    loss_of(model, hvd.rank(), 0).backward()
    optimizer.step()
    alike_everywhere([p.detach() for p in model.parameters()])


# ---- Adasum --------------------------------------------------------------------------------------


def test_adasum_combines_the_steps_that_ranks_would_take():
    model = model_of()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), model.named_parameters(), op=hvd.Adasum
    )
    loss_of(model, hvd.rank(), 0).backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    optimizer.step()
    for i, parameter in enumerate(model.parameters()):
        if hvd.size() == 1:
            step = -0.1 * gradients[i]
        else:
            step = hvd.allreduce(-0.1 * gradients[i], op=hvd.Adasum, name=f"step.{i}")
        assert torch.allclose(parameter, before[i] + step)
    if hvd.size() > 1:
        optimizer.synchronize()
        with pytest.raises(AssertionError):
            with optimizer.skip_synchronize():
                pass


@pytest.mark.parametrize("passes", [1, 2])
def test_adasum_of_equal_ranks_is_what_one_would_do(passes):
    def adam(p):
        return torch.optim.Adam(p, lr=0.01)

    model, single = model_of(), model_of()
    optimizer = hvd.DistributedOptimizer(
        adam(model.parameters()),
        model.named_parameters(),
        op=hvd.Adasum,
        backward_passes_per_step=passes,
    )
    plain = adam(single.parameters())
    for step in range(3):
        optimizer.zero_grad()
        plain.zero_grad()
        for one in range(passes):
            loss_of(model, 0, step * passes + one).backward()
            loss_of(single, 0, step * passes + one).backward()
        optimizer.step()
        plain.step()
    close(list(model.parameters()), list(single.parameters()))


# ---- what is refused -----------------------------------------------------------------------------


def two():
    layer = torch.nn.Linear(2, 2)
    return layer, torch.optim.SGD(layer.parameters(), lr=0.1)


REFUSED = {
    "pairs": lambda m, o: hvd.DistributedOptimizer(o, list(m.parameters())),
    "duplicates": lambda m, o: hvd.DistributedOptimizer(o, [("a", m.weight), ("a", m.bias)]),
    "unnamed": lambda m, o: hvd.DistributedOptimizer(o, [("a", m.weight)]),
    "passes": lambda m, o: hvd.DistributedOptimizer(o, backward_passes_per_step=0),
    "predivide": lambda m, o: hvd.DistributedOptimizer(
        o, op=hvd.Sum, gradient_predivide_factor=2.0
    ),
    "op": lambda m, o: hvd.DistributedOptimizer(o, op=55),
    "no groups": lambda m, o: hvd.DistributedOptimizer(o, groups=0),
    "negative groups": lambda m, o: hvd.DistributedOptimizer(o, groups=-1),
    "groups of names": lambda m, o: hvd.DistributedOptimizer(o, groups=[["weight"]]),
    "twice in groups": lambda m, o: hvd.DistributedOptimizer(o, groups=[[m.weight], [m.weight]]),
    "wrapped twice": lambda m, o: hvd.DistributedOptimizer(hvd.DistributedOptimizer(o)),
    "no optimizer": lambda m, o: hvd.DistributedOptimizer(m),
    "fewer passes": lambda m, o: hvd.DistributedOptimizer(o).set_backward_passes_per_step(0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_arguments_are_value_errors(what):
    with pytest.raises(ValueError):
        REFUSED[what](*two())


def test_num_groups_is_deprecated():
    _, optimizer = two()
    with pytest.warns(DeprecationWarning):
        hvd.DistributedOptimizer(optimizer, num_groups=1)


# ---- lifetime and errors -------------------------------------------------------------------------


def test_an_optimizer_that_is_gone_leaves_no_hooks():
    several()
    model = model_of()
    first = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), model.named_parameters()
    )
    del first
    gc.collect()
    second = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), model.named_parameters()
    )
    loss_of(model, hvd.rank(), 0).backward()
    second.step()
    alike_everywhere([p.detach() for p in model.parameters()])


def test_parameters_added_later_are_combined_too():
    several()
    model, more = model_of(), torch.nn.Linear(2, 1).double()
    hvd.broadcast_parameters(more.state_dict(), 0)
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    optimizer.add_param_group({"params": list(more.parameters()), "lr": 0.5})
    more(model(batch_of(hvd.rank(), 0))).sum().backward()
    optimizer.step()
    alike_everywhere([p.detach() for p in more.parameters()])


def test_after_a_mismatch_the_optimizer_goes_on():
    several()
    value = torch.nn.Parameter(torch.ones(4 if hvd.rank() == 0 else 5))
    other = torch.nn.Parameter(torch.ones(2))
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD([value, other], lr=0.1), op=hvd.Sum)
    (value.sum() + other.sum()).backward()
    with pytest.raises(hvd.HorovodInternalError):
        optimizer.step()
    assert torch.equal(other.grad, torch.full((2,), float(hvd.size())))
    optimizer.zero_grad()
    value.data = torch.ones(4)
    (value.sum() + other.sum()).backward()
    optimizer.step()
    assert torch.equal(value.grad, torch.full((4,), float(hvd.size())))


def test_ranks_outside_the_process_set_step_alone():
    several()
    some = hvd.add_process_set([0] if hvd.size() == 2 else [0, hvd.size() - 1])
    layer = torch.nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        layer.weight.fill_(1.0)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(layer.parameters(), lr=1.0), op=hvd.Sum, process_set=some, groups=1
    )
    layer(torch.full((1, 3), 1.0, dtype=torch.float64)).sum().backward()
    optimizer.step()
    members = len(some.ranks) if some.included() else 1
    assert torch.equal(layer.weight, torch.full((1, 3), 1.0 - members, dtype=torch.float64))
    assert hvd.remove_process_set(some)


def test_gradients_are_under_way_during_the_backward_pass():
    several()
    model = model_of()
    optimizer = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    started = []
    model[0].weight.register_hook(lambda g: started.append(len(optimizer._under_way)))
    loss_of(model, hvd.rank(), 0).backward()
    assert started[0] >= 4  # the later layers' are, when the first one's is computed
    optimizer.step()


def test_an_optimizer_that_is_dropped_leaves_the_library_its_memory():
    several()
    for step in range(40):
        parameter = torch.nn.Parameter(torch.full((3 + step,), 2.0))
        optimizer = hvd.DistributedOptimizer(
            torch.optim.SGD([parameter], lr=0.1), named_parameters=[("dropped", parameter)]
        )
        parameter.sum().backward()
        del optimizer, parameter
        gc.collect()
        [torch.full((3 + step,), 7.0) for _ in range(50)]  # takes such memory if it is free
        hvd.barrier()  # so the gradients of all are combined before they have the name again
    assert hvd.allreduce(torch.ones(2), op=hvd.Sum)[0] == hvd.size()
