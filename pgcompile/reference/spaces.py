"""Values of spaces: every one of a finite space, and random ones for trying a program."""

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pgcompile.model.variable import Variable
from pgcompile.reference.integrals import BeyondBruteForce
from pgcompile.vocabulary.spaces import Space, contains

MOST_STATES = 5000


def is_finite(space: Space) -> bool:
    """True if brute force can sum over a space."""
    return space.kind in ("one_hot", "category") or contains("boolean", space.kind)


def unpacked(h: Tensor, spaces: Mapping[Variable, Space]) -> dict[Variable, Tensor]:
    """The variables of which a vector holds the entries."""
    parts = h.split([space.numel for space in spaces.values()], -1)
    return {n: part.reshape(space.shape) for (n, space), part in zip(spaces.items(), parts, strict=True)}


def values_of(space: Space) -> list[Tensor]:
    """Every value of a finite space.

    Raises:
        BeyondBruteForce: it is not finite.
    """
    size = math.prod(space.shape[:-1] if space.kind == "one_hot" else space.shape)
    if space.kind == "one_hot":
        digits: list[Tensor] = list(torch.eye(space.shape[-1], dtype=torch.float64))
    elif space.kind == "category":
        digits = [torch.tensor(i) for i in range(space.categories or 1)]
    elif contains("boolean", space.kind):
        digits = [torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)]
    else:
        raise BeyondBruteForce(f"{space} is not finite")
    if len(digits) ** size > MOST_STATES:
        raise BeyondBruteForce(f"{space} has too many values for brute force")
    return [torch.stack(c).reshape(space.shape) for c in itertools.product(digits, repeat=size)]


def values_in(space_kind: str, shape: tuple[int, ...], categories: int | None, generator: torch.Generator) -> Tensor:
    """Random values of a space, for trying a program where no data is at hand."""
    if space_kind == "category":
        return torch.randint(0, categories or 1, shape, generator=generator)
    real = torch.randn(shape, generator=generator, dtype=torch.float64)
    if space_kind == "one_hot":
        return torch.nn.functional.one_hot(real.argmax(-1), shape[-1]).double()
    if contains("boolean", space_kind):
        return (real > 0).double()
    if space_kind == "simplex":
        return real.softmax(-1)
    if contains("unit_interval", space_kind):
        return real.sigmoid()
    if contains("nonnegative_integer", space_kind):
        return (real.abs() * 2).floor() + float(space_kind == "positive_integer")
    if contains("nonnegative", space_kind):
        return real.exp()
    if space_kind == "corr_cholesky":
        lower = real.tril(-1) + torch.eye(shape[-1], dtype=torch.float64)
        rows: Tensor = lower / lower.norm(dim=-1, keepdim=True)
        return rows
    if space_kind in ("lower_cholesky", "lower_triangular"):
        return real.tril(-1) + torch.diag_embed(real.diagonal(dim1=-2, dim2=-1).exp())
    if space_kind == "positive_definite":
        return real @ real.mT + torch.eye(shape[-1], dtype=torch.float64)
    return real
