"""Numpy arrays that an asynchronous operation reads or writes are read-only until it is done.

So an assignment to a tensor in flight is numpy's ``ValueError`` and no wrong result. That covers
the array that was passed where the memory is its own; views that exist already are not watched (a
view made meanwhile is read-only for good, as numpy has it).
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Dict, List, Tuple


class Guard:
    """Which arrays are held by which operations."""

    __slots__ = ("_counts", "_lock", "held")

    def __init__(self) -> None:
        self.held: Dict[int, List[Any]] = {}
        self._counts: Dict[int, int] = {}
        self._lock = threading.Lock()

    def hold(self, number: int, tensors: Tuple[Any, ...]) -> None:
        """For the operation of that handle, those of the tensors that can be held."""
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return
        array_type = numpy.ndarray
        with self._lock:
            held: List[Any] = []
            for tensor in tensors:
                if type(tensor) is not array_type or type(tensor.base) is array_type:
                    continue
                if any(tensor is other for other in held):
                    continue
                count = self._counts.get(id(tensor), 0)
                if not count:
                    if not tensor.flags.writeable:
                        continue
                    tensor.flags.writeable = False
                self._counts[id(tensor)] = count + 1
                held.append(tensor)
            if held:
                self.held[number] = held

    def holds(self, tensor: Any) -> bool:
        """Whether an operation is using it: then its being read-only is ours."""
        return id(tensor) in self._counts

    def release(self, number: int) -> None:
        """The operation is done."""
        with self._lock:
            for tensor in self.held.pop(number, ()):
                count = self._counts[id(tensor)] - 1
                if count:
                    self._counts[id(tensor)] = count
                else:
                    del self._counts[id(tensor)]
                    tensor.flags.writeable = True

    def release_all(self) -> None:
        """Nothing is in flight any more."""
        for number in list(self.held):
            self.release(number)
