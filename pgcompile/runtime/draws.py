"""Draws from distributions, pathwise where that is possible, written to be copied into emitted modules."""

import torch
import torch.distributions as D
from torch import Tensor


def draw_of(distribution, shape: tuple = ()) -> Tensor:
    """A draw of a distribution, as often as the shape says."""
    return distribution.sample(shape)


def mean_of(distribution, shape: tuple = ()) -> Tensor:
    """The mean of a distribution, repeated as often as the shape says."""
    return (mean := distribution.mean).expand((*shape, *mean.shape))


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draws of a standard gamma, at least in single precision: torch has no other."""
    narrow = torch.finfo(concentration.dtype).bits < 32
    return torch._standard_gamma(concentration.float() if narrow else concentration)


def relaxed_bernoulli(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """A number of the unit interval near the outcome of a Bernoulli draw."""
    return torch.sigmoid((logits + torch.logit(uniform, eps=1e-7)) / temperature)


def relaxed_one_hot(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """A point of the simplex near the corner of a categorical draw."""
    gumbel = -torch.log(-torch.log1p(-uniform).clamp(max=-1e-20))
    return ((logits + gumbel) / temperature).softmax(-1)


def hard_bernoulli(soft: Tensor) -> Tensor:
    """0 or 1, whichever is nearer."""
    return (soft > 0.5).to(soft.dtype)


def hard_one_hot(soft: Tensor) -> Tensor:
    """The nearest corner of the simplex."""
    return torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)


def draw_category(logits: Tensor) -> Tensor:
    """Index drawn with probability softmax(logits), as the place of the largest Gumbel-perturbed logit."""
    uniform = torch.rand_like(logits)
    return (logits - torch.log(-torch.log1p(-uniform))).argmax(-1)


def draw_binomial(count: Tensor, probs: Tensor, steps: int = 24) -> Tensor:
    """Successes of `count` trials, by the order statistics of their uniforms (Devroye 1986, chapter X.4.3).

    A step halves the trials that are left: `steps` of them serve counts below 2^steps.
    """
    n, p = torch.broadcast_tensors(count.to(probs.dtype), probs)
    found = torch.zeros_like(p)
    for _ in range(steps):
        a = torch.floor(n / 2) + 1
        one, other = standard_gamma(a), standard_gamma((n + 1 - a).clamp(min=1.0))
        middle = one / (one + other)
        going = n > 0
        below = going & (middle <= p)
        found = found + torch.where(below, a, 0.0)
        left = torch.where(below, n - a, a - 1)
        inside = torch.where(below, (p - middle) / (1 - middle), p / middle).clamp(0, 1)
        n, p = torch.where(going, left, 0.0), torch.where(going, inside, p)
    return found


def draw_multinomial(logits: Tensor, total_count: int) -> Tensor:
    """Counts of `total_count` indices drawn with probability softmax(logits)."""
    uniform = torch.rand_like(logits.expand(total_count, *logits.shape))
    index = (logits - torch.log(-torch.log1p(-uniform))).argmax(-1)
    counts = torch.nn.functional.one_hot(index, logits.shape[-1]).sum(0)
    return counts.to(logits.dtype)


def draw_counts(logits: Tensor, total_count: Tensor) -> Tensor:
    """Counts of indices drawn with probability softmax(logits), of a number in each row."""
    most = torch.arange(int(total_count.max()), device=logits.device)
    uniform = torch.rand_like(logits.expand(len(most), *logits.shape))
    index = (logits - torch.log(-torch.log1p(-uniform))).argmax(-1)
    kept = most.reshape(-1, *(1 for _ in total_count.shape)) < total_count
    outcomes = torch.nn.functional.one_hot(index, logits.shape[-1])
    return (outcomes * kept.unsqueeze(-1)).sum(0).to(logits.dtype)


def draw_von_mises(loc: Tensor, concentration: Tensor) -> Tensor:
    """Angle drawn by the rejection method of Best and Fisher (1979), the first accepted of 32 proposals.

    At least 65 % of proposals are accepted, so that all are rejected less than once in 10^14 draws.
    """
    # The score function carries the gradient: a path through the proposals would count it twice.
    loc, concentration = loc.detach(), concentration.detach()
    shape = (32, *concentration.shape)
    kappa = concentration.double().clamp(min=1e-8)
    tau = 1 + (1 + 4 * kappa.square()).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
    r = (1 + rho.square()) / (2 * rho)
    # Below 1e-5 the closed form loses its digits; this is its expansion.
    r = torch.where(kappa < 1e-5, 1 / kappa + kappa, r)
    u1, u2, u3 = (torch.rand_like(kappa.expand(shape)) for _ in range(3))
    z = torch.cos(torch.pi * u1)
    f = ((1 + r * z) / (r + z)).clamp(-1, 1)
    c = kappa * (r - f)
    accepted = (c * (2 - c) > u2) | (torch.log(c / u2) + 1 - c >= 0)
    first = accepted.to(torch.int8).argmax(0, keepdim=True)
    angle = ((u3 - 0.5).sign() * f.acos()).gather(0, first).squeeze(0)
    turned = torch.remainder(angle + torch.pi + loc.double(), 2 * torch.pi)
    return (turned - torch.pi).to(concentration.dtype)


def draw_sphere_lack(concentration: Tensor, dim: int) -> Tensor:
    """1 - m . x of a von Mises-Fisher vector x of `dim` numbers, the first accepted of 32 proposals (Wood 1994).

    At least 65 % of proposals are accepted, so that all are rejected less than once in 10^14 draws.
    """
    rest = dim - 1
    kappa = concentration.detach().double()
    b = rest / (2 * kappa + (4 * kappa.square() + rest**2).sqrt())
    wide = kappa.expand(32, *kappa.shape)
    half = torch.full_like(wide, rest / 2)
    one, other = standard_gamma(half), standard_gamma(half)
    z, u = one / (one + other), torch.rand_like(wide)
    # What the proposed cosine lacks of 1 keeps its digits where the draws lie close together.
    lack = 2 * b * z / (1 - (1 - b) * z)
    least = (1 - b) / (1 + b)
    height = kappa * (2 * b / (1 + b) - lack)
    share = (2 * b / (1 + b) + least * lack) * (1 + b).square() / (4 * b)
    height = height + rest * torch.log(share)
    first = (height >= torch.log(u)).to(torch.int8).argmax(0, keepdim=True)
    return lack.gather(0, first).squeeze(0).to(concentration.dtype)


def draw_from(distribution: D.Distribution, shape: tuple[int, ...]) -> Tensor:
    """A draw, pathwise where the distribution can."""
    if distribution.has_rsample:
        return distribution.rsample(shape)
    return distribution.sample(shape)
