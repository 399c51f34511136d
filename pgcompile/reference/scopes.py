"""Meanings of names in one formula, and the functions that act on each entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pgcompile.reference.fields import Field
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import Space


@dataclass(frozen=True)
class Scope:
    """The meaning of names in one formula."""

    variable: Callable[[str], Field]
    bindings: tuple[tree.Binding, ...]
    spaces: Mapping[str, Space] = field(default_factory=dict)
    at: "Callable[[str, Field], Scope] | None" = None
    """The same names with another value for a variable, and for what is made of it."""

    observed: "Callable[[str], Field] | None" = None
    """1 for each entry of a variable that the data has, else 0."""

    shuffled: "Callable[[Field], Field] | None" = None
    """Each entry of a value at another row of the batch."""

    quantile: "Callable[[tree.Call, Field], Field] | None" = None
    """The value below which a share of a factor's draws lies."""

    log_density: Callable[[tree.Expr], Tensor | None] = lambda expr: None
    """log of a density inside a derivative; None of what is none."""

    @property
    def bound(self) -> dict[str, tuple[tree.Binding, int]]:
        """The binding of each name after `where`, and its place in it."""
        return {name.id: (b, i) for b in self.bindings for i, name in enumerate(b.names)}


def elementwise(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name as torch has it; softplus is taken from its definition."""
    if name == "softplus":
        return lambda x: torch.logaddexp(x, torch.zeros_like(x))
    if name == "detach":
        return torch.Tensor.detach
    found: Callable[[Tensor], Tensor] = getattr(torch, name)
    return found
