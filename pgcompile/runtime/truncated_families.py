"""Families between bounds, written to be copied into emitted modules: each by its coordinate in a standard family."""

import math

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.distributions import Kumaraswamy, Weibull
from pgcompile.runtime.families import GeneralizedPareto, Logistic, LogitNormal
from pgcompile.runtime.functions import (
    clipped_positive,
    clipped_unit,
    expm1_ratio,
    log_normal_mass,
    normal_between,
)
from pgcompile.runtime.truncation import (
    cauchy_between,
    exponential_between,
    exponential_mean,
    laplace_between,
    log1m_exp,
    log1p_bend,
    log_cauchy_mass,
    log_exponential_mass,
    log_laplace_mass,
    log_logistic_mass,
    logistic_between,
    normal_slopes,
)


class Truncated(D.Distribution):
    """A family between two bounds, or beyond one."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True
    first = -math.inf
    share = 1.0

    def __init__(self, *given, low=None, high=None, validate_args=None) -> None:
        bounds = [end for end in (low, high) if end is not None]
        wide = D.utils.broadcast_all(*given, *bounds)
        self.given, self.low, self.high = wide[: len(given)], low, high
        if high is not None:
            self.high = wide[-1]
        if low is not None:
            self.low = wide[len(given)]
        self.ends = self.standard_bounds()
        super().__init__(wide[0].shape, validate_args=False)

    def standard_bounds(self) -> tuple:
        """The coordinates of both bounds."""
        like = torch.ones_like(self.given[0])
        pairs = ((self.low, self.first), (self.high, math.inf))
        found = []
        for bound, end in pairs:
            known = bound is not None
            found.append(self.coordinate(self.hold(bound)) if known else like * end)
        return tuple(found)

    def mass(self, low: Tensor, high: Tensor) -> Tensor:
        """log of the mass of the standard family between two coordinates."""
        return log_normal_mass(low, high)

    def between(self, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """The coordinate between two below which a share of that mass lies."""
        return normal_between(low, high, share)

    def without_bounds(self, family):
        """A class of distributions at the parameters."""
        return family(*self.given, validate_args=False)

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.Normal)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value inside the support of the whole family."""
        return value

    def coordinate(self, value: Tensor) -> Tensor:
        """A value as one of the standard family."""
        loc, scale = self.given
        return (value - loc) / scale

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The value of a coordinate."""
        loc, scale = self.given
        return loc + scale * coordinate

    def inside(self, value: Tensor) -> Tensor:
        """The nearest value between the bounds."""
        value = value if self.low is None else torch.maximum(value, self.low)
        return value if self.high is None else torch.minimum(value, self.high)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        given = [value.expand(batch_shape) for value in self.given]
        bounds = {"low": self.low, "high": self.high}
        wide = {n: v if v is None else v.expand(batch_shape) for n, v in bounds.items()}
        return type(self)(*given, **wide)

    @property
    def median(self) -> Tensor:
        """The value that half of the draws are below."""
        return self.icdf(torch.full_like(self.given[0], 0.5))

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.rand_like(self.given[0].expand(shape))
        return self.icdf(clipped_unit(noise))

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of the family over the share between the bounds."""
        held = self.inside(value)
        safe = self.hold(held)
        density = self.whole().log_prob(safe)
        mass = self.mass(*self.ends) + math.log(self.share)
        same = (held == value) & (safe == value)
        return torch.where(same, density - mass, -torch.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The share of draws below a value."""
        z = self.coordinate(self.hold(self.inside(value)))
        a, b = self.ends
        return (self.mass(a, z) - self.mass(a, b)).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which a share of the draws lies."""
        a, b = self.ends
        return self.inside(self.value_of(self.between(a, b, value)))


class TruncatedNormal(Truncated):
    """A normal distribution between bounds."""

    @property
    def mean(self) -> Tensor:
        """The mean, by the densities at the bounds."""
        return self.value_of(normal_slopes(*self.ends))


class TruncatedHalfNormal(TruncatedNormal):
    """A half-normal distribution between bounds."""

    first = 0.0
    share = 2.0

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.HalfNormal)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value that is not negative."""
        return value.clamp_min(0.0)

    def coordinate(self, value: Tensor) -> Tensor:
        """A value over the scale."""
        return value / self.given[0]

    def value_of(self, coordinate: Tensor) -> Tensor:
        """A coordinate times the scale."""
        return self.given[0] * coordinate


class TruncatedLogNormal(Truncated):
    """A log-normal distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.LogNormal)

    @property
    def mean(self) -> Tensor:
        """That of the whole, times the share between the bounds of a variable that is one scale further."""
        loc, scale = self.given
        a, b = self.ends
        moved = self.mass(a - scale, b - scale) - self.mass(a, b)
        return torch.exp(loc + scale.square() / 2 + moved)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest positive value."""
        return clipped_positive(value)

    def coordinate(self, value: Tensor) -> Tensor:
        """The logarithm, in scales from the location."""
        return super().coordinate(value.log())

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The exponential of a normal variable."""
        return super().value_of(coordinate).exp()


