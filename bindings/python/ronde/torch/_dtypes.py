"""Which of the library's types a tensor has, and what its memory must be like."""

from __future__ import annotations

import torch

DTYPES: dict[torch.dtype, int] = {
    torch.bool: 0,
    torch.uint8: 1,
    torch.int8: 2,
    torch.int16: 4,
    torch.int32: 6,
    torch.int64: 8,
    torch.float16: 9,
    torch.bfloat16: 10,
    torch.float32: 11,
    torch.float64: 12,
}
# Older PyTorch has uint8 alone of the unsigned types.
for _name, _code in (("uint16", 3), ("uint32", 5), ("uint64", 7)):
    if hasattr(torch, _name):
        DTYPES[getattr(torch, _name)] = _code


def dtype_code(tensor: torch.Tensor) -> int:
    """The library's number for a tensor's type; ``ValueError`` where the library cannot use its
    memory as it is: no tensor, not on the CPU, not contiguous, a type that it does not have."""
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"a tensor is wanted, not {type(tensor).__name__}")
    if tensor.layout != torch.strided:
        raise ValueError(
            f"a dense tensor is wanted, not {tensor.layout}: use sparse_allreduce_async, "
            "or to_dense()"
        )
    if tensor.device.type != "cpu":
        raise ValueError(f"the tensor is on {tensor.device}: this build takes CPU tensors only")
    code = DTYPES.get(tensor.dtype)
    if code is None:
        raise ValueError(f"tensor type {tensor.dtype} is not supported")
    if not tensor.is_contiguous():
        raise ValueError("the tensor is required to be contiguous: pass tensor.contiguous()")
    if tensor.is_neg():
        raise ValueError("the tensor is a negated view: pass tensor.resolve_neg()")
    return code
