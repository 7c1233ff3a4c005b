"""Element types and ops: the numbers of ``ronde.h``, and what Python calls them."""

from __future__ import annotations

import enum
import sys
from typing import Any, Dict, Optional

from .errors import ArgumentError


class DType(enum.IntEnum):
    """``enum ronde_dtype``."""

    BOOL = 0
    UINT8 = 1
    INT8 = 2
    UINT16 = 3
    INT16 = 4
    UINT32 = 5
    INT32 = 6
    UINT64 = 7
    INT64 = 8
    FLOAT16 = 9
    BFLOAT16 = 10
    FLOAT32 = 11
    FLOAT64 = 12

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return ITEM_BYTES[self]


class Op(enum.IntEnum):
    """``enum ronde_op``."""

    SUM = 0
    AVERAGE = 1
    MIN = 2
    MAX = 3
    PRODUCT = 4
    LOGICAL_AND = 5
    LOGICAL_OR = 6
    BITWISE_AND = 7
    BITWISE_OR = 8
    ADASUM = 9
    WEIGHTED_AVERAGE = 10


class Divide(enum.IntEnum):
    """What an average divides by while some ranks have joined."""

    CONTRIBUTORS = 0
    SIZE = 1


class Wire(enum.IntEnum):
    """How sums of float32 cross the network between nodes."""

    AS_IS = 0
    FLOAT16 = 1
    BFLOAT16 = 2


ITEM_BYTES = (1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8)
NAMES: Dict[str, DType] = {dtype.name.lower(): dtype for dtype in DType}

# Of the buffer protocol (struct's letters, native sizes) and of array interfaces. An element of the
# right size and kind is what counts: 'l' is 4 or 8 bytes.
_KINDS = {"?": "b", "f": "f", "d": "f", "e": "f"}
_KINDS.update(dict.fromkeys("bhilqn", "i"))
_KINDS.update(dict.fromkeys("BHILQNc", "u"))
_BY_KIND = {
    ("b", 1): DType.BOOL,
    ("u", 1): DType.UINT8,
    ("i", 1): DType.INT8,
    ("u", 2): DType.UINT16,
    ("i", 2): DType.INT16,
    ("u", 4): DType.UINT32,
    ("i", 4): DType.INT32,
    ("u", 8): DType.UINT64,
    ("i", 8): DType.INT64,
    ("f", 2): DType.FLOAT16,
    ("f", 4): DType.FLOAT32,
    ("f", 8): DType.FLOAT64,
}
# struct's letter of a type, for memoryviews where numpy is missing.
LETTERS = "?BbHhIiQqHHfd"


def of_format(text: str, itemsize: int) -> Optional[DType]:
    """The type of a buffer-protocol format such as ``f`` or ``<i``; None: none of ours."""
    order, letter = (text[0], text[1:]) if text and text[0] in "@=<>!" else ("@", text)
    foreign = order in (">!" if sys.byteorder == "little" else "<")
    if foreign and itemsize > 1:
        return None
    return _BY_KIND.get((_KINDS.get(letter, ""), itemsize))


def of_typestr(text: str) -> Optional[DType]:
    """The type of an array interface's ``typestr`` such as ``<f4``; None: none of ours."""
    foreign = text[0] == (">" if sys.byteorder == "little" else "<")
    if foreign or not text[2:].isdigit():
        return None
    return _BY_KIND.get((text[1], int(text[2:])))


SEEN: Dict[Any, DType] = {}  # by numpy dtype, as they come


def of_numpy(dtype: Any) -> Optional[DType]:
    """The type of a numpy dtype; None: none of ours (complex, dates, big-endian, records)."""
    code = SEEN.get(dtype)
    if code is None:
        code = DType.BFLOAT16 if dtype.name == "bfloat16" else of_typestr(dtype.str)
        if code is not None:
            SEEN[dtype] = code
    return code


def dtype_of(wanted: Any) -> DType:
    """What a caller means by a type: a :class:`DType`, a name, or anything ``numpy.dtype`` takes.

    Raises :class:`ArgumentError`.
    """
    if isinstance(wanted, DType):
        return wanted
    if isinstance(wanted, str) and wanted in NAMES:
        return NAMES[wanted]
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        try:
            return DType(wanted)
        except ValueError:
            raise ArgumentError(f"unknown dtype {wanted}: use ronde.DType") from None
    name = str(wanted).rpartition(".")[2]  # torch.float32, say
    if name in NAMES:
        return NAMES[name]
    numpy = sys.modules.get("numpy")
    try:
        code = of_numpy(numpy.dtype(wanted)) if numpy else None
    except TypeError:
        code = None
    if code is None:
        raise ArgumentError(f"{wanted!r} is none of Ronde's types: {', '.join(NAMES)}")
    return code


def op_of(wanted: Any) -> Op:
    """The op of a number. Raises :class:`ArgumentError`."""
    try:
        return Op(wanted)
    except ValueError:
        raise ArgumentError(f"unknown op {wanted!r}: use ronde.Sum, ronde.Average, ...") from None
