"""Normalizing flows: a base distribution seen through a transform."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributions as D
from torch import Size, Tensor, nn
from torch.distributions import Transform, constraints

from pgcompile.lazy.bijections import LazyComposedTransform, as_lazy
from pgcompile.lazy.protocol import LazyDistribution, LazyTransform
from pgcompile.lazy.transforms import call_and_ladj


class Flow(LazyDistribution):
    """A base distribution seen through a transform that maps data to it.

    Args:
        transform: one lazy transform, or several in the order in which they are applied to data.
        base: the lazy base distribution.

    A call gives a `NormalizingFlow` whose base is expanded to the batch of the context, a tensor `[..., features]`.

    Examples:
        >>> from pgcompile.lazy import UnconditionalDistribution
        >>> base = UnconditionalDistribution(D.Normal, torch.zeros(3), torch.ones(3), buffer=True)
        >>> flow = Flow([D.AffineTransform(1.0, 2.0, event_dim=1), D.TanhTransform()], base)
        >>> flow(torch.zeros(16, 5)).log_prob(torch.zeros(16, 3)).shape
        torch.Size([16])
    """

    def __init__(
        self, transform: LazyTransform | Transform | Sequence[LazyTransform | Transform], base: LazyDistribution
    ) -> None:
        super().__init__()
        several = isinstance(transform, Iterable) and not isinstance(transform, nn.Module)
        self.transform = LazyComposedTransform(*transform) if several else as_lazy(transform)  # type: ignore[misc]
        self.base = base

    def forward(self, context: Any = None) -> NormalizingFlow:
        """The distribution for a context."""
        transform, base = self.transform(context), self.base(context)
        # Event dimensions are declared before the batch is expanded: those of the batch must not be taken for them.
        base = _event(base, max(transform.codomain.event_dim, len(base.event_shape)))
        if isinstance(context, Tensor) and context.ndim:
            batch = torch.broadcast_shapes(context.shape[:-1], base.batch_shape)  # type: ignore[no-untyped-call]
            base = base.expand(batch)
        return NormalizingFlow(transform, base)


class NormalizingFlow(D.Distribution):
    """`p(x) = base(f(x)) |det df/dx|` (Tabak & Turner 2013; Rezende & Mohamed 2015).

    Args:
        transform: f, from data to the base.
        base: the distribution of f(x).

    Examples:
        >>> flow = NormalizingFlow(D.ExpTransform().inv, D.Normal(torch.zeros(3), torch.ones(3)))
        >>> x = torch.tensor([0.5, 1.0, 2.0])
        >>> torch.allclose(flow.log_prob(x), D.LogNormal(torch.zeros(3), torch.ones(3)).log_prob(x))
        True
        >>> x, log_density = flow.rsample_and_log_prob((4,))
        >>> x.shape, log_density.shape
        (torch.Size([4, 3]), torch.Size([4, 3]))
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, transform: Transform, base: D.Distribution) -> None:
        self.transform = transform
        rank = max(transform.codomain.event_dim, len(base.event_shape))
        self.base = _event(base, rank)
        whole = self.base.batch_shape + self.base.event_shape
        shape = transform.inverse_shape(whole)  # type: ignore[no-untyped-call]
        event = rank + transform.domain.event_dim - transform.codomain.event_dim
        cut = len(shape) - event
        super().__init__(Size(shape[:cut]), Size(shape[cut:]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Where the density is positive: the domain of the transform."""
        domain: constraints.Constraint = self.transform.domain
        return domain

    def expand(self, batch_shape: Any, _instance: Any = None) -> NormalizingFlow:
        """The same for more batch dimensions."""
        return NormalizingFlow(self.transform, self.base.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log-density `[sample, batch]` of `[sample, batch, event]`."""
        z, ladj = call_and_ladj(self.transform, value)
        extra = len(self.base.event_shape) - self.transform.codomain.event_dim
        density: Tensor = self.base.log_prob(z)
        return density + (ladj.flatten(-extra).sum(-1) if extra > 0 else ladj)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws `[sample, batch, event]`, pathwise where the base is."""
        shape = Size(sample_shape)
        z = self.base.rsample(shape) if self.base.has_rsample else self.base.sample(shape)
        value: Tensor = self.transform.inv(z)
        return value

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        if torch.compiler.is_compiling():
            with torch.no_grad():
                return self.rsample(sample_shape)
        with torch.inference_mode():
            draws = self.rsample(sample_shape)
        return draws.clone()  # a tensor like any other, not one of that mode

    def rsample_and_log_prob(self, sample_shape: Any = ()) -> tuple[Tensor, Tensor]:
        """Draws and their log-density from one evaluation of the inverse."""
        shape = Size(sample_shape)
        z = self.base.rsample(shape) if self.base.has_rsample else self.base.sample(shape)
        value, ladj = call_and_ladj(self.transform.inv, z)
        extra = len(self.base.event_shape) - self.transform.codomain.event_dim
        return value, self.base.log_prob(z) - (ladj.flatten(-extra).sum(-1) if extra > 0 else ladj)


def _event(base: D.Distribution, rank: int) -> D.Distribution:
    """A distribution with at least `rank` event dimensions."""
    missing = rank - len(base.event_shape)
    return D.Independent(base, missing, validate_args=False) if missing > 0 else base
