"""Operations that move tensors between ranks, and those that only meet."""

from __future__ import annotations

from ctypes import c_int32, c_size_t
from typing import Any, List, Optional, Sequence, Tuple

from ._buffers import Buffer, row_of, view
from ._core import Core, Name, int32, name_bytes, sizes
from ._handles import Handle, IntegerHandle, RowsHandle
from ._types import DType, dtype_of
from .errors import ArgumentError


class Moves(Core):
    """broadcast, allgather, gather, scatter, alltoall, send, recv, barrier and join.

    Options as of :class:`~ronde._reductions.Reductions`. Where the number of rows that come is
    known only at the end, ``out`` is room for them (the result is the part that was filled), or
    None: then the library makes the result, which is copied into a new numpy array.
    """

    # ---- broadcast -------------------------------------------------------------------------------

    def broadcast_async(
        self,
        tensor: Any,
        root: int,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
    ) -> Handle:
        """Submits a :meth:`broadcast`."""
        pointer = self.require()
        try:
            source = view(tensor, False, dtype)
            root = int32(root, "the root")
            address, result, keep = self._target(source, out, dtype)
            call = self._call(
                source.shape if len(source.shape) != 1 else None,
                process_set, deadline=deadline, group=group,
            )  # fmt: skip
            text = name_bytes(name)
        except ArgumentError as error:
            raise self._refused("broadcast", name, process_set, group, error) from None
        is_root = self.library.ronde_rank(pointer) == root
        number = self._submit(
            self.library.ronde_broadcast_async,
            (text, source.pointer if is_root else None, address, source.count, source.dtype, root),
            call,
            (source.owner, keep),
        )
        handle = self._handle_of(source, number, result, out, name)
        self.guard.hold(number, (tensor, result))
        return handle

    def broadcast(self, tensor: Any, root: int, **options: Any) -> Any:
        """The tensor of the rank ``root`` (a global rank), on every rank.

        Elsewhere ``tensor`` tells shape and dtype only, unless it is ``out`` too (in place).
        """
        return self.broadcast_async(tensor, root, **options).wait()

    # ---- by rows ---------------------------------------------------------------------------------

    def _room(self, source: Buffer, out: Any, dtype: Any) -> Tuple[Optional[int], int, Any]:
        """(address, rows, what to keep) of the caller's place for rows like the source's."""
        if out is None:
            return None, 0, None
        target = view(out, True, dtype if source.dtype != DType.BFLOAT16 else source.dtype)
        if target.dtype != source.dtype or not target.shape or target.shape[1:] != source.shape[1:]:
            raise ArgumentError(f"the output is {target}, but the rows are of {source}")
        return target.pointer or None, target.shape[0], target.owner

    def _ranks(self, call: Any) -> int:
        """How many ranks the call's process set has; 1 where there is no such set."""
        process_set = call.process_set if call is not None else 0
        ranks: int = self.library.ronde_process_set_size(self.pointer, process_set)
        return max(1, ranks)

    def _splits(self, splits: Any, what: str, call: Any) -> Any:
        if splits is None:
            return None
        array, ranks = sizes(splits, what), self._ranks(call)
        if len(array) != ranks:
            raise ArgumentError(f"{what} has {len(array)} entries, but the set has {ranks} ranks")
        return array

    def allgather_async(
        self,
        tensor: Any,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
    ) -> RowsHandle:
        """Submits an :meth:`allgather`. The handle's ``rows`` are the rows of each rank."""
        self.require()
        try:
            source = view(tensor, False, dtype)
            rows, row = row_of(source.shape, "the tensor")
            call = self._call(source.shape, process_set, deadline=deadline, group=group)
            address, room, keep = self._room(source, out, dtype)
            text = name_bytes(name)
        except ArgumentError as error:
            raise self._refused("allgather", name, process_set, group, error) from None
        counts = (c_size_t * self._ranks(call))()
        number = self._submit(
            self.library.ronde_allgather_async,
            (text, source.pointer, rows, row, source.dtype, address, room, counts),
            call,
            (source.owner, keep, counts),
        )
        return self._rows_handle(number, source, out, counts, name, tensor, address)

    def _rows_handle(
        self,
        number: int,
        source: Buffer,
        out: Any,
        counts: Any,
        name: Name,
        tensor: Any,
        address: Optional[int],
        pairs: bool = False,
    ) -> RowsHandle:
        self.guard.hold(number, (tensor, out))
        label = name if isinstance(name, str) else None
        row, made = source.shape[1:], address is None and out is None
        return RowsHandle(
            self, number, out, label, row, source.dtype, source.made_of, counts, made, pairs
        )

    def allgather(self, tensor: Any, **options: Any) -> Any:
        """The rows of all ranks' ``[rows, ...]``, one after the other in order of rank.

        ``rows`` may differ by rank. In place: the tensor is this rank's part of ``out``.
        """
        return self.allgather_async(tensor, **options).wait()

    def gather_async(
        self,
        tensor: Any,
        root: int,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
    ) -> Handle:
        """Submits a :meth:`gather`."""
        pointer = self.require()
        try:
            source = view(tensor, False, dtype)
            rows, row = row_of(source.shape, "the tensor")
            root = int32(root, "the root")
            is_root = self.library.ronde_rank(pointer) == root
            call = self._call(source.shape, process_set, deadline=deadline, group=group)
            address, room, keep = self._room(source, out if is_root else None, dtype)
            text = name_bytes(name)
        except ArgumentError as error:
            raise self._refused("gather", name, process_set, group, error) from None
        counts = (c_size_t * self._ranks(call))() if is_root else None
        number = self._submit(
            self.library.ronde_gather_async,
            (text, source.pointer, rows, row, source.dtype, address, room, counts, root),
            call,
            (source.owner, keep, counts),
        )
        if not is_root:
            self.guard.hold(number, (tensor,))
            return Handle(self, number, None, name if isinstance(name, str) else None)
        return self._rows_handle(number, source, out, counts, name, tensor, address)

    def gather(self, tensor: Any, root: int, **options: Any) -> Any:
        """As an :meth:`allgather`, but to the rank ``root`` alone; None elsewhere."""
        return self.gather_async(tensor, root, **options).wait()

    def scatter_async(
        self,
        tensor: Any,
        root: int,
        *,
        splits: Optional[Sequence[int]] = None,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        row_shape: Sequence[int] = (),
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
    ) -> RowsHandle:
        """Submits a :meth:`scatter`."""
        pointer = self.require()
        try:
            root = int32(root, "the root")
            is_root = self.library.ronde_rank(pointer) == root
            source = self._scattered(tensor, out, is_root, dtype, row_shape)
            rows, row = row_of(source.shape, "the tensor")
            call = self._call(source.shape, process_set, deadline=deadline, group=group)
            parts = self._splits(splits, "splits", call) if is_root else None
            address, room, keep = self._room(source, out, dtype)
            text = name_bytes(name)
        except ArgumentError as error:
            raise self._refused("scatter", name, process_set, group, error) from None
        counts = (c_size_t * 1)()
        number = self._submit(
            self.library.ronde_scatter_async,
            (text, source.pointer, parts, rows, row, source.dtype, address, room, counts, root),
            call,
            (source.owner, keep, counts),
        )
        return self._rows_handle(number, source, out, counts, name, tensor, address)

    @staticmethod
    def _scattered(
        tensor: Any, out: Any, is_root: bool, dtype: Any, row_shape: Sequence[int]
    ) -> Buffer:
        """The root's rows; elsewhere whatever tells the rows' shape and type."""
        if tensor is not None:
            return view(tensor, False, dtype)
        if is_root:
            raise ArgumentError("the root's tensor is None, but its rows are what is dealt out")
        if out is not None:
            return view(out, True, dtype)
        if dtype is None:
            raise ArgumentError(
                "tensor and out are None: pass dtype and row_shape of the rows that come"
            )
        row = tuple(int(length) for length in row_shape)
        return Buffer(0, (0, *row), dtype_of(dtype), None)

    def scatter(self, tensor: Any, root: int, **options: Any) -> Any:
        """Deals out the rows of the root's ``[rows, ...]``: ``splits[r]`` of them to rank r of the
        set, or shares as of a :meth:`reducescatter`.

        Elsewhere ``tensor`` may be None; then ``out``, or ``dtype`` and ``row_shape``, tell what
        comes.
        """
        return self.scatter_async(tensor, root, **options).wait()

    def alltoall_async(
        self,
        tensor: Any,
        splits: Optional[Sequence[int]] = None,
        *,
        name: Name = None,
        out: Any = None,
        dtype: Any = None,
        process_set: Any = 0,
        deadline: float = 0.0,
        group: Any = 0,
    ) -> RowsHandle:
        """Submits an :meth:`alltoall`."""
        self.require()
        try:
            source = view(tensor, False, dtype)
            rows, row = row_of(source.shape, "the tensor")
            call = self._call(source.shape, process_set, deadline=deadline, group=group)
            parts = self._splits(splits, "splits", call)
            address, room, keep = self._room(source, out, dtype)
            text = name_bytes(name)
        except ArgumentError as error:
            raise self._refused("alltoall", name, process_set, group, error) from None
        counts = (c_size_t * self._ranks(call))()
        number = self._submit(
            self.library.ronde_alltoall_async,
            (text, source.pointer, parts, rows, row, source.dtype, address, room, counts),
            call,
            (source.owner, keep, counts),
        )
        return self._rows_handle(number, source, out, counts, name, tensor, address, pairs=True)

    def alltoall(
        self, tensor: Any, splits: Optional[Sequence[int]] = None, **options: Any
    ) -> Tuple[Any, List[int]]:
        """Sends the first ``splits[0]`` rows to rank 0 of the set, the next ``splits[1]`` to rank
        1, ...

        ``splits`` None (on all ranks): even, and the rows must divide. Returns ``(tensor,
        received)``: the rows that came, by rank of origin, and how many from each. Not in place.
        """
        result: Tuple[Any, List[int]] = self.alltoall_async(tensor, splits, **options).wait()
        return result

    # ---- pairs -----------------------------------------------------------------------------------

    def send_async(
        self,
        tensor: Any,
        to: int,
        *,
        name: Name = None,
        dtype: Any = None,
        process_set: Any = 0,
        deadline: float = 0.0,
    ) -> Handle:
        """Submits a :meth:`send`."""
        return self._pair("send", tensor, to, name, dtype, process_set, deadline)

    def send(self, tensor: Any, to: int, **options: Any) -> None:
        """One tensor to the rank ``to``, which receives it by the same name. Both tell shape and
        dtype."""
        self.send_async(tensor, to, **options).wait()

    def recv_async(
        self,
        out: Any,
        source: int,
        *,
        name: Name = None,
        dtype: Any = None,
        process_set: Any = 0,
        deadline: float = 0.0,
    ) -> Handle:
        """Submits a :meth:`recv`."""
        return self._pair("recv", out, source, name, dtype, process_set, deadline)

    def recv(self, out: Any, source: int, **options: Any) -> Any:
        """Receives what the rank ``source`` sends by this name into ``out``, and returns that."""
        return self.recv_async(out, source, **options).wait()

    def _pair(
        self,
        kind: str,
        tensor: Any,
        peer: Any,
        name: Name,
        dtype: Any,
        process_set: Any,
        deadline: float,
    ) -> Handle:
        self.require()
        receives, number = kind == "recv", 0
        try:
            peer = number = int32(peer, "the other rank")
            buffer = view(tensor, receives, dtype)
            shape = buffer.shape if len(buffer.shape) != 1 else None
            call = self._call(shape, process_set, deadline=deadline)
            text = name_bytes(name)
        except ArgumentError as error:
            raise self._refused(kind, name, process_set, 0, error, number) from None
        number = self._submit(
            self.library.ronde_recv_async if receives else self.library.ronde_send_async,
            (text, buffer.pointer, buffer.count, buffer.dtype, peer),
            call,
            (buffer.owner,),
        )
        self.guard.hold(number, (tensor,))
        result = tensor if receives else None
        return Handle(self, number, result, name if isinstance(name, str) else None)

    # ---- meetings --------------------------------------------------------------------------------

    def barrier_async(
        self, *, name: Name = None, process_set: Any = 0, deadline: float = 0.0
    ) -> Handle:
        """Submits a :meth:`barrier`. Several may be outstanding."""
        self.require()
        call = self._call(None, process_set, deadline=deadline)
        number = self._submit(self.library.ronde_barrier_async, (name_bytes(name),), call, None)
        return Handle(self, number, None, name if isinstance(name, str) else None)

    def barrier(self, *, name: Name = None, process_set: Any = 0, deadline: float = 0.0) -> None:
        """Returns when all ranks of the set have come here."""
        self.barrier_async(name=name, process_set=process_set, deadline=deadline).wait()

    def join_async(self, *, process_set: Any = 0) -> Handle:
        """Submits a :meth:`join`."""
        self.require()
        call = self._call(None, process_set)
        last = c_int32()
        number = self._submit(self.library.ronde_join_async, (last,), call, last)
        return IntegerHandle(self, number, last)

    def join(self, *, process_set: Any = 0) -> int:
        """This rank has no more data: until all have joined, it contributes nothing to what the
        others submit (they average over those that contribute). Returns the rank that joined
        last."""
        last: int = self.join_async(process_set=process_set).wait()
        return last
