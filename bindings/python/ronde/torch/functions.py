"""Broadcasting what a training script begins with, and exchanging Python objects."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional, Union

import torch

from . import _core
from ._handles import register, synchronize
from ._moves import allgather_pending, broadcast_, broadcast_async_
from ._process_sets import ProcessSet, global_process_set

_pickle: Any = pickle
try:  # also takes lambdas and classes of __main__
    _pickle = importlib.import_module("cloudpickle")
except ImportError:
    pass

Parameters = Union[dict[str, torch.Tensor], Iterable[Any]]


def _pairs(params: Parameters) -> list[tuple[Optional[str], torch.Tensor]]:
    if isinstance(params, dict):
        pairs = sorted(params.items())
    elif isinstance(params, (str, bytes, torch.Tensor)) or not isinstance(params, Iterable):
        raise ValueError(f"invalid params of type: {type(params)}")
    else:
        pairs = [one if isinstance(one, tuple) else (None, one) for one in params]
    for name, tensor in pairs:
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"'{name}' of params is a {type(tensor).__name__}, not a tensor")
    return pairs


def broadcast_parameters(
    params: Parameters, root_rank: int, process_set: ProcessSet = global_process_set
) -> None:
    """Copies the root's tensors into those of all ranks, in place.

    ``params``: usually ``model.state_dict()`` or ``model.named_parameters()``; a dict, or tensors
    or pairs of name and tensor. ``root_rank``: a global rank. ``ValueError`` for anything else.
    """
    started = []
    for name, tensor in _pairs(params):
        own = tensor.detach()
        sent = own if own.is_contiguous() else own.contiguous()
        started.append((broadcast_async_(sent, root_rank, name, process_set), own, sent))
    error: Optional[Exception] = None
    for handle, own, sent in started:
        try:
            synchronize(handle)
            if sent is not own:
                own.copy_(sent)
        except Exception as failed:
            error = error or failed
    if error is not None:
        raise error


def broadcast_object(
    obj: Any,
    root_rank: int = 0,
    name: Optional[str] = None,
    process_set: ProcessSet = global_process_set,
) -> Any:
    """The root's object, pickled and copied to all ranks; what others pass does not matter."""
    name = name or "broadcast_object"
    is_root = _core.rank() == root_rank
    data = torch.frombuffer(bytearray(_pickle.dumps(obj)), dtype=torch.uint8) if is_root else None
    length = torch.tensor([0 if data is None else len(data)])
    broadcast_(length, root_rank, name + ".length", process_set)
    if data is None:
        data = torch.empty(int(length), dtype=torch.uint8)
    broadcast_(data, root_rank, name + ".bytes", process_set)
    return obj if is_root else pickle.loads(data.numpy().tobytes())


def allgather_object(
    obj: Any, name: Optional[str] = None, process_set: ProcessSet = global_process_set
) -> list[Any]:
    """All ranks' objects, in order of rank."""
    data = torch.frombuffer(bytearray(_pickle.dumps(obj)), dtype=torch.uint8)
    pending = allgather_pending([data], name or "allgather_object", process_set, False)
    gathered: torch.Tensor = synchronize(register(pending))
    parts = torch.split(gathered, list(pending.rows[0]))
    return [pickle.loads(part.numpy().tobytes()) for part in parts]


# ---- an optimizer's state ------------------------------------------------------------------------


class _Tensor(NamedTuple):
    """Stands for a tensor in what the root tells of its state."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def _told(optimizer: torch.optim.Optimizer) -> Any:
    """Options of the groups, and the state of each parameter, with tensors only named."""
    options = [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    states = [
        {
            key: _Tensor(value.dtype, tuple(value.shape)) if torch.is_tensor(value) else value
            for key, value in optimizer.state.get(parameter, {}).items()
        }
        for parameter in _parameters(optimizer)
    ]
    return options, states


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _take_over(optimizer: torch.optim.Optimizer, options: Any, states: Any) -> None:
    """Makes this rank's state of the root's form; tensors are yet to be filled."""
    parameters = _parameters(optimizer)
    if len(options) != len(optimizer.param_groups) or len(states) != len(parameters):
        raise ValueError(
            f"the root's optimizer has {len(options)} groups of {len(states)} parameters, this one "
            f"{len(optimizer.param_groups)} of {len(parameters)}"
        )
    for group, values in zip(optimizer.param_groups, options):
        for key, value in values.items():
            group[key] = value
    for parameter, told in zip(parameters, states):
        if not told:
            optimizer.state.pop(parameter, None)
            continue
        state = optimizer.state[parameter]
        for key in [key for key in state if key not in told]:
            del state[key]
        for key, value in told.items():
            mine = state.get(key)
            if not isinstance(value, _Tensor):
                state[key] = value
            elif not (
                torch.is_tensor(mine)
                and (mine.dtype, tuple(mine.shape)) == (value.dtype, value.shape)
            ):
                state[key] = torch.empty(value.shape, dtype=value.dtype)


def broadcast_optimizer_state(
    optimizer: torch.optim.Optimizer,
    root_rank: int,
    model: Optional[torch.nn.Module] = None,
    process_set: ProcessSet = global_process_set,
) -> None:
    """Copies the root's options (learning rate, ...) and state (momentum, ...) to all ranks.

    Others need not have any state yet, and no step is made to get it. ``model`` is not needed.
    ``ValueError`` for L-BFGS, and where the root's optimizer has other parameters.
    """
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("cannot broadcast torch.optim.LBFGS state")
    is_root = _core.rank() == root_rank
    told = broadcast_object(
        _told(optimizer) if is_root else None, root_rank, "optimizer.state", process_set
    )
    if not is_root:
        _take_over(optimizer, *told)
    tensors = [
        (f"optimizer.state.{i}.{key}", value)
        for i, parameter in enumerate(_parameters(optimizer))
        for key, value in sorted(optimizer.state.get(parameter, {}).items())
        if torch.is_tensor(value)
    ]
    broadcast_parameters(tensors, root_rank, process_set)
