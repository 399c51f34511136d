"""Draws of the reference interpreter from noise that somebody else drew.

Two interpreters that draw for themselves agree in distribution only. Given the same noise they must agree draw by draw,
value and pathwise gradient, so that a comparison needs no statistics. Each family's draw is written here from its
textbook form and torch's own distribution; nothing of the compiler is used.

Noise that depends on a parameter (a standard gamma of its concentration, a draw of a discrete family) comes with the
parameter that it was drawn with, to be compared with the reference's own.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.reference.families import AsymmetricLaplace, Counts
from pgcompile.reference.own_families import VonMisesFisher, ZeroInflated


@dataclass(frozen=True)
class Noise:
    """One recorded call of a random number generator.

    Args:
        kind: `normal`, `uniform`, `gamma` (standard), or `draw` for the value of a family without a pathwise gradient.
        value: what came out: `[replicates, *axes, *batch, ...]`.
        arguments: what it was drawn with, dimensions as in `value`.
        axes: the draws of several samples that it has a dimension for, in their order.
        batched: whether it has the batch dimensions.
    """

    kind: str
    value: Tensor
    arguments: tuple[Tensor, ...] = ()
    axes: tuple[Hashable, ...] = ()
    batched: bool = True

    def placed(self, lead: Sequence[Hashable], batch_rank: int) -> "Noise":
        """With the dimensions of a draw: one for each draw of `lead`, the replicates, the batch."""

        def place(tensor: Tensor) -> Tensor:
            own = 1 + len(self.axes)
            order = [1 + self.axes.index(draw) for draw in lead if draw in self.axes]
            tensor = tensor.permute(*order, 0, *range(own, tensor.ndim))
            for position, draw in enumerate(lead):
                if draw not in self.axes:
                    tensor = tensor.unsqueeze(position)
            for _ in range(0 if self.batched else batch_rank):
                tensor = tensor.unsqueeze(len(lead) + 1)
            return tensor

        return Noise(self.kind, place(self.value), tuple(map(place, self.arguments)))


@dataclass(frozen=True)
class Drawn:
    """A draw, and pairs of what noise was drawn with and what it should have been drawn with."""

    value: Tensor
    compared: tuple[tuple[Tensor, Tensor], ...] = ()


class _Gamma(torch.autograd.Function):
    """A given standard gamma draw with its implicit pathwise gradient (Figurnov, Mohamed & Mnih 2018)."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, value)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        concentration, value = ctx.saved_tensors
        return gradients[0] * torch._standard_gamma_grad(concentration, value), None


def draw_from_noise(base: D.Distribution, noise: Sequence[Noise]) -> Drawn:
    """A draw of a distribution of `torch.distributions` from recorded noise.

    Args:
        base: the distribution, without the declaration of its event dimensions.
        noise: its noise, in the order of the family's definition.

    Raises:
        LookupError: no draw of this family from noise of these kinds is known.
    """
    kinds = " ".join(n.kind for n in noise)
    if isinstance(base, ZeroInflated) and kinds.startswith("draw draw"):
        kept = draw_from_noise(base.base, noise[1:])
        return Drawn((1 - noise[0].value) * kept.value, ((noise[0].arguments[0], base.gate), *kept.compared))
    if isinstance(base, D.Wishart | D.LKJCholesky):
        return _from_rows(base, noise)
    if isinstance(base, VonMisesFisher):
        return _from_cosine(base, noise)
    known = _from_value if kinds == "draw" else _from_gamma if "gamma" in kinds else _from_normal_or_uniform
    drawn = known(base, kinds, noise)
    if drawn is None:
        raise LookupError(f"{type(base).__name__} from {kinds}")
    return drawn


