"""ronde.torch: broadcasting models and optimizers; elastic state, run and sampler."""
# ronde-test: np=1,2,3,4 timeout=120

import copy
from itertools import chain

import pytest
import ronde
from torch_ranks import *  # noqa: F403
from torch_ranks import hvd, several, torch

elastic = hvd.elastic


def model_of(seed=None):
    torch.manual_seed(hvd.rank() if seed is None else seed)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 2)
    )


def stepped(model, make, steps):
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(6, 4)).square().sum().backward()
        optimizer.step()
    return optimizer


def alike(first, second):
    if torch.is_tensor(first):
        assert torch.equal(first, second) and first.dtype == second.dtype
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            alike(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second):
            alike(one, other)
    else:
        assert first == second and type(first) is type(second)


def alike_everywhere(state):
    alike(state, hvd.broadcast_object(state, 0, name="compare"))


@pytest.mark.parametrize("form", ["state_dict", "named", "list of pairs", "list"])
def test_broadcasts_a_models_parameters(form):
    root = hvd.size() - 1
    model = model_of()
    params = {
        "state_dict": model.state_dict,
        "named": model.named_parameters,
        "list of pairs": lambda: list(model.named_parameters()),
        "list": lambda: list(model.parameters()),
    }[form]()
    hvd.broadcast_parameters(params, root_rank=root)
    alike(
        [p.detach() for p in model.parameters()], [p.detach() for p in model_of(root).parameters()]
    )


def test_broadcasts_parameters_that_are_not_contiguous():
    weight = torch.full((2, 3), float(hvd.rank())).t()
    hvd.broadcast_parameters({"weight": weight}, root_rank=0)
    assert not weight.any()


def test_what_cannot_be_broadcast_is_a_value_error():
    for wrong in (torch.ones(2), "params", 3, None, [1, 2], {"a": None}):
        with pytest.raises(ValueError):
            hvd.broadcast_parameters(wrong, 0)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.001 * (1 + hvd.rank())),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.001, momentum=0.5 + 0.01 * hvd.rank()),
    "adam": lambda p: torch.optim.Adam(
        p, lr=0.01, betas=(0.9, 0.99 - 0.01 * hvd.rank()), amsgrad=True
    ),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.1),
    "rprop": torch.optim.Rprop,
    "adadelta": torch.optim.Adadelta,
    "groups": lambda p: torch.optim.SGD(
        [{"params": [one], "lr": 0.001 * (1 + hvd.rank())} for one in p], lr=1
    ),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_broadcasts_an_optimizers_state_that_the_root_alone_has(kind, wrapped):
    root = hvd.size() - 1
    model = model_of()
    optimizer = stepped(model, OPTIMIZERS[kind], 3 if hvd.rank() == root else 0)
    before = [p.detach().clone() for p in model.parameters()]
    if wrapped:
        optimizer = hvd.DistributedOptimizer(optimizer, model.named_parameters())
    wanted = copy.deepcopy(optimizer.state_dict()) if hvd.rank() == root else None
    hvd.broadcast_optimizer_state(optimizer, root_rank=root)
    alike([p.detach() for p in model.parameters()], before)
    alike(optimizer.state_dict(), hvd.broadcast_object(wanted, root, name="wanted"))
    optimizer.zero_grad()
    hvd.broadcast_parameters(model.state_dict(), root)
    torch.manual_seed(1)
    model(torch.randn(6, 4)).sum().backward()
    optimizer.step()
    alike_everywhere([p.detach() for p in model.parameters()])


def test_an_optimizers_state_is_overwritten_and_keeps_its_tensors():
    model = model_of()
    optimizer = stepped(model, OPTIMIZERS["momentum"], 1 + hvd.rank())
    buffers = [state["momentum_buffer"] for state in optimizer.state.values()]
    hvd.broadcast_optimizer_state(optimizer, root_rank=0)
    assert all(a is s["momentum_buffer"] for a, s in zip(buffers, optimizer.state.values()))
    alike_everywhere(optimizer.state_dict())


def test_an_lbfgs_optimizer_is_refused_and_so_are_other_parameters():
    with pytest.raises(ValueError):
        hvd.broadcast_optimizer_state(torch.optim.LBFGS(model_of().parameters()), 0)
    several()
    model = model_of()
    count = 2 if hvd.rank() == 0 else 1
    optimizer = torch.optim.SGD(list(model.parameters())[:count], lr=0.1)
    if hvd.rank() == 0:
        hvd.broadcast_object(hvd_told(optimizer), 0, "optimizer.state")
    else:
        with pytest.raises(ValueError, match="parameters"):
            hvd.broadcast_optimizer_state(optimizer, 0)


def hvd_told(optimizer):
    from ronde.torch.functions import _told

    return _told(optimizer)


# ---- elastic -------------------------------------------------------------------------------------


def test_values_are_restored_to_the_last_commit():
    state = elastic.ObjectState(epoch=1, seen=[1])
    state.epoch, state.seen = 2, [1, 2]
    state.commit()
    state.epoch = 3
    state.seen.append(3)
    state.restore()
    assert state.epoch == 2 and state.seen == [1, 2]


