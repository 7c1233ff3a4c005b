"""Gradients that are being combined: one slot for each parameter, and memory for them in the
arena."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

import torch

import ronde

from .._abi import Call
from . import _core, _rows
from ._dtypes import DTYPES
from .compression import Compressor

_ALIGNMENT_BYTES = 64  # of a cache line, and of what the library's kernels like best


class Group:
    """Parameters whose gradients are combined together or not at all."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.ready = 0


class Prepared(NamedTuple):
    """Of a gradient that can be combined where it is: the arguments that stay the same."""

    shape: torch.Size
    address: int  # in the arena; 0: wherever the gradient is
    name: bytes
    elements: int
    dtype: int
    call: Call
    handle: ctypes.c_uint64


class Slot:
    """A parameter's gradient, from the backward pass until it is combined.

    ``passes``: backward passes that are still to come; ``native``: the library's handle while it is
    under way, else 0; ``sent``: what is being combined, which is the gradient itself where it can
    be; ``place``: its memory in the arena, or None; ``prepared``: what a plain submission is made
    of.
    """

    __slots__ = (
        "context", "dimensions", "group", "name", "native", "parameter", "passes", "place",
        "prepared", "sent", "sparse",
    )  # fmt: skip

    def __init__(self, parameter: torch.Tensor, name: str) -> None:
        self.parameter = parameter
        self.name = name
        self.passes = 0
        self.native = 0
        self.sent: Any = None
        self.context: Any = None
        self.sparse = False
        self.group: Optional[Group] = None
        self.place: Optional[torch.Tensor] = None
        self.dimensions = 0  # sparse ones, of the last sparse gradient
        self.prepared: Optional[Prepared] = None

    def prepare(self, scales: tuple[float, float], process_set: int) -> None:
        """For dense gradients as the parameter is; others are looked at each time."""
        parameter = self.parameter
        code = DTYPES.get(parameter.dtype)
        if code is not None and parameter.device.type == "cpu":
            self.prepared = Prepared(
                parameter.shape,
                0 if self.place is None else self.place.data_ptr(),
                self.name.encode(),
                parameter.numel(),
                code,
                _core.call_of(parameter.shape, *scales, process_set, 0),
                ctypes.c_uint64(),
            )

    def place_of(self, prepared: Prepared) -> int:
        """The address of a gradient that can be combined where it is, else 0."""
        gradient = self.parameter.grad
        if gradient is None:
            return 0
        address: int = gradient.data_ptr() if not gradient.is_sparse else 0
        if prepared.address:
            return address if address == prepared.address else 0
        if address and gradient.is_contiguous() and gradient.shape == prepared.shape:
            return address
        return 0

    # ---- what is to be combined ------------------------------------------------------------------

    def gradient(self) -> torch.Tensor:
        """The gradient; zeros where the backward pass did not reach the parameter, since it may
        have on other ranks. In its place in the arena, where it has one."""
        parameter, place = self.parameter, self.place
        gradient = parameter.grad
        if place is not None:
            if gradient is None:
                place.zero_()
            elif gradient.data_ptr() != place.data_ptr():  # somebody put another one there
                place.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
            else:
                return gradient
            parameter.grad = place
            return place
        if gradient is None:
            gradient = self._missing()
            parameter.grad = gradient
        return gradient

    def _missing(self) -> torch.Tensor:
        parameter = self.parameter
        if not self.dimensions:
            return torch.zeros_like(parameter, memory_format=torch.contiguous_format)
        indices = torch.zeros((self.dimensions, 0), dtype=torch.int64)
        values = torch.zeros((0, *parameter.shape[self.dimensions :]), dtype=parameter.dtype)
        return torch.sparse_coo_tensor(indices, values, parameter.shape)

    def pack(self, compression: type[Compressor], sparse_as_dense: bool) -> torch.Tensor:
        """What to submit: the gradient, or what is made of it."""
        gradient = self.gradient().detach()
        self.sparse = gradient.is_sparse
        if self.sparse:
            self.dimensions = gradient.sparse_dim()
            if not sparse_as_dense:
                self.sent, self.context = gradient, None
                return gradient
            gradient = gradient.to_dense()
        sent, self.context = compression.compress(gradient)
        sent = self.sent = sent if sent.is_contiguous() else sent.contiguous()
        return sent

    def unpack(self, compression: type[Compressor], sparse_as_dense: bool) -> None:
        """Puts the combined gradient where the optimizer looks for it."""
        parameter, sent = self.parameter, self.sent
        self.sent = None
        if self.sparse and not sparse_as_dense:
            values = self.parameter.grad._values()  # type: ignore[union-attr]
            tail, native = values.shape[1:], self.native
            pair = _rows.take_sparse(native, tail, values.dtype)
            parameter.grad = _rows.unflat(*pair, parameter.shape, self.dimensions)
            return
        gradient = parameter.grad
        if sent is gradient:
            return
        result = compression.decompress(sent, self.context)
        if self.sparse:
            parameter.grad = result.to_sparse(self.dimensions)
        elif gradient is None:  # taken away meanwhile
            parameter.grad = result
        elif result.data_ptr() != gradient.data_ptr():
            gradient.copy_(result)


class GradientArena:
    """Gradients as views of one block of the node's shared segment."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        slots = list(slots)
        offsets, length = [], 0
        for slot in slots:
            parameter = slot.parameter
            if parameter.dtype not in DTYPES or parameter.device.type != "cpu":
                raise ValueError(
                    f"gradients_in_arena: '{slot.name}' is {parameter.dtype} on {parameter.device}"
                )
            offsets.append(length)
            nbytes = parameter.numel() * parameter.element_size()
            length += -(-nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        self.memory = torch.frombuffer(
            ronde.zeros(max(length, _ALIGNMENT_BYTES), "uint8"), dtype=torch.uint8
        )
        self.slots = slots
        for slot, offset in zip(slots, offsets):
            parameter = slot.parameter
            nbytes = parameter.numel() * parameter.element_size()
            flat = self.memory[offset : offset + nbytes].view(parameter.dtype)
            slot.place = flat.view(parameter.shape)
            if parameter.grad is None:
                self._install(slot)
            else:
                slot.gradient()

    @staticmethod
    def _install(slot: Slot) -> None:
        slot.parameter.grad = slot.place

    def zero(self) -> None:
        """Zeros everywhere, in one pass, and every gradient in its place."""
        self.memory.zero_()
        for slot in self.slots:
            self._install(slot)
