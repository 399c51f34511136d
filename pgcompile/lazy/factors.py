"""Factors of emitted models as lazy distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.distributions as D
from torch import nn

from pgcompile.lazy.protocol import LazyDistribution


class LazyFactor(LazyDistribution):
    """A factor of a model: condition in, distribution out; its parameters are the model's.

    Args:
        model: an emitted module.
        method: its method that gives the distribution for the parents.
    """

    def __init__(self, model: nn.Module, method: Callable[..., D.Distribution]) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *parents: Any, **inputs: Any) -> D.Distribution:
        """The distribution for its parents; a factor without parents takes any context."""
        alone = self.method.__code__.co_argcount == 1  # `inspect` cannot be traced
        return self.method(*(() if alone else parents), **inputs)


def with_lazy_factors(model: type[Any]) -> type[Any]:
    """An emitted class whose `factor` gives a `LazyFactor`; its text, which imports torch alone, gives a method."""
    plain = getattr(model, "factor", None)
    if plain is not None:

        def factor(self: nn.Module, name: str) -> LazyFactor:
            """A factor by its name: call it with its parents for a distribution."""
            return LazyFactor(self, plain(self, name))

        model.factor = factor
    return model
