"""Direct operations: blocking, over all ranks, without names and negotiation.

Every rank makes the same calls with the same arguments in the same order, one at a time; nothing
checks that. Small ones cost as little as shared memory does.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

from . import _arrays
from ._buffers import Buffer, row_of, view
from ._core import Core, int32, sizes
from ._types import Op, op_of
from .errors import ArgumentError


def _result(source: Buffer, result: Any, out: Any) -> Any:
    return _arrays.item(result) if source.scalar is not None and out is None else result


class Direct(Core):
    """direct_allreduce, direct_broadcast, direct_allgather."""

    def uninterrupted(self) -> Any:
        """See :meth:`Context.uninterrupted`."""
        raise NotImplementedError

    def direct_allreduce(
        self,
        tensor: Any,
        op: int = Op.AVERAGE,
        *,
        out: Any = None,
        dtype: Any = None,
        prescale: float = 1.0,
        postscale: float = 1.0,
    ) -> Any:
        """Every rank's tensor, combined by ``op`` (not Adasum, not weighted), to every rank."""
        pointer = self.require()
        source = view(tensor, False, dtype)
        address, result, _ = self._target(source, out, dtype)
        call = self._call(None, 0, prescale, postscale)
        op = op_of(op)
        with self.uninterrupted():
            self.check(
                self.library.ronde_direct_allreduce(
                    pointer, source.pointer, address, source.count, source.dtype, op, call
                )
            )
        return _result(source, result, out)

    def direct_broadcast(
        self, tensor: Any, root: int, *, out: Any = None, dtype: Any = None
    ) -> Any:
        """The tensor of the rank ``root``, on every rank."""
        pointer = self.require()
        source = view(tensor, False, dtype)
        root = int32(root, "the root")
        address, result, _ = self._target(source, out, dtype)
        with self.uninterrupted():
            self.check(
                self.library.ronde_direct_broadcast(
                    pointer, source.pointer, address, source.count, source.dtype, root, None
                )
            )
        return _result(source, result, out)

    def direct_allgather(
        self,
        tensor: Any,
        rows_by_rank: Optional[Sequence[int]] = None,
        *,
        out: Any = None,
        dtype: Any = None,
    ) -> Any:
        """The rows of all ranks' ``[rows, ...]`` in order of rank.

        ``rows_by_rank``: every rank's rows, the same on all; None where all have as many as this
        one.
        """
        pointer = self.require()
        source = view(tensor, False, dtype)
        rows, row = row_of(source.shape, "the tensor")
        ranks = self.library.ronde_size(pointer)
        counts = None if rows_by_rank is None else sizes(rows_by_rank, "rows_by_rank")
        if counts is not None and (
            len(counts) != ranks or counts[self.library.ronde_rank(pointer)] != rows
        ):
            raise ArgumentError(
                f"rows_by_rank is {list(counts)}: it wants {ranks} entries, of this rank {rows}"
            )
        shape = (rows * ranks if counts is None else sum(counts), *source.shape[1:])
        if out is None:
            out = _arrays.empty(shape, source.dtype, source.made_of)
        target = view(out, True, dtype)
        if target.dtype != source.dtype or target.shape != shape:
            raise ArgumentError(
                f"the output is {target}, but the result is {list(shape)} of {source}"
            )
        with self.uninterrupted():
            self.check(
                self.library.ronde_direct_allgather(
                    pointer, source.pointer, rows, row, source.dtype, target.pointer, counts, None
                )
            )
        return out
