"""Families that torch has not, for the reference: each from its definition, in double precision."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.distributions as D
from torch import Tensor


class ZeroInflated(D.Distribution):
    """With the probability of the gate zero, else a count."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, base: D.Distribution, gate: Tensor) -> None:
        shape = torch.broadcast_shapes(base.batch_shape, gate.shape)
        self.base, self.gate = base.expand(shape), gate.expand(shape)
        super().__init__(shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        return ZeroInflated(self.base.expand(batch_shape), self.gate.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """That of the mixture."""
        mean: Tensor = (1 - self.gate) * self.base.mean
        return mean

    def log_prob(self, value: Tensor) -> Tensor:
        """That of the mixture of a point mass and a count."""
        at_zero = torch.where(value == 0, self.gate.log(), -torch.inf)
        parts = torch.broadcast_tensors(at_zero, torch.log1p(-self.gate) + self.base.log_prob(value))
        return torch.logaddexp(*parts)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A count, or zero by chance."""
        drawn: Tensor = self.base.sample(sample_shape)
        return torch.where(torch.rand_like(drawn) < self.gate, 0.0, drawn)


def zero_inflated_poisson(
    rate: Tensor, gate: Tensor | None = None, gate_logits: Tensor | None = None
) -> D.Distribution:
    """A Poisson count with more zeros."""
    return ZeroInflated(D.Poisson(rate, validate_args=False), _probability(gate, gate_logits))


def zero_inflated_negative_binomial(
    total_count: Tensor, gate: Tensor | None = None, gate_logits: Tensor | None = None, **odds: Tensor
) -> D.Distribution:
    """A negative binomial count with more zeros."""
    base = D.NegativeBinomial(total_count, **odds, validate_args=False)
    return ZeroInflated(base, _probability(gate, gate_logits))


def _probability(gate: Tensor | None, logits: Tensor | None) -> Tensor:
    if gate is not None:
        return gate
    assert logits is not None
    return torch.sigmoid(logits)


def ordered_logistic(predictor: Tensor, cutpoints: Tensor) -> D.Distribution:
    """The mass of a logistic variable between its thresholds, in whatever order they are given."""
    cutpoints = torch.sort(cutpoints, -1).values
    shape = torch.broadcast_shapes(predictor.shape, cutpoints.shape[:-1])
    below = torch.sigmoid(cutpoints - predictor.unsqueeze(-1)).expand(*shape, -1)
    above = torch.sigmoid(predictor.unsqueeze(-1) - cutpoints).expand(*shape, -1)
    # The difference of the smaller tails keeps its digits.
    left = below[..., 1:] - below[..., :-1]
    right = above[..., :-1] - above[..., 1:]
    inside = torch.where(below[..., :-1] < 0.5, left, right)
    return D.Categorical(probs=torch.cat((below[..., :1], inside, above[..., -1:]), -1), validate_args=False)


class GeneralizedPareto(D.Distribution):
    """Excesses over a threshold."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, concentration: Tensor) -> None:
        self.loc, self.scale, self.shape = torch.broadcast_tensors(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        return GeneralizedPareto(*(v.expand(batch_shape) for v in (self.loc, self.scale, self.shape)))

    def _split(self) -> tuple[Tensor, Tensor]:
        """True where the tail is exponential for double precision, and a shape that is not zero."""
        flat = self.shape.abs() < 1e-9
        return flat, torch.where(flat, 1.0, self.shape)

    @property
    def mean(self) -> Tensor:
        """Infinite for heavy tails."""
        mean: Tensor = torch.where(self.shape < 1, self.loc + self.scale / (1 - self.shape), torch.inf)
        return mean

    def log_prob(self, value: Tensor) -> Tensor:
        """By the logarithm of one and the shape times the distance; where the shape is nearly zero, to first order."""
        flat, shape = self._split()
        z = (value - self.loc) / self.scale
        inside = (z >= 0) & (1 + self.shape * z > 0)
        z = torch.where(inside, z, 0.0)
        curved = -(1 / shape + 1) * torch.log1p(shape * z)
        straight = -z - self.shape * (z - z**2 / 2)
        return torch.where(inside, torch.where(flat, straight, curved) - self.scale.log(), -torch.inf)

    @property
    def support(self) -> Any:
        """Every number: outside of what it can be, its distribution function is 0 or 1."""
        return D.constraints.real

    def cdf(self, value: Tensor) -> Tensor:
        """One less a power of one and the shape times the distance."""
        flat, shape = self._split()
        z = ((value - self.loc) / self.scale).clamp(min=0)
        bent = torch.where(1 + shape * z > 0, shape * z, -1.0)
        curved = -torch.expm1(-torch.log1p(bent) / shape)
        found: Tensor = torch.where(flat, -torch.expm1(-z + self.shape * z**2 / 2), curved)
        return found

    def icdf(self, value: Tensor) -> Tensor:
        """By powers of the share above."""
        flat, shape = self._split()
        noise = -torch.log1p(-value)
        curved = torch.expm1(shape * noise) / shape
        found: Tensor = self.loc + self.scale * torch.where(flat, noise + self.shape * noise**2 / 2, curved)
        return found

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse distribution function."""
        return self.icdf(torch.rand((*sample_shape, *self.batch_shape), dtype=torch.float64))


class DiscretizedLogistic(D.Distribution):
    """A logistic variable rounded to levels."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, loc: Tensor, scale: Tensor, levels: int, low: Tensor, high: Tensor) -> None:
        self.loc, self.scale, self.low, self.high = torch.broadcast_tensors(loc, scale, low, high)
        self.levels = levels
        self.step = (self.high - self.low) / (levels - 1)
        super().__init__(self.loc.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        loc, scale, low, high = (v.expand(batch_shape) for v in (self.loc, self.scale, self.low, self.high))
        return DiscretizedLogistic(loc, scale, self.levels, low, high)

    @property
    def mean(self) -> Tensor:
        """The sum of the levels by their masses."""
        values = torch.stack([self.low + k * self.step for k in range(self.levels)])
        total: Tensor = (values * self.log_prob(values).exp()).sum(0)
        return total

    def log_prob(self, value: Tensor) -> Tensor:
        """By the distribution function, or by what is above, whichever is smaller."""
        left = (value - self.step / 2 - self.loc) / self.scale
        right = (value + self.step / 2 - self.loc) / self.scale
        least, most = value < self.low + self.step / 2, value > self.high - self.step / 2
        mass = torch.sigmoid(right) - torch.sigmoid(left)
        above = torch.sigmoid(-left) - torch.sigmoid(-right)
        mass = torch.where(left + right > 0, above, mass)
        inside = mass.clamp_min(1e-300).log()
        tail = torch.nn.functional.logsigmoid
        return torch.where(least, tail(right), torch.where(most, tail(-left), inside))

    def icdf(self, value: Tensor) -> Tensor:
        """That of a logistic variable, rounded."""
        kind = torch.finfo(value.dtype)
        u = value.clamp(kind.tiny, 1 - kind.eps)
        drawn = (self.loc + self.scale * (u.log() - torch.log1p(-u))).clamp(self.low, self.high)
        found: Tensor = self.low + torch.round((drawn - self.low) / self.step) * self.step
        return found

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse distribution function."""
        with torch.no_grad():
            return self.icdf(torch.rand((*sample_shape, *self.batch_shape), dtype=torch.float64))


@cache
def _gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the rule on [-1, 1]."""
    points, shares = np.polynomial.legendre.leggauss(count)
    return torch.as_tensor(points), torch.as_tensor(shares)


class Lack(torch.autograd.Function):
    """One less the cosine of a given draw, which moves with the concentration so that its rank stays."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, value: Tensor, mean: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(concentration, value, mean)
        ctx.size = size
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        k, value, mean = (t.unsqueeze(-1) for t in ctx.saved_tensors)
        points, shares = _gauss_legendre(40)
        angle = torch.acos(1 - value)
        at = angle * (points + 1) / 2
        # The density of the angle over that at the draw, times the cosine less its mean, below the draw.
        rise = (ctx.size - 2) * (at.sin().log() - angle.sin().log()) + k * (at.cos() - angle.cos())
        below = (rise.exp() * (at.cos() - mean) * shares).sum(-1, keepdim=True) * angle / 2
        slope = -below * angle.sin()
        return gradients[0] * slope.squeeze(-1), None, None, None


class VonMisesFisher(D.Distribution):
    """A unit vector around a direction, its constant by quadrature over the angle between both."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        shape = torch.broadcast_shapes(loc.shape[:-1], concentration.shape)
        self.loc = loc.expand(*shape, loc.shape[-1])
        self.concentration = concentration.expand(shape)
        super().__init__(shape, loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        loc = self.loc.expand(*batch_shape, self.loc.shape[-1])
        return VonMisesFisher(loc, self.concentration.expand(batch_shape))

    def _angles(self) -> tuple[Tensor, Tensor]:
        """Cosines of angles at Gauss and Legendre's nodes, and the logarithms of their masses."""
        points, shares = _gauss_legendre(100)
        angles = (points + 1) * torch.pi / 2
        weights = (self.loc.shape[-1] - 2) * angles.sin().log() + (shares * torch.pi / 2).log()
        return angles.cos(), self.concentration.unsqueeze(-1) * angles.cos() + weights

    def length(self) -> Tensor:
        """The mean of the cosine."""
        cosines, masses = self._angles()
        found: Tensor = (masses.softmax(-1) * cosines).sum(-1)
        return found

    @property
    def mean(self) -> Tensor:
        """The direction at the mean of the cosine."""
        found: Tensor = self.length().unsqueeze(-1) * self.loc / self.loc.norm(dim=-1, keepdim=True)
        return found

    def log_prob(self, value: Tensor) -> Tensor:
        """The exponential family over its integral: of the angles, and of the sphere around."""
        rest = self.loc.shape[-1] - 1
        around = math.log(2) + rest / 2 * math.log(math.pi) - math.lgamma(rest / 2)
        constant = self._angles()[1].logsumexp(-1) + around
        along = (value * self.loc).sum(-1) / self.loc.norm(dim=-1)
        density: Tensor = self.concentration * along - constant
        return density

    def at(self, lack: Tensor, noise: Tensor) -> Tensor:
        """The unit vector at a cosine 1 - lack to the direction, to the side of noise; its rank stays."""
        wide, value, length = torch.broadcast_tensors(self.concentration, lack, self.length().detach())
        lack = Lack.apply(wide, value, length, self.loc.shape[-1])
        mean = self.loc / self.loc.norm(dim=-1, keepdim=True)
        aside = noise - (noise * mean).sum(-1, keepdim=True) * mean
        aside = aside / aside.norm(dim=-1, keepdim=True)
        t = lack.unsqueeze(-1)
        found: Tensor = (1 - t) * mean + (t * (2 - t)).sqrt() * aside
        return found

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """An angle from the table, and a direction around."""
        with torch.no_grad():
            angles = (torch.arange(4000, dtype=torch.float64) + 0.5) * torch.pi / 4000
            masses = (self.loc.shape[-1] - 2) * angles.sin().log()
            masses = masses + self.concentration.unsqueeze(-1) * angles.cos()
            value = 1 - angles.cos()[D.Categorical(logits=masses).sample(sample_shape)]
            noise = torch.randn(*sample_shape, *self.loc.shape, dtype=torch.float64)
        return self.at(value, noise)


class LKJCholesky(D.LKJCholesky):
    """The Cholesky factor of a correlation matrix: draws by its partial correlations, the mean by quadrature.

    The rows that torch draws are longer below the diagonal than its density says, from the third on.
    """

    def __init__(self, dim: int, concentration: Tensor) -> None:
        super().__init__(dim, concentration, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> D.Distribution:
        """The same for more batch dimensions."""
        return LKJCholesky(self.dim, self.concentration.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """The lengths that the rows leave for the diagonal; below it every sign is as likely as the other."""
        odds = torch.linspace(-90, 90, 9001, dtype=torch.float64)
        rows = torch.arange(self.dim, dtype=torch.float64).clamp(min=1).unsqueeze(-1)
        inside, outside = rows / 2, self.concentration.unsqueeze(-1).unsqueeze(-1) + (self.dim - 1 - rows) / 2
        # A Beta variable by the density of its log-odds, which falls exponentially on both sides.
        tail = torch.nn.functional.logsigmoid
        masses = inside * tail(odds) + outside * tail(-odds)
        lengths = (masses.softmax(-1) * torch.sigmoid(-odds).sqrt()).sum(-1)
        lengths = torch.cat((torch.ones_like(lengths[..., :1]), lengths[..., 1:]), -1)
        return torch.diag_embed(lengths)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Each partial correlation is a Beta variable between -1 and 1 (Lewandowski, Kurowicka & Joe 2009)."""
        with torch.no_grad():
            shape = (*sample_shape, *self.batch_shape)
            found = torch.zeros(*shape, self.dim, self.dim, dtype=torch.float64)
            found[..., 0, 0] = 1
            for row in range(1, self.dim):
                left = torch.ones(shape, dtype=torch.float64)
                for column in range(row):
                    alpha = (self.concentration + (self.dim - 2 - column) / 2).expand(shape)
                    partial = 2 * D.Beta(alpha, alpha).sample() - 1
                    found[..., row, column] = partial * left.sqrt()
                    left = left * (1 - partial**2)
                found[..., row, row] = left.sqrt()
            return found
