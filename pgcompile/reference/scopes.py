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
    """What names mean in one formula."""

    variable: Callable[[str], Field]
    bindings: tuple[tree.Binding, ...]
    spaces: Mapping[str, Space] = field(default_factory=dict)

    @property
    def bound(self) -> dict[str, tuple[tree.Binding, int]]:
        """The binding of each name after `where`, and its place in it."""
        return {name.id: (b, i) for b in self.bindings for i, name in enumerate(b.names)}


ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "sigmoid": torch.sigmoid,
    "logit": torch.logit,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "erf": torch.erf,
    "relu": torch.relu,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "square": torch.square,
    "round": torch.round,
    "floor": torch.floor,
    "sign": torch.sign,
    "detach": torch.Tensor.detach,
}
