"""Distributions that torch does not have, or not with pathwise draws, written to be copied into emitted modules."""

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.checks import broadcast_batches
from pgcompile.runtime.draws import draw_binomial, draw_von_mises, standard_gamma
from pgcompile.runtime.functions import clipped_positive, clipped_unit, log_bessel_i0, log_expm1_ratio


def as_event(name: str, found, shape: tuple, batch: tuple) -> D.Distribution:
    """A supplied distribution of events of a shape, whatever it left to its batch.

    `batch` is the batch shape of what it was made for.
    """
    if not hasattr(found, "event_shape"):
        got = type(found).__name__
        raise TypeError(f"{name}, as supplied, gives {got}, not a distribution")
    size = (*found.batch_shape, *found.event_shape)
    if size[max(len(size) - len(shape), 0) :] != shape:
        raise ValueError(f"{name}, as supplied, must end in {shape}, not {size}")
    sizes = {"its parents": batch, "what it gives": size[: len(size) - len(shape)]}
    broadcast_batches(f"{name}, as supplied,", sizes)
    left = len(shape) - len(found.event_shape)
    return D.Independent(found, left) if left > 0 else found


class VonMises(D.VonMises):
    """A von Mises distribution that draws without a loop and scores to full precision."""

    def log_prob(self, value: Tensor) -> Tensor:
        """k cos(x - loc) - log(2 pi I0(k))."""
        cosine = self.concentration * torch.cos(value - self.loc)
        return cosine - log_bessel_i0(self.concentration) - 1.8378770664093453

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Angles in [-pi, pi)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return draw_von_mises(self.loc.expand(shape), self.concentration.expand(shape))


class Dirichlet(D.Dirichlet):
    """A Dirichlet distribution that draws by gammas, which have kernels everywhere."""

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Points of the simplex, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        gammas = standard_gamma(self.concentration.expand(shape))
        return clipped_positive(gammas / gammas.sum(-1, keepdim=True))


class Beta(D.Beta):
    """A beta distribution that draws by gammas, which have kernels everywhere."""

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Numbers of the unit interval, pathwise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        one = standard_gamma(self.concentration1.expand(shape))
        other = standard_gamma(self.concentration0.expand(shape))
        return clipped_unit(one / (one + other))


class Binomial(D.Binomial):
    """A binomial distribution that draws without a kernel of its own."""

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Counts of successes."""
        shape = self._extended_shape(torch.Size(sample_shape))
        count, probs = self.total_count.expand(shape), self.probs.expand(shape)
        with torch.no_grad():
            return draw_binomial(count, probs)


class Kumaraswamy(D.Kumaraswamy):
    """A Kumaraswamy distribution scored to full precision at both ends."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log(a b) + (a - 1) log x + (b - 1) log(1 - x^a)."""
        a, b = self.concentration1, self.concentration0
        above = torch.log(-torch.expm1(a * value.log()))
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * above


class Weibull(D.Weibull):
    """A Weibull distribution scored in logarithms, where a power of x would underflow."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log(k / scale) + (k - 1) log(x / scale) - (x / scale)^k."""
        k, log_scale = self.concentration, self.scale.log()
        ratio = value.log() - log_scale
        return k.log() - log_scale + (k - 1) * ratio - torch.exp(k * ratio)


class InverseGamma(D.InverseGamma):
    """An inverse gamma distribution scored without its reciprocal's square."""

    def log_prob(self, value: Tensor) -> Tensor:
        """a log b - (a + 1) log x - b / x - log G(a)."""
        a, b = self.concentration, self.rate
        return a * b.log() - (a + 1) * value.log() - b / value - a.lgamma()


class Geometric(D.Geometric):
    """A geometric distribution scored by its logits, where a probability would round to 1."""

    def log_prob(self, value: Tensor) -> Tensor:
        """x log(1 - p) + log p."""
        less, logits = torch.nn.functional.softplus, self.logits
        return -value * less(logits) - less(-logits)


class RelaxedBernoulli(D.RelaxedBernoulli):
    """A relaxed Bernoulli scored to full precision at both ends."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log t + d - 2 softplus(d) - log x - log(1 - x), d = logits - t logit(x)."""
        low, high = value.log(), torch.log1p(-value)
        d = self.logits - self.temperature * (low - high)
        flat = torch.nn.functional.softplus(d)
        return self.temperature.log() + d - 2 * flat - low - high


class ContinuousBernoulli(D.ContinuousBernoulli):
    """A continuous Bernoulli scored to full precision also near probability 1/2."""

    def log_prob(self, value: Tensor) -> Tensor:
        """logits x - log((exp(logits) - 1) / logits)."""
        return self.logits * value - log_expm1_ratio(self.logits)


class FactorizedBernoulli(D.Bernoulli):
    """A Bernoulli scored on its ones only (Vedantam et al. 2017)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """x log p(x = 1)."""
        return -value * torch.nn.functional.softplus(-self.logits)


class Delta(D.Distribution):
    """All mass at the point `v`."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, v: Tensor, event_dim: int) -> None:
        self.v = v
        batch, event = v.shape[: v.ndim - event_dim], v.shape[v.ndim - event_dim :]
        super().__init__(batch, event, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.v

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """The point, repeated."""
        return self.v.expand((*sample_shape, *self.v.shape))

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        rank = len(self.event_shape)
        return Delta(self.v.expand((*batch_shape, *self.event_shape)), rank)

    @property
    def variance(self) -> Tensor:
        """Nothing varies."""
        return torch.zeros_like(self.v)

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the mass of a value: 0 at the point, -inf elsewhere."""
        mass = torch.where(value == self.v, 0.0, -torch.inf)
        rank = len(self.event_shape)
        return mass.sum(list(range(-rank, 0))) if rank else mass


class FlowDistribution(D.Distribution):
    """A base seen through a flow, which takes data to it and back."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, base, flow, context=None, inverted=False) -> None:
        self.base, self.flow = base, flow
        self.context, self.inverted = context, inverted
        shape = flow.out_shape if inverted else flow.shape
        batch = base.batch_shape
        if context is not None:
            batch = torch.broadcast_shapes(batch, context.shape[:-1])
            self.base = base.expand(batch)
        super().__init__(batch, torch.Size(shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Where the mean of the base comes from, which is no mean but its place."""
        return self._back(self.base.mean)[0]

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        base = self.base.expand(batch_shape)
        return FlowDistribution(base, self.flow, self.context, self.inverted)

    def _back(self, u: Tensor) -> tuple:
        run = self.flow if self.inverted else self.flow.inverse
        return run(u, self.context)

    def log_prob(self, value: Tensor) -> Tensor:
        """log-density of the base where the flow takes a value, and log-determinant."""
        run = self.flow.inverse if self.inverted else self.flow
        u, ladj = run(value, self.context)
        return self.base.log_prob(u) + ladj

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Pathwise draws."""
        return self._back(self.base.rsample(sample_shape))[0]

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws without a gradient."""
        if torch.compiler.is_compiling():
            with torch.no_grad():
                return self.rsample(sample_shape)
        with torch.inference_mode():  # many small steps, of which nothing is kept
            draws = self.rsample(sample_shape)
        return draws.clone()  # a tensor like any other

    def rsample_and_log_prob(self, sample_shape=()) -> tuple:
        """Pathwise draws and their log-density, from one pass through the flow."""
        u = self.base.rsample(sample_shape)
        x, ladj = self._back(u)
        return x, self.base.log_prob(u) - ladj
