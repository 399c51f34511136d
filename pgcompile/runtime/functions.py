"""Special functions and linear algebra that torch does not have, written to be copied into emitted modules."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def bernoulli_cross_entropy(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """-log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return entropy.sum(tuple(range(-rank, 0))) if rank else entropy


def bernoulli_log_prob(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -entropy.sum(tuple(range(-rank, 0))) if rank else -entropy


def log_bessel_i0(x: Tensor) -> Tensor:
    """log I0(x) for x >= 0, the modified Bessel function of order 0, without overflow."""
    return torch.special.i0e(x).log() + x


def bessel_ratio(x: Tensor) -> Tensor:
    """I1(x) / I0(x) for x >= 0: the mean resultant length of a von Mises variable."""
    return torch.special.i1e(x) / torch.special.i0e(x)


def log_expm1_ratio(x: Tensor) -> Tensor:
    """log((exp(x) - 1) / x), near 0 by the series of x / 2 + log(sinh(h) / h) at h = |x| / 2."""
    h = x.abs() / 2
    near = h < 0.1
    far = torch.where(near, 1.0, h)
    square = h.square()
    tail = 1 / 180 - square * (1 / 2835 - square / 37800)
    series = square * (1 / 6 - square * tail)
    exact = x.clamp_min(0.0) + torch.log(-torch.expm1(-2 * far)) - torch.log(2 * far)
    return torch.where(near, x / 2 + series, exact)


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """Mean of a continuous Bernoulli: 1 / (1 - exp(-l)) - 1 / l, by its series near 0."""
    near = logits.abs() < 0.2
    far = torch.where(near, 1.0, logits)
    square = logits.square()
    tail = 1 / 720 - square * (1 / 30240 - square / 1209600)
    series = 0.5 + logits * (1 / 12 - square * tail)
    return torch.where(near, series, -1 / torch.expm1(-far) - 1 / far)


def continuous_bernoulli_variance(logits: Tensor) -> Tensor:
    """Variance of a continuous Bernoulli: 1 / l^2 - 1 / (4 sinh(l / 2)^2), by its series near 0."""
    size = logits.abs()
    near = size < 0.2
    far = torch.where(near, 1.0, size)
    square = size.square()
    tail = 1 / 6048 - square * (1 / 172800 - square / 5322240)
    series = 1 / 12 - square * (1 / 240 - square * tail)
    decay = torch.exp(-far)
    exact = 1 / far.square() - decay / torch.expm1(-far).square()
    return torch.where(near, series, exact)


def continuous_bernoulli_draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Inverse distribution function of a continuous Bernoulli at `uniform`, by reflection for positive logits."""
    size = logits.abs()
    near = size < 1e-3
    far = torch.where(near, 1.0, size)
    flipped = torch.where(logits > 0, 1 - uniform, uniform)
    exact = -torch.log1p(flipped * torch.expm1(-far)) / far
    bend = flipped * (flipped - 1) / 2
    series = flipped + size * bend * (1 + size * (2 * flipped - 1) / 3)
    draw = torch.where(near, series, exact)
    return torch.where(logits > 0, 1 - draw, draw)


def clipped_unit(x: Tensor) -> Tensor:
    """Draws in the unit interval kept off its ends, where rounding would put them."""
    limits = torch.finfo(x.dtype)
    return x.clamp(limits.tiny, 1 - limits.eps)


def clipped_positive(x: Tensor) -> Tensor:
    """Positive draws kept off zero, to which rounding would send them."""
    return x.clamp(torch.finfo(x.dtype).tiny)


def exp_minus(x: Tensor) -> Tensor:
    """exp(-x), or the largest number where that is infinite: 0 times it is 0."""
    return (-x).clamp_max(0.999 * math.log(torch.finfo(x.dtype).max)).exp()


def log_abs(x: Tensor) -> Tensor:
    """log |x|; -inf at 0, from where no gradient comes."""
    inside = x.abs().clamp_min(torch.finfo(x.dtype).tiny).log()
    return torch.where(x == 0, -torch.inf, inside)


def log_mean(value: Tensor, dim: int) -> Tensor:
    """log of the mean of exp(value)."""
    size = torch.full_like(value.select(dim, 0), value.shape[dim])
    return value.logsumexp(dim) - size.log()


def leave_one_out(log_w: Tensor, dim: int) -> Tensor:
    """Log of the mean weight with each weight replaced by the geometric mean of the others."""
    rows = log_w.movedim(dim, -1)
    count = rows.shape[-1]
    others = (rows.sum(-1, keepdim=True) - rows) / (count - 1)
    eye = torch.eye(count, dtype=torch.bool, device=rows.device)
    table = torch.where(eye, others.unsqueeze(-1), rows.unsqueeze(-2))
    found = table.logsumexp(-1) - torch.log(torch.full_like(rows, count))
    return found.movedim(-1, dim)


def lower_cholesky(free: Tensor) -> Tensor:
    """A lower triangular matrix with positive diagonal from free numbers."""
    diagonal = torch.nn.functional.softplus(free.diagonal(dim1=-2, dim2=-1))
    return free.tril(-1) + torch.diag_embed(diagonal)


def positive_definite(free: Tensor) -> Tensor:
    """A positive definite matrix from free numbers, through its Cholesky factor."""
    tril = lower_cholesky(free)
    return tril @ tril.mT


def cholesky_of_inverse(precision: Tensor) -> Tensor:
    """Cholesky factor of the inverse of a precision matrix, without inverting it."""
    flipped = torch.linalg.cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    identity = torch.diag_embed(torch.ones_like(precision[..., 0, :]))
    return torch.linalg.solve_triangular(flipped, identity, upper=False)


def solve_vector(tril: Tensor, vector: Tensor) -> Tensor:
    """L^-1 v for a lower triangular L, over all batch dimensions of both."""
    column = vector.unsqueeze(-1)
    return torch.linalg.solve_triangular(tril, column, upper=False).squeeze(-1)


def gradient(function, at: Tensor) -> Tensor:
    """Gradient of a number for each data point with respect to `at`, differentiable itself."""
    return torch.func.grad(lambda value: function(value).sum())(at)


def jacobian(function, at: Tensor, size: int) -> Tensor:
    """Derivatives of `size` numbers for each data point: [..., size, n], a row for each."""
    rows = [gradient(lambda v, i=i: function(v)[..., i], at) for i in range(size)]
    return torch.stack(rows, -2)


def zero_inflated(x: Tensor, log_prob: Tensor, gate: Tensor) -> Tensor:
    """log of a count's probability, made zero with the probability of a gate; `log_prob` is that without it."""
    nearby = log_prob.clamp_min(-50)
    near = torch.log(nearby.exp() - gate * torch.expm1(nearby))
    # Far out exp(log_prob) is no number next to a gate, and a gate of 0 has no logarithm.
    tiny = torch.finfo(gate.dtype).tiny
    log_gate = torch.where(gate < tiny, -torch.inf, gate.clamp_min(tiny).log())
    far = torch.logaddexp(log_gate, log_prob.clamp_max(-50))
    at_zero = torch.where(log_prob > -50, near, far)
    counted = torch.log1p(-torch.where(x == 0, 0.0, gate)) + log_prob
    return torch.where(x == 0, at_zero, counted)


def zero_inflated_by_logits(x: Tensor, log_prob: Tensor, logits: Tensor) -> Tensor:
    """`zero_inflated` with the logits of the gate."""
    rest = F.logsigmoid(-logits) + log_prob
    return torch.where(x == 0, torch.logaddexp(F.logsigmoid(logits), rest), rest)


def log_sigmoid_difference(low: Tensor, high: Tensor, gap: Tensor) -> Tensor:
    """log(sigmoid(high) - sigmoid(low)), where gap = high - low is known to its last digit; nan where it is below 0."""
    least = torch.finfo(gap.dtype).tiny
    share = torch.log(-torch.expm1(-gap.clamp_min(least)))
    both = F.logsigmoid(high) + F.logsigmoid(-low) + share
    return torch.where(gap < 0, torch.nan, both)


def ordered_log_probs(predictor: Tensor, cutpoints: Tensor) -> Tensor:
    """log-probabilities of ordered categories: predictor [..., 1], cutpoints [..., K - 1] -> [..., K]."""
    cutpoints = cutpoints.sort(-1).values  # in training they may pass each other
    ends = cutpoints - predictor
    low, high = ends[..., :-1], ends[..., 1:]
    gap = (cutpoints.diff() + torch.zeros_like(predictor)).expand(low.shape)
    inside = log_sigmoid_difference(low, high, gap)
    first, last = F.logsigmoid(ends[..., :1]), F.logsigmoid(-ends[..., -1:])
    return torch.cat((first, inside, last), -1)


def expm1_ratio(x: Tensor) -> Tensor:
    """(exp(x) - 1) / x, by its series near 0."""
    near = x.abs() < 1e-2
    far = torch.where(near, 1.0, x)
    tail = 1 / 24 + x * (1 / 120 + x * (1 / 720 + x / 5040))
    series = 1 + x * (1 / 2 + x * (1 / 6 + x * tail))
    return torch.where(near, series, torch.expm1(far) / far)


def log1p_series(x: Tensor) -> Tensor:
    """log(1 + x) / x for |x| < 0.01."""
    tail = 1 / 5 - x * (1 / 6 - x * (1 / 7 - x / 8))
    return 1 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * tail)))


