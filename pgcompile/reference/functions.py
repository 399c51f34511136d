"""Functions that join, reshape, compare and contract tensors, each from its definition."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from pgcompile.reference.fields import Field, raised

Function = Callable[[list[Field], Sequence[int | str]], Field]


def _lead(field: Field) -> torch.Size:
    return field.tensor.shape[: field.tensor.ndim - field.rank]


def _event(field: Field) -> torch.Size:
    return field.tensor.shape[field.tensor.ndim - field.rank :]


def _whole(fields: list[Field]) -> list[Tensor]:
    """Tensors with one another's leading dimensions."""
    lead = torch.broadcast_shapes(*map(_lead, fields))
    return [f.tensor.expand(*lead, *_event(f)) for f in fields]


def _together(fields: list[Field]) -> tuple[list[Tensor], int]:
    """Tensors of one event shape: a scalar stands for each entry."""
    rank = max(f.rank for f in fields)
    return list(torch.broadcast_tensors(*(raised(f.tensor, rank - f.rank) for f in fields))), rank


def _compared(test: Callable[[Tensor, Tensor], Tensor]) -> Function:
    def compare(fields: list[Field], literals: Sequence[int | str]) -> Field:
        (a, b), rank = _together(fields)
        return Field(test(a, b).double(), rank)

    return compare


def _where(fields: list[Field], literals: Sequence[int | str]) -> Field:
    (condition, a, b), rank = _together(fields)
    chosen = condition != 0
    # Each branch is computed at the entries that it is chosen for, so that no other has a gradient.
    return Field(torch.where(chosen, a, b), rank)


def _cat(fields: list[Field], literals: Sequence[int | str]) -> Field:
    fields = [f if f.rank else Field(f.tensor[..., None], 1) for f in fields]
    rank = fields[0].rank
    at = int(literals[0]) - rank if literals else -1
    return Field(torch.cat(_whole(fields), at), rank)


def _stack(fields: list[Field], literals: Sequence[int | str]) -> Field:
    rank = fields[0].rank
    return Field(torch.stack(_whole(fields), -rank - 1), rank + 1)


def _reshape(fields: list[Field], literals: Sequence[int | str]) -> Field:
    (field,) = fields
    shape = [int(size) for size in literals]
    known = prod(size for size in shape if size >= 0)
    shape = [prod(_event(field)) // known if size < 0 else size for size in shape]
    return Field(field.tensor.reshape(*_lead(field), *shape), len(shape))


def _transpose(fields: list[Field], literals: Sequence[int | str]) -> Field:
    (field,) = fields
    order = [int(at) for at in literals] or [1, 0]
    cut = field.tensor.ndim - field.rank
    return Field(field.tensor.permute(*range(cut), *(cut + at for at in order)), field.rank)


def _einsum(fields: list[Field], literals: Sequence[int | str]) -> Field:
    """The sum over every joint value of the indices."""
    left, _, right = str(literals[0]).partition("->")
    groups = left.split(",")
    sizes = {n: size for names, f in zip(groups, fields, strict=True) for n, size in zip(names, _event(f), strict=True)}
    lead = torch.broadcast_shapes(*map(_lead, fields))
    total: dict[tuple[int, ...], Tensor] = {}
    for places in itertools.product(*(range(size) for size in sizes.values())):
        at = dict(zip(sizes, places, strict=True))
        value = torch.ones(lead, dtype=torch.float64)
        for names, f in zip(groups, fields, strict=True):
            entry: tuple[Any, ...] = (..., *(at[n] for n in names))
            value = value * f.tensor[entry]
        key = tuple(at[n] for n in right)
        total[key] = total[key] + value if key in total else value
    shape = [sizes[n] for n in right]
    entries = [total[key] for key in itertools.product(*map(range, shape))]
    return Field(torch.stack(entries, -1).reshape(*lead, *shape), len(shape))


def _eye(fields: list[Field], literals: Sequence[int | str]) -> Field:
    return Field(torch.eye(int(literals[0]), dtype=torch.float64), 2)


def _solve(fields: list[Field], literals: Sequence[int | str]) -> Field:
    """By the inverse, which is well behaved on the small matrices of a check."""
    matrix, right = fields
    inverse = torch.linalg.inv(matrix.tensor)
    if right.rank == 2:
        return Field(inverse @ right.tensor, 2)
    return Field((inverse @ right.tensor[..., None])[..., 0], 1)


def _dot(fields: list[Field], literals: Sequence[int | str]) -> Field:
    a, b = fields
    product = a.tensor * b.tensor
    return Field(product.sum(tuple(range(-a.rank, 0))) if a.rank else product, 0)


def _norm(fields: list[Field], literals: Sequence[int | str]) -> Field:
    (a,) = fields
    return Field(a.tensor.flatten(-a.rank).square().sum(-1).sqrt() if a.rank else a.tensor.abs(), 0)


def shuffled(value: Field) -> Field:
    """Each entry of a row from a row of its own; the batch is the last dimension before the entries."""
    at = value.tensor.ndim - value.rank - 1
    columns = value.tensor.movedim(at, -1)
    flat = columns.reshape(-1, columns.shape[-1])
    orders = [torch.randperm(flat.shape[-1]) for _ in flat]
    found = torch.stack([column[order] for column, order in zip(flat, orders, strict=True)])
    return Field(found.reshape(columns.shape).movedim(-1, at), value.rank)


TENSOR_FUNCTIONS: dict[str, Function] = {
    "less": _compared(torch.lt),
    "less_equal": _compared(torch.le),
    "greater": _compared(torch.gt),
    "greater_equal": _compared(torch.ge),
    "equal": _compared(torch.eq),
    "not_equal": _compared(torch.ne),
    "where": _where,
    "argmax": lambda fields, _: Field(fields[0].tensor.max(-1).indices, fields[0].rank - 1),
    "argmin": lambda fields, _: Field(fields[0].tensor.min(-1).indices, fields[0].rank - 1),
    "sort": lambda fields, _: Field(fields[0].tensor.sort(-1).values, fields[0].rank),
    "cumsum": lambda fields, _: Field(fields[0].tensor.cumsum(-1), fields[0].rank),
    "norm": _norm,
    "dot": _dot,
    "cat": _cat,
    "stack": _stack,
    "reshape": _reshape,
    "einsum": _einsum,
    "eye": _eye,
    "trace": lambda fields, _: Field(fields[0].tensor.diagonal(dim1=-2, dim2=-1).sum(-1), 0),
    "log_det": lambda fields, _: Field(torch.linalg.det(fields[0].tensor).abs().log(), 0),
    "solve": _solve,
    "transpose": _transpose,
}
"""The functions of tensors by name, of the fields and of the arguments that are no tensors."""