def _from_normal_or_uniform(base: D.Distribution, kinds: str, noise: Sequence[Noise]) -> Drawn | None:
    """A draw by its location and scale, or by its inverse distribution function."""
    first = noise[0].value
    match base, kinds:
        case D.LogNormal(), "normal":
            return Drawn(torch.exp(base.loc + base.scale * first))
        case D.HalfNormal(), "normal":
            return Drawn(base.scale * first.abs())
        case D.LowRankMultivariateNormal(), "normal normal":
            inner = (base._unbroadcasted_cov_factor @ noise[1].value.unsqueeze(-1)).squeeze(-1)
            return Drawn(base.loc + inner + base._unbroadcasted_cov_diag.sqrt() * first)
        case D.MultivariateNormal(), "normal":
            return Drawn(base.loc + (base.scale_tril @ first.unsqueeze(-1)).squeeze(-1))
        case D.Normal(), "normal":
            return Drawn(base.loc + base.scale * first)
        case D.Laplace(), "uniform uniform":
            return Drawn(base.loc + base.scale * (_exponential(first) - _exponential(noise[1].value)))
        case AsymmetricLaplace(asymmetry=k), "uniform uniform":
            return Drawn(base.loc + base.scale * (_exponential(first) / k - k * _exponential(noise[1].value)))
        case D.Exponential(), "uniform":
            return Drawn(_positive(_exponential(first)) / base.rate)
        case D.RelaxedBernoulli(), "uniform":
            logistic = _unit(first).log() - (1 - _unit(first)).log()
            return Drawn(_unit(torch.sigmoid((base.logits + logistic) / base.temperature)))
        case D.RelaxedOneHotCategorical(), "uniform":
            gumbel = -_positive(_exponential(first)).log()
            return Drawn(_positive(torch.softmax((base.logits + gumbel) / base.temperature, -1)))
        case D.Gumbel(), "uniform":
            return Drawn(base.loc - base.scale * _positive(_exponential(first)).log())
        case D.Geometric(), "uniform":
            return Drawn(torch.floor(_exponential(first) / -torch.log1p(-base.probs)))
        case D.ContinuousBernoulli(), "uniform":
            return Drawn(_continuous_bernoulli(base.logits, first))
        case D.Distribution(), "uniform" if _has_icdf(base):
            return Drawn(base.icdf(first))
        case D.TransformedDistribution(base_dist=D.Normal() as inner), "normal":
            value = inner.loc + inner.scale * first
            for transform in base.transforms:
                value = transform(value)
            return Drawn(value)
        case _:
            return None


def _from_gamma(base: D.Distribution, kinds: str, noise: Sequence[Noise]) -> Drawn | None:
    """A draw made of standard gamma draws."""
    first = noise[0].value
    match base, kinds:
        case D.InverseGamma(), "gamma":
            gamma, compared = _gamma(base.concentration, noise[0])
            return Drawn(base.rate / gamma, compared)
        case D.Gamma(), "gamma":
            gamma, compared = _gamma(base.concentration, noise[0])
            return Drawn(_positive(gamma / base.rate), compared)
        case D.Beta(), "gamma gamma":
            one, compared = _gamma(base.concentration1, noise[0])
            other, more = _gamma(base.concentration0, noise[1])
            return Drawn(_unit(one / (one + other)), compared + more)
        case D.Dirichlet(), "gamma":
            gammas, compared = _gamma(base.concentration, noise[0])
            return Drawn(_positive(gammas / gammas.sum(-1, keepdim=True)), compared)
        case D.StudentT(), "gamma normal":
            gamma, compared = _gamma(base.df / 2, noise[0])
            return Drawn(base.loc + base.scale * noise[1].value * torch.sqrt(base.df / 2 / gamma), compared)
        case D.NegativeBinomial(), "draw gamma":
            (rate,) = noise[0].arguments
            gamma, compared = _gamma(base.total_count, noise[1])
            return Drawn(first, (*compared, (rate, gamma * base.logits.exp())))
        case _:
            return None


def _from_rows(base: D.Distribution, noise: Sequence[Noise]) -> Drawn:
    """A matrix, row by row: of a Wishart by Bartlett 1933, of a correlation by Lewandowski, Kurowicka & Joe 2009."""
    normals = noise[-1].value
    if isinstance(base, D.Wishart):
        size = base.event_shape[-1]
        halves = (base.df.unsqueeze(-1) - torch.arange(size)) / 2
        gamma, compared = _gamma(halves, noise[0])
        root = torch.diag_embed((2 * gamma).sqrt()) + normals.tril(-1)
        half = base.scale_tril @ root
        return Drawn(half @ half.mT, compared)
    assert isinstance(base, D.LKJCholesky)
    size = base.dim
    rows = torch.arange(size, dtype=torch.float64)
    shape = (*base.concentration.shape, size)
    one, compared = _gamma(((rows.clamp(min=1)) / 2).expand(shape), noise[0])
    other, more = _gamma(base.concentration.unsqueeze(-1) + (size - 1 - rows) / 2, noise[1])
    share = torch.where(rows > 0, one / (one + other), 0.0)
    below = normals.tril(-1)
    length = below.norm(dim=-1, keepdim=True)
    ball = below / torch.where(length > 0, length, 1.0) * share.sqrt().unsqueeze(-1)
    return Drawn(ball + torch.diag_embed((1 - share).sqrt()), compared + more)


def _from_cosine(base: VonMisesFisher, noise: Sequence[Noise]) -> Drawn:
    """A direction at a cosine to the mean, to the side of normal noise."""
    found = base.at(noise[0].value, noise[1].value)
    return Drawn(found, ((noise[0].arguments[0], base.concentration),))