def log_generalized_pareto(away: Tensor, shape: Tensor, log_scale: Tensor) -> Tensor:
    """-(1 / k + 1) log(1 + k z) - log scale at shape k and z = away / scale, by its limit at k = 0.

    It is -inf where z < 0 or 1 + k z <= 0.
    """
    bent = shape * away
    # Where k z is large its logarithm is a difference of logarithms: the quotient may be infinite.
    large = (away > 0) & (bent > 0) & (bent.abs().log() > log_scale)
    z = away * exp_minus(torch.where(large, 0.0, log_scale))
    inside = large | ((away >= 0) & (1 + shape * z > 0))
    bend = torch.where(inside & ~large, shape * z, 0.0)
    near = bend.abs() < 1e-2
    straight = z * log1p_series(torch.where(near, bend, 0.0))
    middle = torch.log1p(torch.where(near, 0.0, bend))
    log_bend = torch.where(large, bent, 1.0).log() - log_scale
    curve = torch.where(large, log_bend + F.softplus(-log_bend), middle)
    curve = curve / torch.where(near & ~large, 1.0, shape)
    density = -(1 + shape) * torch.where(near & ~large, straight, curve)
    return torch.where(inside, density - log_scale, -torch.inf)


def logit_of(uniform: Tensor) -> Tensor:
    """The logit of uniform noise, which is kept off 0 and 1."""
    kind = torch.finfo(uniform.dtype)
    u = uniform.clamp(kind.tiny, 1 - kind.eps)
    return u.log() - torch.log1p(-u)


