"""Integrals of the reference interpreter, from values of the integrand alone."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def integral_of_gaussian(log_density: Callable[[Tensor], Tensor], size: int) -> Tensor:
    """log of the integral of `exp(f)` where f is quadratic: `f(h) = c + g'h - h'Ph/2`, read off its values.

    Args:
        log_density: f, of a vector of `size` entries.
        size: number of entries.
    """
    unit = torch.eye(size, dtype=torch.float64)
    centre = log_density(torch.zeros(size, dtype=torch.float64))
    ahead = [log_density(e) for e in unit]
    behind = [log_density(-e) for e in unit]
    gradient = torch.stack([(a - b) / 2 for a, b in zip(ahead, behind, strict=True)], -1)
    rows = []
    for i in range(size):
        row = []
        for j in range(size):
            if i == j:
                row.append(2 * centre - ahead[i] - behind[i])
            else:
                row.append(ahead[i] + ahead[j] - centre - log_density(unit[i] + unit[j]))
        rows.append(torch.stack(torch.broadcast_tensors(*row), -1))
    precision = torch.stack(rows, -2)
    solved = torch.linalg.solve(precision, gradient.unsqueeze(-1)).squeeze(-1)
    spread: Tensor = torch.logdet(precision)
    total: Tensor = centre + (gradient * solved).sum(-1) / 2 - spread / 2 + size * math.log(2 * math.pi) / 2
    return total


def line_of(kind: str, count: int = 601) -> tuple[Tensor, Tensor]:
    """Points of a space of numbers and the logarithms of their widths, for the trapezoidal rule.

    It converges fast where the integrand falls off at both ends of the mapped line (Trefethen & Weideman 2014).
    """
    t = torch.linspace(-30.0, 30.0, count, dtype=torch.float64)
    step = math.log(60.0 / (count - 1))
    if kind == "unit_interval":
        return t.sigmoid(), torch.nn.functional.logsigmoid(t) + torch.nn.functional.logsigmoid(-t) + step
    if kind in ("positive", "nonnegative"):
        return t.exp(), t + step
    return t, torch.full_like(t, step)


class BeyondBruteForce(LookupError):
    """A sum or an integral that the reference cannot compute."""
