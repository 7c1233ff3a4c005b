"""``DistributedOptimizer``: checks what a script asks for, and makes the optimizer."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any, Optional, Union

import torch

from .._types import Op
from . import _core
from ._adasum import AdasumOptimizer
from ._averaging import AveragingOptimizer
from ._hooked import HookedOptimizer
from ._process_sets import ProcessSet, global_process_set
from .compression import Compression, Compressor
from .functions import broadcast_object

Groups = Union[int, list[list[torch.Tensor]], None]


def _names(
    optimizer: torch.optim.Optimizer,
    named_parameters: Optional[Iterable[tuple[str, torch.Tensor]]],
) -> dict[int, str]:
    """id of a parameter: its name."""
    if named_parameters is None:
        return {}
    pairs = list(named_parameters)
    if any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
        raise ValueError(
            "named_parameters should be a sequence of tuples (name, parameter), usually produced "
            "by model.named_parameters()"
        )
    names = [name for name, _ in pairs]
    duplicates = sorted(name for name, times in Counter(names).items() if times > 1)
    if duplicates:
        raise ValueError(
            "parameter names in named_parameters must be unique; found duplicates: "
            + ", ".join(duplicates)
        )
    named = {id(parameter): name for name, parameter in pairs}
    unnamed = [
        f"number {j} of parameter group {i}"
        for i, group in enumerate(optimizer.param_groups)
        for j, parameter in enumerate(group["params"])
        if id(parameter) not in named
    ]
    if unnamed:
        raise ValueError(
            "named_parameters was specified, but one or more of the optimizer's parameters were "
            f"not named: {', '.join(unnamed)}"
        )
    return named


def _check_groups(groups: Groups) -> None:
    wrong = "groups should be a positive integer or a list of lists of torch.Tensor"
    if groups is None:
        return
    if isinstance(groups, bool) or not isinstance(groups, (int, list)):
        raise ValueError(f"{wrong}, not {groups!r}")
    if isinstance(groups, int):
        if groups <= 0:
            raise ValueError(f"{wrong}, not {groups}")
        return
    seen: set[int] = set()
    for members in groups:
        for parameter in members:
            if not isinstance(parameter, torch.Tensor):
                raise ValueError(f"{wrong}: found a {type(parameter).__name__}")
            if id(parameter) in seen:
                raise ValueError("a parameter can only appear once in groups")
            seen.add(id(parameter))


def _grouped(optimizer: HookedOptimizer, groups: Groups) -> Optional[list[list[torch.Tensor]]]:
    """The groups as lists, the same on all ranks: in the order that the first rank has."""
    if groups is None or not optimizer._distributed:
        return None
    if isinstance(groups, list):
        return groups
    by_name = {slot.name: slot.parameter for slot in optimizer._slots}
    ranks = optimizer.process_set.ranks or [0]
    order = broadcast_object(
        list(by_name), ranks[0], "optimizer.groups", process_set=optimizer.process_set
    )
    if sorted(order) != sorted(by_name):
        raise ValueError(
            f"rank {ranks[0]} has other parameters than this one: groups need the same"
        )
    share, more = divmod(len(order), groups)
    ends = [i * share + min(i, more) for i in range(groups + 1)]
    parts = [order[ends[i] : ends[i + 1]] for i in range(groups)]
    return [[by_name[name] for name in part] for part in parts if part]


def _derived(optimizer: torch.optim.Optimizer, kind: type[HookedOptimizer]) -> Any:
    """The optimizer again, as an instance of a class derived from ``kind`` and its own. It shares
    groups and state with the original; a scheduler that was made before goes on with both."""
    own = type(optimizer)
    namespace = {"__module__": kind.__module__, "__doc__": own.__doc__}
    made: Any = type(own.__name__, (kind, own), namespace)
    derived = made.__new__(made)
    # A scheduler leaves a wrapped step in the instance, which would hide ours.
    derived.__dict__.update({k: v for k, v in vars(optimizer).items() if k != "step"})
    return derived


def DistributedOptimizer(
    optimizer: torch.optim.Optimizer,
    named_parameters: Optional[Iterable[tuple[str, torch.Tensor]]] = None,
    compression: type[Compressor] = Compression.none,
    backward_passes_per_step: int = 1,
    op: int = Op.AVERAGE,
    gradient_predivide_factor: float = 1.0,
    num_groups: int = 0,
    groups: Groups = None,
    sparse_as_dense: bool = False,
    process_set: ProcessSet = global_process_set,
    gradients_in_arena: bool = False,
) -> Any:
    """An optimizer of the same class that combines the ranks' gradients before it uses them.

    Each gradient is submitted as soon as ``loss.backward()`` has computed it; ``step()`` waits for
    all of them. To change gradients in between, call ``synchronize()`` and then
    ``with optimizer.skip_synchronize(): optimizer.step()``.

    Arguments:
        optimizer: a ``torch.optim.Optimizer``. The result shares its groups and state.
        named_parameters: usually ``model.named_parameters()``; names by which ranks meet. Without
            it parameters go by their position. ``ValueError`` for duplicates and for unnamed ones.
        compression: ``Compression.none``, ``.fp16`` or ``.bf16``.
        backward_passes_per_step: gradients of so many passes are added up before they are combined.
        op: ``Average``, ``Sum``, ``Min``, ``Max``, ``Product`` or ``Adasum``, which combines steps.
        gradient_predivide_factor: gradients are divided by it before the sum and multiplied after;
            only with ``Average``.
        num_groups: deprecated, use ``groups``.
        groups: how many groups to combine the gradients in, or lists of parameters; those in no
            list go alone. None: each alone (the library fuses them all the same).
        sparse_as_dense: combine sparse gradients as dense ones.
        process_set: ranks to combine among. Others step with their own gradients.
        gradients_in_arena: gradients live in the node's shared memory from now on: every ``.grad``
            is a view there, also after ``zero_grad(set_to_none=True)``, which zeroes it; combining
            copies nothing. Sparse gradients become dense. Not with ``Adasum``.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(f"a torch.optim.Optimizer is wanted, not {type(optimizer).__name__}")
    if isinstance(optimizer, HookedOptimizer):
        raise ValueError("the optimizer is a DistributedOptimizer already")
    op = Op(op)
    if gradient_predivide_factor != 1.0 and op != Op.AVERAGE:
        raise ValueError("gradient_predivide_factor not supported with op != Average")
    if num_groups != 0:
        warnings.warn("num_groups has been replaced by groups", DeprecationWarning, stacklevel=2)
        groups = num_groups if groups is None else groups
    if backward_passes_per_step <= 0:
        raise ValueError("backward_passes_per_step must be > 0")
    _check_groups(groups)
    names = _names(optimizer, named_parameters)
    adasum = op == Op.ADASUM and _core.size() > 1
    if adasum and (gradients_in_arena or groups is not None):
        raise ValueError("op=Adasum goes neither with gradients_in_arena nor with groups")
    derived = _derived(optimizer, AdasumOptimizer if adasum else AveragingOptimizer)
    derived._begin(names, compression, backward_passes_per_step, process_set)
    if adasum:
        derived._open()
    else:
        lists = _grouped(derived, groups)
        derived._open(op, gradient_predivide_factor, lists, sparse_as_dense, gradients_in_arena)
    return derived