def _from_value(base: D.Distribution, kinds: str, noise: Sequence[Noise]) -> Drawn | None:
    """A draw of a discrete or circular family, which comes as it was drawn."""
    first = noise[0].value
    match base, kinds:
        case D.Categorical(), "draw":
            (logits,) = noise[0].arguments
            return Drawn(first, ((logits.log_softmax(-1), base.logits.log_softmax(-1)),))
        case D.OneHotCategorical(), "draw":
            (logits,) = noise[0].arguments
            value = torch.nn.functional.one_hot(first, base.logits.shape[-1]).double()
            return Drawn(value, ((logits.log_softmax(-1), base.logits.log_softmax(-1)),))
        case D.Multinomial(), "draw":
            (logits,) = noise[0].arguments
            return Drawn(first, ((logits.log_softmax(-1), base.logits.log_softmax(-1)),))
        case Counts(), "draw":
            logits, count = noise[0].arguments
            return Drawn(first, ((logits.log_softmax(-1), base.each.logits), (count, base.total_count)))
        case D.Binomial(), "draw":
            count, probs = noise[0].arguments
            return Drawn(first, ((count, base.total_count.expand(count.shape)), (probs, base.probs)))
        case D.Bernoulli(), "draw":
            return Drawn(first, ((noise[0].arguments[0], base.probs),))
        case D.Poisson(), "draw":
            return Drawn(first, ((noise[0].arguments[0], base.rate),))
        case D.VonMises(), "draw":
            loc, concentration = noise[0].arguments
            return Drawn(first, ((loc, base.loc), (concentration, base.concentration)))
        case _:
            return None


def relaxed_from_noise(base: D.Distribution, noise: Noise, temperature: float, *, hard: bool) -> Tensor:
    """A relaxed draw of a Bernoulli or one-hot variable; `hard` has the value of the draw and the relaxed gradient."""
    logits = base.logits  # type: ignore[attr-defined]
    u = noise.value
    if isinstance(base, D.Bernoulli):
        soft = torch.sigmoid((logits + torch.log(u) - torch.log1p(-u)) / temperature)
        corner = torch.round(soft)
    else:
        soft = torch.softmax((logits - torch.log(-torch.log1p(-u))) / temperature, -1)
        corner = torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
    return soft + (corner - soft).detach() if hard else soft


def _exponential(uniform: Tensor) -> Tensor:
    """A standard exponential draw by its inverse distribution function."""
    return -torch.log1p(-uniform)


def _continuous_bernoulli(logits: Tensor, uniform: Tensor) -> Tensor:
    """Inverse distribution function log(1 + u (e^l - 1)) / l, by its expansion where l is small."""
    near = logits.abs() < 1e-5
    slope = torch.where(near, 1.0, logits)
    exact = torch.log1p(uniform * torch.expm1(slope)) / slope
    return torch.where(near, uniform + logits * uniform * (1 - uniform) / 2, exact)


def _gamma(concentration: Tensor, noise: Noise) -> tuple[Tensor, tuple[tuple[Tensor, Tensor], ...]]:
    wide, value = torch.broadcast_tensors(concentration, noise.value)
    drawn: Tensor = _Gamma.apply(wide, value)
    return drawn, ((noise.arguments[0], concentration),)


def _unit(x: Tensor) -> Tensor:
    return x.clamp(torch.finfo(x.dtype).tiny, 1 - torch.finfo(x.dtype).eps)


def _positive(x: Tensor) -> Tensor:
    return x.clamp(torch.finfo(x.dtype).tiny)


class Choice(D.Distribution):
    """A mixture, drawn by an inverse distribution function over its components."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, weights: Sequence[Tensor], components: Sequence[D.Distribution]) -> None:
        self.weights, self.components = weights, components
        shape = torch.broadcast_shapes(*(w.shape for w in weights), *(c.batch_shape for c in components))
        super().__init__(shape, components[0].event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The weighted mean of the means."""
        rank = len(self.event_shape)
        total = sum(self.weights, torch.zeros(()))
        shares = [(w / total)[(..., *[None] * rank)] for w in self.weights]
        return sum((w * c.mean for w, c in zip(shares, self.components, strict=True)), torch.zeros(()))

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the weighted mean of the densities."""
        total = sum(self.weights, torch.zeros(()))
        densities = [c.log_prob(value).exp() for c in self.components]
        mixed = sum((w / total * d for w, d in zip(self.weights, densities, strict=True)), torch.zeros(()))
        return torch.log(torch.as_tensor(mixed))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A draw."""
        shape = (*sample_shape, *self.batch_shape)
        u = torch.rand(shape, dtype=torch.float64)
        total = sum(self.weights, torch.zeros(()))
        below = torch.zeros(())
        value = torch.zeros((*shape, *self.event_shape), dtype=torch.float64)
        for weight, component in zip(self.weights, self.components, strict=True):
            above = below + weight / total
            inside = ((u >= below) & (u < above))[(..., *[None] * len(self.event_shape))]
            drawn = component.expand(self.batch_shape).sample(sample_shape)
            value = torch.where(inside, drawn.to(value.dtype), value)
            below = above
        return value


def _has_icdf(base: D.Distribution) -> bool:
    return type(base).icdf is not D.Distribution.icdf
