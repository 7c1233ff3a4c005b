"""Any object that pickle takes, between ranks. (Unpickling runs code: of ranks of one's own
job.)"""

from __future__ import annotations

import pickle
from typing import Any, List, Optional, Tuple

from . import _arrays
from ._buffers import view
from ._moves import Moves
from ._types import DType
from .errors import ArgumentError


def _named(name: Optional[str], part: str) -> Optional[str]:
    return None if name is None else f"{name}.{part}"


def _pickled(obj: Any) -> Tuple[bool, bytearray]:
    """Whether it cannot be pickled, and the text of why; or the bytes."""
    try:
        return False, bytearray(pickle.dumps(obj, pickle.HIGHEST_PROTOCOL))
    except Exception as error:
        return True, bytearray(f"{type(error).__name__}: {error}".encode("utf-8", "replace"))


def _failure(rank: int, text: Any) -> ArgumentError:
    """The same on all ranks."""
    why = bytes(text).decode("utf-8", "replace")
    return ArgumentError(f"the object of rank {rank} cannot be pickled: {why}")


class Objects(Moves):
    """broadcast_object and allgather_object."""

    def broadcast_object(
        self, obj: Any, root: int, *, name: Optional[str] = None, process_set: Any = 0
    ) -> Any:
        """The object of the rank ``root``, on every rank (a copy, on the root itself the
        object)."""
        is_root = self.library is not None and self.rank() == root
        failed, data = _pickled(obj) if is_root else (False, bytearray())
        length = self.broadcast(
            -len(data) if failed else len(data),
            root,
            name=_named(name, "length"),
            process_set=process_set,
        )
        if not is_root:
            data = bytearray(abs(length))
        self.broadcast(data, root, name=_named(name, "bytes"), out=data, process_set=process_set)
        if length < 0:
            raise _failure(root, data)
        return obj if is_root else pickle.loads(data)

    def allgather_object(
        self, obj: Any, *, name: Optional[str] = None, process_set: Any = 0
    ) -> List[Any]:
        """Every rank's object, in order of rank, on every rank."""
        failed, data = _pickled(obj)
        data.append(failed)
        handle = self.allgather_async(data, name=_named(name, "bytes"), process_set=process_set)
        whole = view(handle.wait(), dtype=DType.UINT8)
        objects: List[Any] = []
        start = 0
        memory = memoryview(whole.owner) if _arrays.numpy is not None else whole.owner[0]
        for rows in handle.rows or []:
            piece = memory[start : start + rows]
            if piece[-1]:
                raise _failure(len(objects), piece[:-1])
            objects.append(pickle.loads(piece[:-1]))
            start += rows
        return objects

    def rank(self) -> int:
        """See :meth:`Context.rank`."""
        raise NotImplementedError