def test_values_are_synchronized_with_rank_0():
    state = elastic.ObjectState(epoch=hvd.rank() + 1, name=f"rank {hvd.rank()}")
    state.sync()
    assert state.epoch == 1 and state.name == "rank 0"
    state.epoch = 9
    state.restore()
    assert state.epoch == 1


def test_models_optimizers_and_schedulers_are_restored_and_synchronized():
    model = model_of()
    optimizer = stepped(model, OPTIMIZERS["adam"], hvd.rank() + 1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    state = elastic.TorchState(
        model=model, optimizer=optimizer, scheduler=scheduler, batch=hvd.rank()
    )
    assert state.model is model and state.optimizer is optimizer
    committed = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    state.commit()
    model(torch.randn(6, 4)).sum().backward()
    optimizer.step()
    scheduler.step()
    state.batch = 77
    state.restore()
    alike(model.state_dict(), committed[0])
    alike(optimizer.state_dict(), committed[1])
    assert state.batch == hvd.rank() and scheduler.last_epoch == 0
    state.sync()
    alike_everywhere(model.state_dict())
    alike_everywhere(optimizer.state_dict())
    assert state.batch == 0
    state.model = other = model_of(5)
    assert state.model is other


def test_a_failed_operation_leads_back_to_the_last_commit():
    several()
    state = elastic.TorchState(model=model_of(), batch=0)
    weight = state.model[0].weight
    resets, runs = [], []
    state.register_reset_callbacks([lambda: resets.append(hvd.size())])

    @elastic.run
    def train(state, arguments):
        """Trains."""
        runs.append(state.batch)
        while state.batch < 4:
            with torch.no_grad():
                weight.add_(1)
            state.batch += 1
            if state.batch == 3 and len(runs) == 1:
                hvd.allreduce(torch.ones(1 + (hvd.rank() == 0)), name="fails")
            if state.batch == 2:
                state.commit()
        return arguments

    assert train.__doc__ == "Trains."
    before = hvd.broadcast(weight.detach().clone(), 0)
    assert train(state, "done") == "done"
    assert runs == [0, 2] and resets == [hvd.size()]
    assert torch.allclose(weight, before + 4)
    assert hvd.is_initialized()
    alike_everywhere(state.model.state_dict())


def test_other_errors_are_not_caught():
    state = elastic.ObjectState(batch=0)
    for error in (KeyError, ronde.ArgumentError, AssertionError):

        @elastic.run
        def train(state, error=error):
            raise error("mine")

        with pytest.raises(error):
            train(state)


def test_a_lost_rank_restores_and_raises():
    state = elastic.ObjectState(batch=1)
    runs = []

    @elastic.run
    def train(state):
        runs.append(state.batch)
        state.batch = 5
        from ronde.torch._errors import error_class

        raise error_class(-12)("a rank was lost", -12)

    with pytest.raises(ronde.PeerLostError) as raised:
        train(state)
    assert isinstance(raised.value, hvd.HorovodInternalError)
    assert state.batch == 1 and runs == [1]


def test_updated_hosts_interrupt_all_ranks_at_the_next_commit():
    state = elastic.ObjectState(batch=0)
    runs = []

    @elastic.run
    def train(state):
        runs.append(state.batch)
        state.batch += 1
        if len(runs) == 1:
            if hvd.rank() == 0:
                state.on_hosts_updated(1.0, 1)
            state.commit()
            raise AssertionError("the commit interrupts")
        return state.batch

    assert train(state) == 2
    assert runs == [0, 1]


def test_the_sampler_deals_out_everything_once():
    data = list(range(10 * hvd.size()))
    sampler = elastic.ElasticSampler(data, seed=3)
    mine = list(sampler)
    assert len(mine) == len(sampler) == 10
    assert sorted(chain(*hvd.allgather_object(mine))) == data
    sampler.set_epoch(1)
    assert list(sampler) != mine
    assert list(elastic.ElasticSampler(data, shuffle=False)) == data[hvd.rank() :: hvd.size()]


def test_the_sampler_goes_on_after_what_was_processed():
    data = list(range(12 * hvd.size()))
    sampler = elastic.ElasticSampler(data)
    state = elastic.TorchState(sampler=sampler)
    done = list(sampler)[:4]
    sampler.record_batch(0, 4)
    state.commit()
    sampler.record_batch(1, 4)
    state.restore()
    rest = list(sampler)
    assert len(rest) == 8
    everything = list(chain(*hvd.allgather_object(done + rest)))
    assert sorted(everything) == data


def test_the_sampler_evens_out_the_ranks_shares():
    data = list(range(2 * hvd.size() + 1))
    sampler = elastic.ElasticSampler(data)
    shares = hvd.allgather_object(list(sampler))
    wanted = -(-len(data) // hvd.size())
    assert {len(share) for share in shares} == {wanted}
    assert set(chain(*shares)) == set(data)
    assert list(elastic.ElasticSampler([])) == []
