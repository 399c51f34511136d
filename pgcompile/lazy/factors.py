"""Factors of emitted models as lazy distributions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor, nn

from pgcompile.lazy.protocol import LazyDistribution
from pgcompile.runtime.checks import broadcast_batches, take_one


class LazyFactor(LazyDistribution):
    """A factor of a model: condition in, distribution out; its parameters are the model's.

    Args:
        model: an emitted module.
        method: its method that gives the distribution for the parents.
        label: the factor, as `q(z|x)`.
    """

    def __init__(self, model: nn.Module, method: Callable[..., D.Distribution], label: str) -> None:
        super().__init__()
        self.model, self.method, self.label = model, method, label

    def forward(self, *parents: Any, **inputs: Any) -> D.Distribution:
        """The distribution for its parents; a factor without parents takes any context."""
        alone = self.method.__code__.co_argcount == 1  # `inspect` cannot be traced
        found = self.method(*(() if alone else parents), **inputs)
        if isinstance(found, D.Distribution) and not torch.compiler.is_compiling():
            # A name of its own in the instance, which torch's `expand`, `kl_divergence` and `isinstance` do not see.
            like = getattr(self.model, "_like", None)
            vars(found)["log_prob"] = partial(_log_prob, found, self.label, like)
        return found


def _log_prob(found: D.Distribution, label: str, like: Tensor | None, value: Any) -> Tensor:
    """Log-density of a value, or an error that names the variable that it is given for."""
    name = label.replace(" ", "").partition("(")[2].partition("|")[0].removesuffix(")")
    event = tuple(found.event_shape)
    kind = range(found.logits.shape[-1]) if isinstance(found, D.Categorical) else None
    if kind is not None and isinstance(value, Tensor) and value.is_floating_point():
        kind = None  # torch's own distribution takes whole floats
    here = like if like is not None else value
    taken = take_one(here, f"{name} of {label}", value, event, kind)
    batch = {name: tuple(taken.shape[: taken.ndim - len(event)]), "its parents": tuple(found.batch_shape)}
    broadcast_batches(label, batch)
    return type(found).log_prob(found, taken)


def with_lazy_factors(model: type[Any]) -> type[Any]:
    """An emitted class whose `factor` gives a `LazyFactor`; its text, which imports torch alone, gives a method."""
    plain = getattr(model, "factor", None)
    if plain is not None:

        def factor(self: nn.Module, name: str) -> LazyFactor:
            """A factor by its name: call it with its parents for a distribution."""
            return LazyFactor(self, plain(self, name), str(name))

        model.factor = factor
    return model
