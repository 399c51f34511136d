"""Inverses of monotone functions that have no formula."""

import torch
from torch import Tensor


def extended(f, x: Tensor, bound: float):
    """A monotone function on [-bound, bound], continued along its tangents outside.

    Where it is flatter than 1e-3 at the end, it goes on with that slope: every value is
    taken somewhere.

    Returns:
        The value and the log-slope.
    """
    inside = x.clamp(-bound, bound)
    y, log_slope = f(inside)
    log_slope = torch.where(inside == x, log_slope, log_slope.clamp_min(-6.9))
    return torch.addcmul(y, log_slope.exp(), x - inside), log_slope


def solved(f, y: Tensor, bound: float):
    """x with f(x) = y for an increasing f that is continued along its tangents outside [-bound, bound].

    The root is bracketed; Newton steps are taken inside the bracket, halvings in turn. Two last
    steps of Newton carry gradients: each doubles the order that is right, so first and second
    derivatives are those of the inverse function.

    Returns:
        x and the log-slope of the inverse.
    """
    with torch.no_grad():
        low, high = torch.full_like(y, -bound), torch.full_like(y, bound)
        x = torch.zeros_like(y)
        for i in range(24):
            value, log_slope = f(x)
            under = value < y
            low, high = torch.where(under, x, low), torch.where(under, high, x)
            newton = x - (value - y) * torch.exp(-log_slope)
            middle = (low + high) / 2
            x = (
                middle
                if i % 3 == 2
                else torch.where((newton > low) & (newton < high), newton, middle)
            )
    for _ in range(2):
        value, log_slope = extended(f, x, bound)
        x = x - (value - y) * torch.exp(-log_slope)
    return x, -extended(f, x, bound)[1]
