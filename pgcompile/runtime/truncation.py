"""Standard families between two bounds: the logarithm of the mass there, and the value at a share of it.

A bound may be infinite where it is a number. In the upper tail both bounds are mirrored, so that no mass is the
difference of two numbers near one.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pgcompile.runtime.functions import log1p_series, log_normal_mass


def log1m_exp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) of a negative number, to full precision at both ends (Maechler 2012)."""
    near = x > -0.6931471805599453
    close, far = torch.where(near, x, -1.0), torch.where(near, -1.0, x)
    below = torch.log(-torch.expm1(close))
    return torch.where(near, below, torch.log1p(-torch.exp(far)))


def log_exponential_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(exp(-low) - exp(-high))."""
    apart = (high - low).clamp_min(torch.finfo(low.dtype).tiny)
    return log1m_exp(-apart) - low


def exponential_between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """The value between two bounds below which a share of a standard exponential lies."""
    return low - torch.log1p(share * torch.expm1(low - high))


def exponential_mean(low: Tensor, high: Tensor) -> Tensor:
    """The mean of a standard exponential between two bounds: low + 1 - d / (exp(d) - 1), d = high - low."""
    apart = (high - low).clamp_max(80.0)
    near = apart < 0.1
    far = torch.where(near, 1.0, apart)
    short = torch.where(near, apart, 0.0)
    series = short * (0.5 - short * (1 / 12 - short.square() / 720))
    return low + torch.where(near, series, 1 - far / torch.expm1(far))


def mirrored(low: Tensor, high: Tensor) -> tuple:
    """Bounds of which the lower is not above the centre, and whether both were turned for that."""
    turned = low > 0
    return torch.where(turned, -high, low), torch.where(turned, -low, high), turned


def log_symmetric_mass(log_below, low: Tensor, high: Tensor) -> Tensor:
    """log of a symmetric family's mass between two bounds, of the log of its distribution function."""
    a, b, _ = mirrored(low, high)
    log_a, log_b = log_below(a), log_below(b)
    share = torch.where(log_a < log_b, log_a - log_b, -torch.finfo(log_a.dtype).eps)
    return log_b + log1m_exp(share)


def symmetric_between(log_below, value_at, low, high, share: Tensor) -> Tensor:
    """The value between two bounds below which a share of a symmetric family lies.

    Args:
        log_below: the log of its distribution function.
        value_at: the inverse of that.
        low: the lower bound.
        high: the upper bound.
        share: between 0 and 1.
    """
    a, b, turned = mirrored(low, high)
    part = torch.where(turned, 1 - share, share)
    log_a, log_b = log_below(a), log_below(b)
    kind = torch.finfo(log_a.dtype)
    inside = (part + (1 - part) * (log_a - log_b).exp()).clamp_min(kind.tiny)
    found = value_at((log_b + inside.log()).clamp_max(-kind.tiny))
    found = torch.minimum(torch.maximum(found, a), b)
    return torch.where(turned, -found, found)


def log_logistic_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of a standard logistic's mass between two bounds."""
    return log_symmetric_mass(F.logsigmoid, low, high)


def logistic_at(level: Tensor) -> Tensor:
    """The value at which the log of a standard logistic's distribution function is a level."""
    return level - log1m_exp(level)


def logistic_between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """The value between two bounds below which a share of a standard logistic lies."""
    return symmetric_between(F.logsigmoid, logistic_at, low, high, share)


def log_laplace_below(x: Tensor) -> Tensor:
    """log of a standard Laplace's distribution function."""
    return x.clamp_max(0.0) + torch.log1p(-0.5 * torch.exp(-x.clamp_min(0.0)))


def laplace_at(level: Tensor) -> Tensor:
    """The value at which the log of a standard Laplace's distribution function is a level."""
    half = math.log(2)
    lower = level < -half
    rest = torch.where(lower, -half, level)
    return torch.where(lower, level + half, -half - torch.log(-torch.expm1(rest)))


def log_laplace_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of a standard Laplace's mass between two bounds."""
    return log_symmetric_mass(log_laplace_below, low, high)


def laplace_between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """The value between two bounds below which a share of a standard Laplace lies."""
    return symmetric_between(log_laplace_below, laplace_at, low, high, share)


def cauchy_angle(low: Tensor, high: Tensor) -> tuple:
    """Bounds with squares in range, and the angle between them, atan(high) - atan(low)."""
    a, b = low.clamp(-1e15, 1e15), high.clamp(-1e15, 1e15)
    return a, torch.atan2(b - a, 1 + a * b)


def log_cauchy_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of a standard Cauchy's mass between two bounds."""
    _, angle = cauchy_angle(low, high)
    return torch.log(angle.clamp_min(torch.finfo(angle.dtype).tiny) / math.pi)


def cauchy_between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """The value between two bounds below which a share of a standard Cauchy lies: the tangent of a sum of angles."""
    a, angle = cauchy_angle(low, high)
    turn = torch.tan(share * angle)
    return (a + turn) / (1 - a * turn)


def log1p_bend(z: Tensor, shape: Tensor) -> Tensor:
    """log(1 + k z) / k at a shape k, z at k = 0; infinite from where 1 + k z is not positive."""
    bent = shape * z
    inside = bent > -1
    bend = torch.where(inside, bent, 0.0)
    near = bend.abs() < 1e-2
    straight = z * log1p_series(torch.where(near, bend, 0.0))
    curved = torch.log1p(torch.where(near, 0.0, bend)) / torch.where(near, 1.0, shape)
    return torch.where(inside, torch.where(near, straight, curved), torch.inf)


def normal_slopes(low: Tensor, high: Tensor) -> Tensor:
    """The mean of a standard normal between two bounds: the densities at both over the mass between them."""
    mass = log_normal_mass(low, high)
    first, last = (torch.exp(-0.5 * end.square() - mass) for end in (low, high))
    return 0.3989422804014327 * (first - last)
