"""Tensors with the number of their event dimensions, which is what tells a batch of vectors from a matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pgcompile.model.literals import flatten, shape_of
from pgcompile.model.typed import Constant


@dataclass(frozen=True)
class Field:
    """A tensor of `[..., event shape]`; `rank` counts its event dimensions."""

    tensor: Tensor
    rank: int


def aligned(a: Field, b: Field) -> tuple[Tensor, Tensor, int]:
    """Two fields with event dimensions appended to the one that has fewer: a scalar combines with each entry."""
    rank = max(a.rank, b.rank)
    return raised(a.tensor, rank - a.rank), raised(b.tensor, rank - b.rank), rank


def raised(value: Tensor, count: int) -> Tensor:
    """With ones appended to its shape."""
    return value[(..., *[None] * max(count, 0))]


def joined(inputs: list[Field]) -> Tensor:
    """The input of a bare pipeline: its arguments side by side, numbers as vectors of one."""
    if len(inputs) == 1:
        return inputs[0].tensor
    return torch.cat([f.tensor if f.rank else f.tensor.unsqueeze(-1) for f in inputs], -1)


def constant(value: Constant) -> Field:
    """A number or a nested list of numbers."""
    shape = shape_of(value)
    assert shape is not None
    numbers = torch.tensor([float(x) for x in flatten(value)], dtype=torch.float64)
    return Field(numbers.reshape(shape), len(shape))


def matmul(a: Field, b: Field) -> Field:
    """The matrix product of two fields; a vector is a row on the left and a column on the right."""
    left = a.tensor.unsqueeze(-2) if a.rank == 1 else a.tensor
    right = b.tensor.unsqueeze(-1) if b.rank == 1 else b.tensor
    product = left @ right
    product = product.squeeze(-1) if b.rank == 1 else product
    product = product.squeeze(-1 if b.rank == 1 else -2) if a.rank == 1 else product
    return Field(product, a.rank + b.rank - 2)
