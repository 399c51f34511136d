"""Distributions of families that torch does not have, written to be copied into emitted modules."""

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.draws import draw_counts
from pgcompile.runtime.functions import (
    expm1_ratio,
    log_generalized_pareto,
)


class LocationScale(D.Distribution):
    """A distribution of a location and a scale."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args=None) -> None:
        self.loc, self.scale = D.utils.broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        return type(self)(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


class Logistic(LocationScale):
    """A logistic distribution."""

    @property
    def mean(self) -> Tensor:
        """Its location."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """(pi scale)^2 / 3."""
        return 3.289868133696453 * self.scale.square()

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        uniform = torch.rand_like(self.loc.expand(shape))
        return self.icdf(uniform)

    def log_prob(self, value: Tensor) -> Tensor:
        """-z - 2 softplus(-z) - log scale."""
        z = (value - self.loc) / self.scale
        return -z - 2 * torch.nn.functional.softplus(-z) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The share of draws below a value."""
        return torch.sigmoid((value - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which a share of the draws lies."""
        kind = torch.finfo(value.dtype)
        u = value.clamp(kind.tiny, 1 - kind.eps)
        return self.loc + self.scale * (u.log() - torch.log1p(-u))

    def entropy(self) -> Tensor:
        """log scale + 2."""
        return self.scale.log() + 2


class AsymmetricLaplace(D.Distribution):
    """Two exponentials of different scales around a location."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, asymmetry: Tensor, **_) -> None:
        given = D.utils.broadcast_all(loc, scale, asymmetry)
        self.loc, self.scale, self.asymmetry = given
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        given = (self.loc, self.scale, self.asymmetry)
        return type(self)(*(value.expand(batch_shape) for value in given))

    @property
    def mean(self) -> Tensor:
        """loc + scale (1/k - k)."""
        return self.loc + self.scale * (self.asymmetry.reciprocal() - self.asymmetry)

    @property
    def variance(self) -> Tensor:
        """scale^2 (1/k^2 + k^2)."""
        square = self.asymmetry.square()
        return self.scale.square() * (square.reciprocal() + square)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise: the difference of two exponentials."""
        shape = self._extended_shape(torch.Size(sample_shape))
        one = -torch.log1p(-torch.rand_like(self.loc.expand(shape)))
        two = -torch.log1p(-torch.rand_like(self.loc.expand(shape)))
        return self.loc + self.scale * (one / self.asymmetry - self.asymmetry * two)

    def log_prob(self, value: Tensor) -> Tensor:
        """-k z - log(scale (k + 1/k)) above the location, z / k below."""
        z = (value - self.loc) / self.scale
        slope = torch.where(z < 0, -self.asymmetry.reciprocal(), self.asymmetry)
        both = self.asymmetry + self.asymmetry.reciprocal()
        return -slope * z - (self.scale * both).log()

    def entropy(self) -> Tensor:
        """1 + log(scale (k + 1/k))."""
        both = self.asymmetry + self.asymmetry.reciprocal()
        return 1 + (self.scale * both).log()


class LogitNormal(LocationScale):
    """The sigmoid of a normal variable."""

    @property
    def median(self) -> Tensor:
        """The sigmoid of the location; the mean has no formula."""
        return torch.sigmoid(self.loc)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        kind = torch.finfo(self.loc.dtype)
        drawn = torch.sigmoid(self.loc + self.scale * noise)
        return drawn.clamp(kind.tiny, 1 - kind.eps)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of the logit, and the slope of the logit."""
        z = (torch.logit(value) - self.loc) / self.scale
        density = -0.5 * z.square() - self.scale.log() - 0.9189385332046727
        return density - value.log() - torch.log1p(-value)


class VaryingMultinomial(D.Distribution):
    """Counts of categories, of a number of outcomes that each data point has for itself."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, total_count, probs=None, logits=None, **_) -> None:
        given = torch.log(probs) if logits is None else logits
        shape = torch.broadcast_shapes(total_count.shape, given.shape[:-1])
        self.total_count = total_count.expand(shape)
        self.logits = given.log_softmax(-1).expand(*shape, given.shape[-1])
        super().__init__(shape, given.shape[-1:], validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        logits = self.logits.expand(*batch_shape, self.logits.shape[-1])
        return VaryingMultinomial(self.total_count.expand(batch_shape), logits=logits)

    @property
    def mean(self) -> Tensor:
        """n probs."""
        return self.total_count.unsqueeze(-1) * self.logits.exp()

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws."""
        shape = (*sample_shape, *self.logits.shape)
        count = self.total_count.expand(shape[:-1])
        return draw_counts(self.logits.expand(shape), count)

    def log_prob(self, value: Tensor) -> Tensor:
        """log n! - sum log x! + sum x log probs."""
        orders = torch.lgamma(value + 1).sum(-1)
        shares = torch.xlogy(value, self.logits.exp()).sum(-1)
        found = torch.lgamma(self.total_count + 1) - orders + shares
        return torch.where(value.sum(-1) == self.total_count, found, -torch.inf)


class GeneralizedPareto(D.Distribution):
    """Excesses over a threshold, with a bounded, exponential or heavy tail."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc, scale, concentration, **_) -> None:
        given = D.utils.broadcast_all(loc, scale, concentration)
        self.loc, self.scale, self.concentration = given
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        given = (self.loc, self.scale, self.concentration)
        return type(self)(*(value.expand(batch_shape) for value in given))

    @property
    def mean(self) -> Tensor:
        """loc + scale / (1 - k), infinite for k >= 1."""
        finite = self.concentration < 1
        below = torch.where(finite, 1 - self.concentration, 1.0)
        return torch.where(finite, self.loc + self.scale / below, torch.inf)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = -torch.log1p(-torch.rand_like(self.loc.expand(shape)))
        away = noise * expm1_ratio(self.concentration * noise)
        return self.loc + self.scale * away

    def log_prob(self, value: Tensor) -> Tensor:
        """-log scale - (1 / k + 1) log(1 + k z) inside the support."""
        away, log_scale = value - self.loc, self.scale.log()
        return log_generalized_pareto(away, self.concentration, log_scale)

    def entropy(self) -> Tensor:
        """log scale + k + 1."""
        return self.scale.log() + self.concentration + 1
