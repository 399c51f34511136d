"""Distribution functions by their definitions: `cdf` and `survival` of each entry of a factor."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor

Parameters = dict[str, Tensor]


def log_tail(which: str, family: str, made: D.Distribution, p: Parameters, x: Tensor) -> Tensor:
    """log P(X <= x), or log P(X > x).

    Args:
        which: `cdf` or `survival`.
        family: name of the family.
        made: the distribution of each entry.
        p: its parameters.
        x: the values.
    """
    known = _TAILS.get((family, which))
    if known is not None:
        return known(p, x)
    below = made.cdf(x)
    return below.log() if which == "cdf" else torch.log1p(-below)


def _failures(p: Parameters) -> Tensor:
    """log of the probability that a trial fails."""
    return F.logsigmoid(-p["logits"]) if "logits" in p else torch.log1p(-p["probs"])


def _half_normal(p: Parameters, x: Tensor) -> Tensor:
    u = x / p["scale"] / 2**0.5
    log_twice: Tensor = torch.special.erfcx(u).log() - u**2
    return log_twice


_TAILS: dict[tuple[str, str], Callable[[Parameters, Tensor], Tensor]] = {
    ("Weibull", "survival"): lambda p, x: -((x / p["scale"]) ** p["concentration"]),
    ("HalfNormal", "survival"): _half_normal,
    ("Exponential", "survival"): lambda p, x: -p["rate"] * x,
    ("Pareto", "survival"): lambda p, x: p["alpha"] * (p["scale"] / x).clamp(max=1).log(),
    ("Pareto", "cdf"): lambda p, x: torch.log1p(-((p["scale"] / x).clamp(max=1) ** p["alpha"])),
    ("Kumaraswamy", "survival"): lambda p, x: p["concentration0"] * torch.log1p(-(x ** p["concentration1"])),
    ("Logistic", "cdf"): lambda p, x: F.logsigmoid((x - p["loc"]) / p["scale"]),
    ("Logistic", "survival"): lambda p, x: F.logsigmoid((p["loc"] - x) / p["scale"]),
    ("Geometric", "survival"): lambda p, x: (x + 1) * _failures(p),
    ("Geometric", "cdf"): lambda p, x: (1 - ((x + 1) * _failures(p)).exp()).log(),
}
"""Tails that torch has no distribution function of, or loses in one minus it."""