def log_binned_logistic(z: Tensor, reach: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """log of the mass of a logistic variable within `reach` of z; the least and the largest z have the tails."""
    inside = log_sigmoid_difference(z - reach, z + reach, 2 * reach)
    above = torch.where(z > high - reach, F.logsigmoid(reach - z), inside)
    return torch.where(z < low + reach, F.logsigmoid(z + reach), above)


def low_rank_parts(factor: Tensor, diagonal: Tensor) -> tuple:
    """A = D^-1/2 W and the Cholesky factor of I + A' A, in double precision."""
    scaled = factor.double() / diagonal.double().sqrt().unsqueeze(-1)
    inner = scaled.mT @ scaled
    one = torch.ones_like(inner[..., 0])
    return scaled, torch.linalg.cholesky(inner + torch.diag_embed(one))


def low_rank_log_det(factor: Tensor, diagonal: Tensor) -> Tensor:
    """log det(W W' + D) of W [..., n, r] and a diagonal D [..., n]."""
    _, tril = low_rank_parts(factor, diagonal)
    logs = tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return (2 * logs + diagonal.double().log().sum(-1)).to(diagonal.dtype)


def low_rank_log_prob(away: Tensor, factor: Tensor, diagonal: Tensor) -> Tensor:
    """log density of a Normal with the covariance W W' + D, at x - loc [..., n].

    y' (I + A A')^-1 y is the least |y - A c|^2 + |c|^2, a sum in which nothing cancels.
    """
    scaled, tril = low_rank_parts(factor, diagonal)
    y = (away.double() / diagonal.double().sqrt()).unsqueeze(-1)
    seen = torch.linalg.solve_triangular(tril, scaled.mT @ y, upper=False)
    c = torch.linalg.solve_triangular(tril.mT, seen, upper=True)
    square = (y - scaled @ c).square().sum((-2, -1)) + c.square().sum((-2, -1))
    logs = 2 * tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    logs = logs + diagonal.double().log().sum(-1)
    constant = away.shape[-1] * math.log(2 * math.pi)
    return (-0.5 * (square + logs + constant)).to(away.dtype)


def log_bessel_of_large_order(x: Tensor, order: float) -> Tensor:
    """log(x^-v I_v(x)) - x for an order v of 24 or more, to 1e-9 (Debye's expansion, DLMF 10.41)."""
    s = torch.hypot(x, torch.full_like(x, order))
    p = order / s
    q = p.square()
    u1 = 0.125 - 0.20833333333333334 * q
    u2 = 0.0703125 + q * (-0.4010416666666667 + q * 0.3342013888888889)
    tail = 1.8464626736111112 - q * 1.0258125964506173
    u3 = 0.0732421875 + q * (-0.8912109375 + q * tail)
    tail = 8.78912353515625 + q * (-11.207002616222994 + q * 4.669584423426247)
    u4 = 0.112152099609375 + q * (-2.3640869140625 + q * tail)
    tail = -91.81824154324002 + q * (84.63621767460073 - q * 28.212072558200244)
    tail = -7.368794359479632 + q * (42.53499874538846 + q * tail)
    u5 = 0.22710800170898438 + q * tail
    t = p / order
    series = t * (u1 + t * (u2 + t * (u3 + t * (u4 + t * u5))))
    far = order**2 / (s + x) - order * torch.log(order + s)
    return far - 0.5 * torch.log(2 * math.pi * s) + torch.log1p(series)


def log_bessel_and_ratio(x: Tensor, dim: int) -> tuple:
    """log(x^-v I_v(x)) - x and I_(v+1)(x) / I_v(x) for v = dim / 2 - 1, x >= 0.

    From a large order downwards, which adds positive numbers only.
    """
    order = dim / 2 - 1
    steps = max(0, math.ceil(24 - order))
    top = order + steps
    value = log_bessel_of_large_order(x, top)
    ratio = x * torch.exp(log_bessel_of_large_order(x, top + 1) - value)
    for step in range(steps):
        below = 2 * (top - step) + x * ratio
        value, ratio = value + torch.log(below), x / below
    return value, ratio


def log_sphere_constant(concentration: Tensor, dim: int) -> Tensor:
    """log of the integral of exp(k (x_1 - 1)) over the unit sphere in `dim` dimensions."""
    value, _ = log_bessel_and_ratio(concentration.double(), dim)
    constant = 0.5 * dim * math.log(2 * math.pi)
    return (value + constant).to(concentration.dtype)


def sphere_mean(concentration: Tensor, dim: int) -> Tensor:
    """Length of the mean of a von Mises-Fisher variable in `dim` dimensions."""
    _, ratio = log_bessel_and_ratio(concentration.double(), dim)
    return ratio.to(concentration.dtype)


def sphere_lack(lack: Tensor, concentration: Tensor, dim: int) -> Tensor:
    """A draw 1 - m . x of a von Mises-Fisher vector, with its slope over the concentration."""
    with torch.no_grad():
        slope = sphere_lack_slope(lack.double(), concentration.double(), dim)
    moved = concentration - concentration.detach()
    return lack + moved * slope.to(lack.dtype)


def sphere_lack_slope(lack: Tensor, concentration: Tensor, dim: int) -> Tensor:
    """The slope at which 1 - m . x keeps its rank among all draws, by implicit differentiation.

    The distribution function of the angle is integrated from the draw to the nearer end, or to where nothing is left,
    by a rule whose nodes crowd doubly exponentially at both ends (Takahasi & Mori 1974).
    """
    _, mean = log_bessel_and_ratio(concentration, dim)
    angle = 2 * (lack / 2).sqrt().asin()
    wide = 12 * concentration.clamp_min(max(dim - 2, 1)).rsqrt()
    near = 1 - lack > mean
    end = torch.where(near, angle, math.pi - angle)
    span = torch.where(near, -1.0, 1.0) * torch.minimum(end, wide)
    places = torch.linspace(-3.2, 3.2, 97, dtype=lack.dtype, device=lack.device)
    steep = math.pi / 2 * places.sinh()
    nodes = torch.sigmoid(2 * steep)
    weights = math.pi / 2 * places.cosh() / steep.cosh().square() / 2 * (6.4 / 96)
    step = span.unsqueeze(-1) * nodes
    at, start = angle.unsqueeze(-1) + step, angle.unsqueeze(-1)
    rise = -2 * torch.sin(start + step / 2) * torch.sin(step / 2)
    log_ratio = concentration.unsqueeze(-1) * rise
    if dim > 2:
        least = torch.finfo(lack.dtype).tiny
        sines = at.sin().clamp_min(least).log() - start.sin().clamp_min(least).log()
        log_ratio = log_ratio + (dim - 2) * sines
    apart = (1 - mean - lack).unsqueeze(-1) + rise
    total = (weights * log_ratio.exp() * apart).sum(-1)
    return angle.sin() * span * total


def sphere_direction(loc: Tensor, lack: Tensor, normals: Tensor) -> Tensor:
    """A unit vector at a cosine 1 - lack [...] to loc [..., n], to the side of normal noise [..., n] (Ulrich 1984)."""
    mean = loc / torch.linalg.vector_norm(loc, dim=-1, keepdim=True)
    aside = normals
    for _ in range(2):  # noise that lies along the mean leaves few digits aside of it
        aside = aside - (aside * mean).sum(-1, keepdim=True) * mean
        aside = aside / torch.linalg.vector_norm(aside, dim=-1, keepdim=True)
    t = lack.unsqueeze(-1)
    least = torch.finfo(lack.dtype).tiny
    return (1 - t) * mean + (t * (2 - t)).clamp_min(least).sqrt() * aside


def log_normal_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of a standard normal's mass between two bounds, in whichever tail they lie."""
    turned = low > 0
    a, b = torch.where(turned, -high, low), torch.where(turned, -low, high)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    share = torch.where(log_a < log_b, log_a - log_b, -torch.finfo(log_a.dtype).eps)
    return log_b + torch.log(-torch.expm1(share))


def normal_between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """The value between two bounds below which a share of a standard normal lies."""
    turned = low > 0
    a, b = torch.where(turned, -high, low), torch.where(turned, -low, high)
    part = torch.where(turned, 1 - share, share)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    share = (part + (1 - part) * (log_a - log_b).exp()).clamp_min(1e-37)
    found = torch.minimum(torch.maximum(log_ndtri(log_b + share.log()), a), b)
    return torch.where(turned, -found, found)


def log_ndtri(y: Tensor) -> Tensor:
    """The value at which the log of a standard normal's distribution function is y, by Newton's method in the tail."""
    deep = y < -10
    tail = torch.where(deep, y, -10.0)
    twice = -2 * tail.detach()
    x = -(twice - twice.log() - math.log(2 * math.pi)).sqrt()
    for step in range(4):
        here = torch.special.log_ndtr(x)
        slope = (-0.5 * x.square() - 0.5 * math.log(2 * math.pi) - here).exp()
        x = x - (here - (tail if step == 3 else tail.detach())) / slope
    return torch.where(deep, x, torch.special.ndtri(torch.where(deep, -10.0, y).exp()))
