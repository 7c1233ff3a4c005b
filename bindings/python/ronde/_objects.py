"""Any object that pickle takes, between ranks. (Unpickling runs code: of ranks of one's own
job.)"""

from __future__ import annotations

import pickle
from typing import Any, List, Optional

from . import _arrays
from ._buffers import view
from ._moves import Moves
from ._types import DType


def _named(name: Optional[str], part: str) -> Optional[str]:
    return None if name is None else f"{name}.{part}"


class Objects(Moves):
    """broadcast_object and allgather_object."""

    def broadcast_object(
        self, obj: Any, root: int, *, name: Optional[str] = None, process_set: Any = 0
    ) -> Any:
        """The object of the rank ``root``, on every rank (a copy, on the root itself the
        object)."""
        is_root = self.library is not None and self.rank() == root
        data = bytearray(pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)) if is_root else bytearray()
        length = self.broadcast(
            len(data), root, name=_named(name, "length"), process_set=process_set
        )
        if not is_root:
            data = bytearray(length)
        self.broadcast(data, root, name=_named(name, "bytes"), out=data, process_set=process_set)
        return obj if is_root else pickle.loads(data)

    def allgather_object(
        self, obj: Any, *, name: Optional[str] = None, process_set: Any = 0
    ) -> List[Any]:
        """Every rank's object, in order of rank, on every rank."""
        data = bytearray(pickle.dumps(obj, pickle.HIGHEST_PROTOCOL))
        handle = self.allgather_async(data, name=_named(name, "bytes"), process_set=process_set)
        whole = view(handle.wait(), dtype=DType.UINT8)
        objects, start = [], 0
        memory = memoryview(whole.owner) if _arrays.numpy is not None else whole.owner[0]
        for rows in handle.rows or []:
            objects.append(pickle.loads(memory[start : start + rows]))
            start += rows
        return objects

    def rank(self) -> int:
        """See :meth:`Context.rank`."""
        raise NotImplementedError
