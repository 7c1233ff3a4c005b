"""Operations that combine the tensors of all ranks element by element."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_uint64
from typing import Any, List, Optional, Sequence, Tuple

from . import _arrays
from ._buffers import Buffer, row_of, view
from ._core import Name, int32, name_bytes
from ._handles import Handle, SparseHandle
from ._sets import ProcessSets
from ._types import DType, Op, op_of
from .errors import ArgumentError, RondeError, fail

_indices_type = ctypes.POINTER(c_int64)


class Reductions(ProcessSets):
    """allreduce, reduce, reducescatter and sparse allreduce.

    A *tensor* is a numpy array or anything else that :func:`ronde._buffers.view` takes, contiguous,
    of one of the thirteen types. Common to all:

    - ``op``: :class:`~ronde.Op`; :data:`ronde.Average` if not said, as in Horovod.
    - ``name``: ranks match operations by kind and name; None: by a counter per kind.
    - ``out``: where the result goes, of the result's shape and type; may be the tensor itself.
      None: a new numpy array, or one of Python's numbers where the tensor is one.
    - ``dtype``: what the elements are, where the tensor cannot say (``bfloat16`` in 16-bit words).
    - ``prescale``, ``postscale``: factors of each contribution, and of the result.
    - ``weight``: of this rank, in a weighted average. ``divide``: what an average divides by while
      ranks have joined.
    - ``process_set``: in which to match; 0 or None is all ranks. ``group``: of
      :meth:`Context.group`.
    - ``wire``: :class:`~ronde.Wire`; float32 may cross the network as halves.
    - ``deadline``: seconds after which the operation fails everywhere if a rank has not submitted
      it.

    Raises :class:`ArgumentError` at once, and from the wait :class:`MismatchError` where ranks
    disagree about shape, dtype, op or scales, :class:`StalledError`, :class:`PeerLostError`.
    """

    def _allreduce(
        self,
        tensor: Any,
        op: int,
        name: Name,
        out: Any,
        dtype: Any,
        prescale: float,
        postscale: float,
        weight: float,
        divide: int,
        process_set: Any,
        deadline: float,
        group: Any,
        wire: int,
    ) -> Tuple[int, Buffer, Any]:
        if self.pointer is None:
            raise self._closed()
        try:
            source = view(tensor, False, dtype)
            if out is tensor and source.writable and not self.guard.held:
                address, result, keep = source.pointer, out, None
            else:
                address, result, keep = self._target(source, out, dtype)
            call = None  # most say nothing, which costs 1 us less to know here
            if (
                len(source.shape) != 1 or process_set or group or deadline or divide or wire
                or prescale != 1.0 or postscale != 1.0 or weight != 1.0
            ):  # fmt: skip
                call = self._call(
                    source.shape if len(source.shape) != 1 else None,
                    process_set, prescale, postscale, divide, weight, deadline, group, wire,
                )  # fmt: skip
            text = name if name is None else name_bytes(name)
            if op.__class__ is not Op:
                op = op_of(op)
        except ArgumentError as error:
            raise self._refused("allreduce", name, process_set, group, error) from None
        if self.dropped:
            self._sweep()
        handle = c_uint64()
        status = self.library.ronde_allreduce_async(
            self.pointer,
            text,
            source.pointer,
            address,
            source.count,
            source.dtype,
            op,
            call,
            handle,
        )
        if status < 0:
            fail(status)
        number = handle.value
        if call is None:
            self.kept[number] = (source.owner, keep)
        else:
            self._keep(number, call, (source.owner, keep))
        return number, source, result

    def allreduce(
        self,
        tensor: Any,
        op: int = Op.AVERAGE,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        prescale: float = 1.0,
        postscale: float = 1.0,
        weight: float = 1.0,
        divide: int = 0,
        process_set: Any = 0,
        deadline: float = 0.0,
        wire: int = 0,
    ) -> Any:
        """Every rank's tensor, combined by ``op``, to every rank; all of one shape."""
        number, source, result = self._allreduce(
            tensor, op, name, out, dtype, prescale, postscale, weight, divide, process_set,
            deadline, 0, wire,
        )  # fmt: skip
        return self._finish(number, source, result, out, name)

    def allreduce_async(
        self,
        tensor: Any,
        op: int = Op.AVERAGE,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        prescale: float = 1.0,
        postscale: float = 1.0,
        weight: float = 1.0,
        divide: int = 0,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
        wire: int = 0,
    ) -> Handle:
        """Submits an :meth:`allreduce`. The tensor is the library's until the handle is done."""
        number, source, result = self._allreduce(
            tensor, op, name, out, dtype, prescale, postscale, weight, divide, process_set,
            deadline, group, wire,
        )  # fmt: skip
        self.guard.hold(number, (tensor, result))
        return self._handle_of(source, number, result, out, name)

    def grouped_allreduce_async(
        self,
        tensors: Sequence[Any],
        op: int = Op.AVERAGE,
        *,
        name: Optional[str] = None,
        outs: Optional[Sequence[Any]] = None,
        **options: Any,
    ) -> List[Handle]:
        """Submits allreduces that complete together or not at all: tensor i is called
        ``name.i``."""
        tensors = list(tensors)
        places = [None] * len(tensors) if outs is None else list(outs)
        if len(places) != len(tensors):
            raise ArgumentError(f"{len(tensors)} tensors, but {len(places)} outputs")
        handles: List[Handle] = []
        refused: Optional[RondeError] = None
        with self.group() as group:
            for i, (tensor, place) in enumerate(zip(tensors, places)):
                called = name and f"{name}.{i}"
                try:  # those behind one that is refused draw their numbers, too
                    handles.append(
                        self.allreduce_async(
                            tensor, op, name=called, out=place, group=group, **options
                        )
                    )
                except RondeError as error:
                    refused = refused or error
            if refused is not None:
                raise refused
        return handles

    def grouped_allreduce(
        self, tensors: Sequence[Any], op: int = Op.AVERAGE, **options: Any
    ) -> List[Any]:
        """The results of :meth:`grouped_allreduce_async`."""
        return [handle.wait() for handle in self.grouped_allreduce_async(tensors, op, **options)]

    def reduce_async(
        self,
        tensor: Any,
        root: int,
        op: int = Op.AVERAGE,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        prescale: float = 1.0,
        postscale: float = 1.0,
        weight: float = 1.0,
        divide: int = 0,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
        wire: int = 0,
    ) -> Handle:
        """Submits a :meth:`reduce`."""
        pointer = self.require()
        try:
            source = view(tensor, False, dtype)
            root = int32(root, "the root")
            address, result, keep = None, None, None
            if root == self.library.ronde_rank(pointer):
                address, result, keep = self._target(source, out, dtype)
            call = self._call(
                source.shape if len(source.shape) != 1 else None,
                process_set, prescale, postscale, divide, weight, deadline, group, wire,
            )  # fmt: skip
            text = name_bytes(name)
            op = op_of(op)
        except ArgumentError as error:
            raise self._refused("reduce", name, process_set, group, error) from None
        number = self._submit(
            self.library.ronde_reduce_async,
            (text, source.pointer, address, source.count, source.dtype, op, root),
            call,
            (source.owner, keep),
        )
        handle = self._handle_of(source, number, result, out if address is not None else 0, name)
        self.guard.hold(number, (tensor, result))
        return handle

    def reduce(self, tensor: Any, root: int, op: int = Op.AVERAGE, **options: Any) -> Any:
        """Every rank's tensor, combined by ``op``, to the rank ``root``; None elsewhere.

        The same bits as of an :meth:`allreduce`; its options.
        """
        return self.reduce_async(tensor, root, op, **options).wait()

    def reducescatter_async(
        self,
        tensor: Any,
        op: int = Op.AVERAGE,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        prescale: float = 1.0,
        postscale: float = 1.0,
        weight: float = 1.0,
        divide: int = 0,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
        wire: int = 0,
    ) -> Handle:
        """Submits a :meth:`reducescatter`."""
        pointer = self.require()
        try:
            source = view(tensor, False, dtype)
            rows, row = row_of(source.shape, "the tensor")
            call = self._call(
                source.shape,
                process_set,
                prescale,
                postscale,
                divide,
                weight,
                deadline,
                group,
                wire,
            )
            text = name_bytes(name)
            op = op_of(op)
            assert call is not None
            ranks = self.library.ronde_process_set_size(pointer, call.process_set)
            me = self.library.ronde_process_set_rank(pointer, call.process_set)
            share = self.library.ronde_share_rows(rows, ranks, me)
            shape = (share, *source.shape[1:])
            if out is None:
                out = _arrays.empty(shape, source.dtype, source.made_of)
            target = view(out, True, dtype if source.dtype != DType.BFLOAT16 else source.dtype)
            if (
                target.dtype != source.dtype
                or target.shape[1:] != source.shape[1:]
                or not target.shape
            ):
                raise ArgumentError(f"the output is {target}, but the rows are of {source}")
        except ArgumentError as error:
            raise self._refused("reducescatter", name, process_set, group, error) from None
        in_place = target.pointer == source.pointer
        number = self._submit(
            self.library.ronde_reducescatter_async,
            (text, source.pointer, rows, row, source.dtype, op, target.pointer, target.shape[0]),
            call,
            (source.owner, target.owner),
        )
        result = out[:share] if in_place or target.shape[0] != share else out
        handle = Handle(self, number, result, name if isinstance(name, str) else None)
        self.guard.hold(number, (tensor, out))
        return handle

    def reducescatter(self, tensor: Any, op: int = Op.AVERAGE, **options: Any) -> Any:
        """Every rank's tensor ``[rows, ...]``, combined by ``op``; each rank gets its share of the
        rows.

        The first ``rows % ranks`` ranks get one row more than the others. ``out`` has room for the
        share or more; the tensor itself works: the share is written to its beginning.
        """
        return self.reducescatter_async(tensor, op, **options).wait()

    def sparse_allreduce_async(
        self,
        indices: Any,
        values: Any,
        op: int = Op.AVERAGE,
        *,
        name: Name = None,
        dtype: Any = None,
        prescale: float = 1.0,
        postscale: float = 1.0,
        divide: int = 0,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
    ) -> Handle:
        """Submits a :meth:`sparse_allreduce`."""
        self.require()
        try:
            where = view(indices)
            source = view(values, False, dtype)
            rows, row = row_of(source.shape, "values")
            if where.dtype != DType.INT64 or where.shape != (rows,):
                raise ArgumentError(f"the indices are {where}, but {rows} rows want int64 [{rows}]")
            call = self._call(
                source.shape, process_set, prescale, postscale, divide, 1.0, deadline, group
            )
            text = name_bytes(name)
            op = op_of(op)
        except ArgumentError as error:
            raise self._refused("sparse_allreduce", name, process_set, group, error) from None
        places = ctypes.cast(where.pointer, _indices_type) if rows else None
        number = self._submit(
            self.library.ronde_sparse_allreduce_async,
            (text, places, source.pointer, rows, row, source.dtype, op),
            call,
            (where.owner, source.owner),
        )
        self.guard.hold(number, (indices, values))
        label = name if isinstance(name, str) else None
        return SparseHandle(self, number, label, source.shape[1:], source.dtype, source.made_of)

    def sparse_allreduce(
        self, indices: Any, values: Any, op: int = Op.AVERAGE, **options: Any
    ) -> Tuple[Any, Any]:
        """Rows of a sparse tensor: row i of ``values [rows, ...]`` belongs at ``indices[i]``
        (int64).

        All ranks get ``(indices, values)`` of all rows, those of one index combined by ``op`` in
        order of rank, sorted by index. ``rows`` may differ by rank. Any op but Adasum and the
        weighted average.
        """
        result: Tuple[Any, Any] = self.sparse_allreduce_async(indices, values, op, **options).wait()
        return result