class TruncatedLogitNormal(Truncated):
    """A logit-normal distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(LogitNormal)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value inside the unit interval."""
        return clipped_unit(value)

    def coordinate(self, value: Tensor) -> Tensor:
        """The logit, in scales from the location."""
        return super().coordinate(value.log() - torch.log1p(-value))

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The sigmoid of a normal variable."""
        return torch.sigmoid(super().value_of(coordinate))


class TruncatedLogistic(Truncated):
    """A logistic distribution between bounds."""

    def mass(self, low: Tensor, high: Tensor) -> Tensor:
        """log of the mass of the standard family between two coordinates."""
        return log_logistic_mass(low, high)

    def between(self, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """The coordinate between two below which a share of that mass lies."""
        return logistic_between(low, high, share)

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(Logistic)


class TruncatedLaplace(Truncated):
    """A Laplace distribution between bounds."""

    def mass(self, low: Tensor, high: Tensor) -> Tensor:
        """log of the mass of the standard family between two coordinates."""
        return log_laplace_mass(low, high)

    def between(self, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """The coordinate between two below which a share of that mass lies."""
        return laplace_between(low, high, share)

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.Laplace)


class TruncatedCauchy(Truncated):
    """A Cauchy distribution between bounds."""

    def mass(self, low: Tensor, high: Tensor) -> Tensor:
        """log of the mass of the standard family between two coordinates."""
        return log_cauchy_mass(low, high)

    def between(self, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """The coordinate between two below which a share of that mass lies."""
        return cauchy_between(low, high, share)

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.Cauchy)


class TruncatedByExponential(Truncated):
    """A family that is a function of an exponential variable, between bounds."""

    first = 0.0

    def mass(self, low: Tensor, high: Tensor) -> Tensor:
        """log of the mass of the standard family between two coordinates."""
        return log_exponential_mass(low, high)

    def between(self, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """The coordinate between two below which a share of that mass lies."""
        return exponential_between(low, high, share)


class TruncatedExponential(TruncatedByExponential):
    """An exponential distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.Exponential)

    @property
    def mean(self) -> Tensor:
        """The mean of a standard one over the rate."""
        return exponential_mean(*self.ends) / self.given[0]

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value that is not negative."""
        return value.clamp_min(0.0)

    def coordinate(self, value: Tensor) -> Tensor:
        """A value times the rate."""
        return self.given[0] * value

    def value_of(self, coordinate: Tensor) -> Tensor:
        """A coordinate over the rate."""
        return coordinate / self.given[0]


class TruncatedGumbel(TruncatedByExponential):
    """A Gumbel distribution between bounds; its coordinate falls as the value grows."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.Gumbel)

    def standard_bounds(self) -> tuple:
        """The coordinates of the upper bound and of the lower one."""
        like = torch.ones_like(self.given[0])
        pairs = ((self.high, 0.0), (self.low, math.inf))
        found = []
        for bound, end in pairs:
            known = bound is not None
            found.append(self.coordinate(bound) if known else like * end)
        return tuple(found)

    def coordinate(self, value: Tensor) -> Tensor:
        """exp(-z), z in scales from the location."""
        return torch.exp(-super().coordinate(value))

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The location less the scaled logarithm."""
        loc, scale = self.given
        return loc - scale * clipped_positive(coordinate).log()

    def cdf(self, value: Tensor) -> Tensor:
        """The share of draws below a value."""
        z = self.coordinate(self.inside(value))
        a, b = self.ends
        return (self.mass(z, b) - self.mass(a, b)).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which a share of the draws lies."""
        return super().icdf(1 - value)


class TruncatedWeibull(TruncatedByExponential):
    """A Weibull distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(Weibull)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest positive value."""
        return clipped_positive(value)

    def coordinate(self, value: Tensor) -> Tensor:
        """The power of a value over the scale."""
        scale, power = self.given
        return torch.exp(power * (value.log() - scale.log()))

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The scaled root of a coordinate."""
        scale, power = self.given
        return scale * torch.exp(clipped_positive(coordinate).log() / power)


class TruncatedPareto(TruncatedByExponential):
    """A Pareto distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(D.Pareto)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value that is at least the scale."""
        return torch.maximum(value, self.given[0])

    def coordinate(self, value: Tensor) -> Tensor:
        """The logarithm over the scale, times the power."""
        scale, power = self.given
        return power * (value.log() - scale.log())

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The scale times an exponential."""
        scale, power = self.given
        return scale * torch.exp(coordinate / power)


class TruncatedKumaraswamy(TruncatedByExponential):
    """A Kumaraswamy distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(Kumaraswamy)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value inside the unit interval."""
        return clipped_unit(value)

    def coordinate(self, value: Tensor) -> Tensor:
        """-b log(1 - x^a)."""
        a, b = self.given
        return -b * log1m_exp(a * value.log())

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The root of one less an exponential."""
        a, b = self.given
        power = -torch.expm1(-clipped_positive(coordinate) / b)
        return torch.exp(power.log() / a)


class TruncatedGeneralizedPareto(TruncatedByExponential):
    """A generalised Pareto distribution between bounds."""

    def whole(self):
        """The family without bounds."""
        return self.without_bounds(GeneralizedPareto)

    def hold(self, value: Tensor) -> Tensor:
        """The nearest value above the location."""
        return torch.maximum(value, self.given[0])

    def coordinate(self, value: Tensor) -> Tensor:
        """log(1 + k z) / k, z in scales from the location."""
        loc, scale, shape = self.given
        return log1p_bend((value - loc) / scale, shape)

    def value_of(self, coordinate: Tensor) -> Tensor:
        """The inverse, which is the coordinate itself at a shape of 0."""
        loc, scale, shape = self.given
        return loc + scale * coordinate * expm1_ratio(shape * coordinate)
