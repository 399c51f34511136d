"""Distributions of counts, indices and levels that torch does not have, written to be copied into emitted modules."""

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.functions import (
    log_binned_logistic,
    logit_of,
    ordered_log_probs,
    zero_inflated,
    zero_inflated_by_logits,
)


class ZeroInflated(D.Distribution):
    """A count that is made zero with the probability of a gate."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, base, known: Tensor, by_logits: bool) -> None:
        shape = torch.broadcast_shapes(base.batch_shape, known.shape)
        self.base, self.known = base.expand(shape), known.expand(shape)
        self.by_logits = by_logits
        super().__init__(shape, validate_args=False)

    @property
    def gate(self) -> Tensor:
        """The probability of the zero."""
        return torch.sigmoid(self.known) if self.by_logits else self.known

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        base, known = self.base.expand(batch_shape), self.known.expand(batch_shape)
        return ZeroInflated(base, known, self.by_logits)

    @property
    def mean(self) -> Tensor:
        """(1 - gate) times that of the count."""
        return (1 - self.gate) * self.base.mean

    @property
    def variance(self) -> Tensor:
        """That of the count, and of the gate."""
        base = self.base.variance + self.gate * self.base.mean.square()
        return (1 - self.gate) * base

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            kept = 1 - torch.bernoulli(self.gate.expand(shape))
            return kept * self.base.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log(gate [x = 0] + (1 - gate) p(x))."""
        inflated = zero_inflated_by_logits if self.by_logits else zero_inflated
        return inflated(value, self.base.log_prob(value), self.known)


class ZeroInflatedPoisson(ZeroInflated):
    """A Poisson count with more zeros."""

    def __init__(self, rate, gate=None, gate_logits=None, **_) -> None:
        known = gate if gate_logits is None else gate_logits
        rate, known = D.utils.broadcast_all(rate, known)
        base = D.Poisson(rate, validate_args=False)
        super().__init__(base, known, gate_logits is not None)


class ZeroInflatedNegativeBinomial(ZeroInflated):
    """A negative binomial count with more zeros."""

    def __init__(self, total_count, gate=None, gate_logits=None, **odds) -> None:
        known = gate if gate_logits is None else gate_logits
        odds.pop("validate_args", None)
        (name, odd), *_ = odds.items()
        count, odd, known = D.utils.broadcast_all(total_count, odd, known)
        base = D.NegativeBinomial(count, **{name: odd}, validate_args=False)
        super().__init__(base, known, gate_logits is not None)


class OrderedLogistic(D.Categorical):
    """An index of ordered categories, cut from a logistic variable around a predictor."""

    def __init__(self, predictor, cutpoints: Tensor, **_) -> None:
        column = torch.as_tensor(predictor).to(cutpoints).unsqueeze(-1)
        logits = ordered_log_probs(column, cutpoints)
        super().__init__(logits=logits, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        plain = D.Categorical(logits=self.logits, validate_args=False)
        return plain.expand(batch_shape)


class DiscretizedLogistic(D.Distribution):
    """A logistic variable rounded to levels of equal distance; the ends have the tails."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, loc, scale, levels=256, low=-1.0, high=1.0, **_) -> None:
        wide = D.utils.broadcast_all(loc, scale, low, high)
        self.loc, self.scale, self.low, self.high = wide
        self.levels = levels
        self.step = (self.high - self.low) / (levels - 1)
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        parts = (self.loc, self.scale, self.low, self.high)
        loc, scale, low, high = (value.expand(batch_shape) for value in parts)
        return DiscretizedLogistic(loc, scale, self.levels, low, high)

    @property
    def mean(self) -> Tensor:
        """The lowest level, and a step for each level that is reached."""
        places = torch.arange(1, self.levels, device=self.loc.device) - 0.5
        edges = self.low.unsqueeze(-1) + self.step.unsqueeze(-1) * places
        away = (self.loc.unsqueeze(-1) - edges) / self.scale.unsqueeze(-1)
        return self.low + self.step * torch.sigmoid(away).sum(-1)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            uniform = torch.rand_like(self.loc.expand(shape))
            drawn = self.loc + self.scale * logit_of(uniform)
            inside = torch.minimum(torch.maximum(drawn, self.low), self.high)
            places = torch.round((inside - self.low) / self.step)
            return self.low + self.step * places

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the mass of the level of a value."""
        ends = (value, self.low, self.high)
        z, low, high = ((end - self.loc) / self.scale for end in ends)
        return log_binned_logistic(z, self.step / 2 / self.scale, low, high)
