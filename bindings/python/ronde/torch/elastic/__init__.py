"""State that survives a failed operation: commit, restore, synchronize; and a sampler to go with
it.

There is no supervisor that replaces workers. What works without one: an operation fails on all
ranks while all of them live (a mismatch, a stalled tensor), and training goes on from the last
commit. A rank that is lost ends the job's operations for good: ``run`` restores the commit, so that
the caller can save it, and raises.
"""

from __future__ import annotations

from .._errors import HorovodInternalError, HostsUpdatedInterrupt
from .run import run
from .sampler import ElasticSampler
from .state import ObjectState, State, TorchState

__all__ = [
    "ElasticSampler",
    "HorovodInternalError",
    "HostsUpdatedInterrupt",
    "ObjectState",
    "State",
    "TorchState",
    "run",
]
