"""Families by name, as `torch.distributions` has them; what torch lacks, or has with too few digits, is here."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.reference.own_families import (
    DiscretizedLogistic,
    GeneralizedPareto,
    LKJCholesky,
    VonMisesFisher,
    ordered_logistic,
    zero_inflated_negative_binomial,
    zero_inflated_poisson,
)
from pgcompile.reference.truncation import TruncatedFamily
from pgcompile.vocabulary.families import families


def family_of(name: str, found: dict[str, Any]) -> D.Distribution:
    """The distribution of that name.

    Args:
        name: of the family.
        found: its parameters.
    """
    if name == "FactorizedBernoulli":
        return _OnesOnly(**found, validate_args=False)
    if name == "OneHotCategorical":
        return _OneHot(**found, validate_args=False)
    if name == "VonMises":
        return _VonMises(**found, validate_args=False)
    if name == "Delta":
        return _PointMass(found["v"], 0.0, validate_args=False)
    if name.startswith("Truncated"):
        whole = {n: value for n, value in found.items() if n not in ("low", "high")}
        return TruncatedFamily(family_of(name.removeprefix("Truncated"), whole), found.get("low"), found.get("high"))
    if name in _TRANSFORMED:
        return _TRANSFORMED[name](**found)
    if name == "ContinuousBernoulli":
        # torch's expansion around 1/2 is good to 1e-8 only at the ends of its default range.
        return D.ContinuousBernoulli(**found, lims=(0.5 - 1e-5, 0.5 + 1e-5), validate_args=False)
    if name == "Kumaraswamy":
        return Kumaraswamy(**found, validate_args=False)
    if name == "VaryingMultinomial":
        return Counts(**found)
    own = families()[name].distribution
    made: D.Distribution = (getattr(D, name) if own is None else own())(**found, validate_args=False)
    return made


def is_point(distribution: D.Distribution) -> bool:
    """True if a draw is certain."""
    base = distribution.base_dist if isinstance(distribution, D.Independent) else distribution
    return isinstance(base, _PointMass)


class Counts(D.Distribution):
    """Counts of categories, row by row a Multinomial of torch."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, total_count: Tensor, probs: Tensor | None = None, logits: Tensor | None = None) -> None:
        each = D.Categorical(probs=probs, logits=logits, validate_args=False)
        shape = torch.broadcast_shapes(total_count.shape, each.batch_shape)
        self.total_count, self.each = total_count.expand(shape), each.expand(shape)
        super().__init__(shape, each.logits.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        return Counts(self.total_count.expand(batch_shape), logits=self.each.expand(batch_shape).logits)

    @property
    def mean(self) -> Tensor:
        """n probs."""
        mean: Tensor = self.total_count[..., None] * self.each.probs
        return mean

    def log_prob(self, value: Tensor) -> Tensor:
        """The number of orders of the outcomes times the probability of each."""
        orders = torch.lgamma(self.total_count + 1) - torch.lgamma(value + 1).sum(-1)
        total: Tensor = orders + (value * self.each.logits).sum(-1)
        return torch.where(value.sum(-1) == self.total_count, total, -math.inf)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, one data point after another."""
        counts, probs = self.total_count.flatten(), self.each.probs.flatten(0, -2)
        rows = [
            D.Multinomial(int(n), probs=p, validate_args=False).sample(sample_shape)
            for n, p in zip(counts, probs, strict=True)
        ]
        return torch.stack(rows, -2).reshape(*sample_shape, *self.batch_shape, *self.event_shape)


class Kumaraswamy(D.Kumaraswamy):
    """torch's, whose own density is minus infinity as soon as 1 - x^a rounds to 1."""

    def log_prob(self, value: Tensor) -> Tensor:
        """By the derivative of the distribution function 1 - (1 - x^a)^b, in logarithms."""
        a, b = self.concentration1, self.concentration0
        power = a * value.log()
        found: Tensor = (a * b).log() + power - value.log() + (b - 1) * (-torch.expm1(power)).log()
        return found


class _PointMass(D.Normal):
    """All mass at one point."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the mass of a value."""
        return torch.where(value == self.loc, 0.0, -math.inf).to(self.loc.dtype)


class _VonMises(D.VonMises):
    """Von Mises with the Bessel function to full precision: torch's polynomial is good to 1e-7."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log density."""
        log_i0 = torch.special.i0e(self.concentration).log() + self.concentration
        density: Tensor = self.concentration * torch.cos(value - self.loc) - log_i0 - math.log(2 * math.pi)
        return density


class _OneHot(D.OneHotCategorical):
    """Scored at any point of the simplex, as a relaxed draw is: torch would take the nearest corner."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum of y log p."""
        density: Tensor = (value * self.logits).sum(-1)
        return density


class _OnesOnly(D.Bernoulli):
    """Vedantam et al. 2017: only the ones count."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log p as far as the value is one, else nothing."""
        return torch.where(value == 0, 0.0, value * super().log_prob(torch.ones_like(value)))


def _logistic(loc: Tensor, scale: Tensor) -> D.Distribution:
    uniform = D.Uniform(torch.zeros_like(loc), torch.ones_like(loc), validate_args=False)
    logit = D.SigmoidTransform().inv
    return _Symmetric(uniform, [logit, D.AffineTransform(loc, scale)], validate_args=False)


def _logit_normal(loc: Tensor, scale: Tensor) -> D.Distribution:
    return _WithMedian(D.Normal(loc, scale, validate_args=False), [D.SigmoidTransform()], validate_args=False)


class _Symmetric(D.TransformedDistribution):
    """A distribution whose mean is where the middle of its base goes."""

    @property
    def mean(self) -> Tensor:
        """The median."""
        value = self.base_dist.mean
        for transform in self.transforms:
            value = transform(value)
        return value

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        wide = super().expand(batch_shape)
        return _Symmetric(wide.base_dist, wide.transforms, validate_args=False)


class _WithMedian(D.TransformedDistribution):
    """A change of variables, whose median is that of its base."""

    @property
    def median(self) -> Tensor:
        """The median."""
        value: Tensor = self.base_dist.mean
        for transform in self.transforms:
            value = transform(value)
        return value


class AsymmetricLaplace(D.Distribution):
    """A mixture of an exponential above the location and one below it."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, asymmetry: Tensor) -> None:
        self.loc, self.scale, self.asymmetry = torch.broadcast_tensors(loc, scale, asymmetry)
        self.above = D.Exponential(self.asymmetry / self.scale, validate_args=False)
        self.below = D.Exponential(1 / (self.asymmetry * self.scale), validate_args=False)
        # The densities of both meet at the location.
        self.share = 1 / (1 + self.asymmetry**2)
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        given = (self.loc, self.scale, self.asymmetry)
        return AsymmetricLaplace(*(value.expand(batch_shape) for value in given))

    @property
    def mean(self) -> Tensor:
        """That of the mixture."""
        mean: Tensor = self.loc + self.share * self.above.mean - (1 - self.share) * self.below.mean
        return mean

    def log_prob(self, value: Tensor) -> Tensor:
        """That of the mixture."""
        away = value - self.loc
        above = self.share.log() + self.above.log_prob(away.abs())
        below = (1 - self.share).log() + self.below.log_prob(away.abs())
        return torch.where(away >= 0, above, below)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the distribution function."""
        u = torch.rand((*sample_shape, *self.batch_shape), dtype=torch.float64)
        low = 1 - self.share
        below = (u / low).clamp(1e-300, 1).log() * self.scale * self.asymmetry
        above = -((1 - u) / self.share).clamp(1e-300, 1).log() * self.scale / self.asymmetry
        drawn: Tensor = self.loc + torch.where(u < low, below, above)
        return drawn


_TRANSFORMED: dict[str, Callable[..., D.Distribution]] = {
    "AsymmetricLaplace": AsymmetricLaplace,
    "DiscretizedLogistic": DiscretizedLogistic,
    "GeneralizedPareto": GeneralizedPareto,
    "LKJCholesky": LKJCholesky,
    "OrderedLogistic": ordered_logistic,
    "VonMisesFisher": VonMisesFisher,
    "ZeroInflatedNegativeBinomial": zero_inflated_negative_binomial,
    "ZeroInflatedPoisson": zero_inflated_poisson,
    "Logistic": _logistic,
    "LogitNormal": _logit_normal,
}
"""Families that torch has not, of what it has."""
