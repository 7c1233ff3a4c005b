"""Arrays in the node's shared segment, which the ranks of a node reach directly.

The array's base keeps the memory; when the last view is gone it is freed. When the context is
closed before, the array goes on as private memory with the same contents at the same address: the
pages are put back after the library has taken the segment away.
"""

from __future__ import annotations

import ctypes
import mmap
import warnings
import weakref
from typing import Any, List, Optional, Tuple

from . import _arrays
from ._core import Core
from ._types import ITEM_BYTES, DType, dtype_of
from .errors import ArgumentError

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
]  # fmt: skip
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_PRIVATE_FIXED_NOREPLACE = 0x02 | 0x20 | 0x100000  # MAP_PRIVATE, MAP_ANONYMOUS, ...
_PAGE = mmap.PAGESIZE


class _Pages:
    """Private pages where the segment was, until the last block on them is gone."""

    def __init__(self, address: int, contents: bytes) -> None:
        self.address, self.length = address, len(contents)
        at = _libc.mmap(
            address, self.length, mmap.PROT_READ | mmap.PROT_WRITE, _PRIVATE_FIXED_NOREPLACE, -1, 0
        )
        self.there = at == address
        if at is not None and at not in (address, ctypes.c_void_p(-1).value):
            _libc.munmap(at, self.length)  # a kernel before 4.17 takes the address for a wish
        if self.there:
            ctypes.memmove(address, contents, self.length)

    def __del__(self) -> None:
        if self.there:
            _libc.munmap(self.address, self.length)


class Block:
    """Memory of the arena, with what tells when nobody uses it any more."""

    def __init__(self, context: "Arena", address: int, length: int) -> None:
        self.context: Optional["Arena"] = context
        self.opening = context.openings
        self.address = address
        self.length = length
        self.pages: Optional[_Pages] = None

    def __del__(self) -> None:
        context = self.context
        if context is None or self.pages is not None:
            return
        try:
            if context.openings == self.opening and context.pointer is not None:
                context.library.ronde_free(context.pointer, self.address)
        except (AttributeError, TypeError):  # at the interpreter's end
            pass


def _spans(blocks: List[Block]) -> List[Tuple[int, int]]:
    """Whole pages that hold the blocks, as (from, to), those that touch made one."""
    spans: List[Tuple[int, int]] = []
    for block in sorted(blocks, key=lambda block: block.address):
        start = block.address // _PAGE * _PAGE
        end = -(-(block.address + max(1, block.length)) // _PAGE) * _PAGE
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


class Arena(Core):
    """Allocation in the shared segment."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: "weakref.WeakSet[Block]" = weakref.WeakSet()

    def _allocate(self, length: int) -> Any:
        """A ctypes array of that many bytes; its block goes when it goes."""
        pointer = self.require()
        memory = ctypes.c_void_p()
        self.check(self.library.ronde_malloc(pointer, length, ctypes.byref(memory)))
        address = memory.value or 0
        block = Block(self, address, length)
        self._blocks.add(block)
        array: Any = (ctypes.c_char * max(1, length)).from_address(address)
        array._block = block
        return array

    def empty(self, shape: Any, dtype: Any = DType.FLOAT32) -> Any:
        """A numpy array in the node's shared segment, contents undefined.

        Operations on it copy nothing inside the node. It is freed with its last view, and must live
        until operations on it are done (handles see to that). After :meth:`shutdown` it goes on as
        private memory. Raises :class:`OutOfMemoryError` where shared memory is full.
        """
        lengths = (shape,) if isinstance(shape, int) else tuple(int(length) for length in shape)
        if any(length < 0 for length in lengths):
            raise ArgumentError(f"a shape of {list(lengths)}")
        code = dtype_of(dtype)
        numpy = _arrays.numpy
        made_of = None
        if numpy is not None and not isinstance(dtype, (DType, str, int)):
            made_of = numpy.dtype(dtype)
        length = ITEM_BYTES[code]
        for part in lengths:
            length *= part
        if length >= 2**63:
            raise ArgumentError(f"a shape of {list(lengths)} exceeds the address space")
        return _arrays.over(self._allocate(length), lengths, code, made_of)

    def zeros(self, shape: Any, dtype: Any = DType.FLOAT32) -> Any:
        """As :meth:`empty`, filled with zeros."""
        array = self.empty(shape, dtype)
        if _arrays.numpy is not None:
            array.fill(0)
        elif array.nbytes:
            ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(array)), 0, array.nbytes)
        return array

    def _save_arrays(self) -> List[Tuple[int, bytes, List[Block]]]:
        """Before the segment goes: what is in the arrays that live on."""
        blocks = [block for block in list(self._blocks) if block.opening == self.openings]
        return [
            (
                start,
                ctypes.string_at(start, end - start),
                [block for block in blocks if start <= block.address < end],
            )
            for start, end in _spans(blocks)
        ]

    def _restore_arrays(self, saved: List[Tuple[int, bytes, List[Block]]]) -> None:
        """After the segment went: the same bytes at the same place."""
        lost = 0
        for start, contents, blocks in saved:
            pages = _Pages(start, contents)
            for block in blocks:
                block.pages = pages
                block.context = None
            lost += 0 if pages.there else len(blocks)
        if lost:
            warnings.warn(
                f"{lost} arrays of ronde.empty could not be kept after shutdown: do not use them",
                RuntimeWarning,
                stacklevel=3,
            )
