"""Comparisons of two computations, and what each may deviate."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# torch takes x for softplus(x) beyond 20, which is wrong by 2e-9; a small scale behind it multiplies the error.
EXACT = 1e-6
Z_BOUND = 5.0
# Student's t of 23 degrees exceeds 5 once in 20,000 comparisons and that of 95 once in 300,000. A check fails only if
# it exceeds the bound in a first run and again in a longer one, which a right program does less than once in 10^9.
GROUPS, MORE_GROUPS = 24, 96
# A z-score that no second run needs to confirm: its chance is below 10^-16.
CERTAIN = 25.0
KS_ALPHA = 1e-6


@dataclass(frozen=True)
class Check:
    """One comparison.

    Args:
        what: what was compared.
        deviation: the worst relative deviation, z-score, or distance of two samples.
        bound: what it may be at most.
        unit: `relative`, `z` or `KS`.
        detail: where the deviation was worst, if that helps.
        skipped: why the reference has nothing to compare with; empty where it has.
    """

    what: str
    deviation: float
    bound: float
    unit: str = "relative"
    detail: str = ""
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """True if the two sides agree; a deviation of nan does not."""
        return self.deviation <= self.bound

    def __str__(self) -> str:
        if self.skipped:
            return f"skip  {self.what:<44} {self.skipped}"
        verdict = "ok  " if self.passed else "FAIL"
        detail = f"  {self.detail}" if self.detail and not self.passed else ""
        return f"{verdict}  {self.what:<44} {self.deviation:10.2e} {self.unit} (<= {self.bound:.3g}){detail}"


def relative(found: Tensor, expected: Tensor) -> float:
    """The worst deviation relative to the size of what is compared."""
    found, expected = torch.broadcast_tensors(found.detach(), expected.detach())
    if not found.numel():
        return 0.0
    same = (found == expected) | (found.isnan() & expected.isnan())
    error = (found - expected).abs() / expected.abs().clamp(min=1.0)
    worst = float(torch.where(same, 0.0, error).max())
    return math.inf if math.isnan(worst) else worst


def where_finite(found: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of both whose expected value is a number: what has no density has no slope to compare."""
    found, expected = torch.broadcast_tensors(found, expected)
    kept = expected.isfinite()
    return found[kept], expected[kept]


def confirmed(by_means: Callable[[int], list[Check]]) -> list[Check]:
    """The checks of the means of some number of groups; where they are suspect, those of more."""
    first = by_means(GROUPS)
    if all(check.passed for check in first) or any(check.deviation > CERTAIN for check in first):
        return first
    return by_means(MORE_GROUPS)


def score(groups: Sequence[Tensor], sizes: Sequence[Tensor]) -> Tensor:
    """z-scores of the means of groups of paired differences; rounding is not a fault.

    Args:
        groups: the difference of each group.
        sizes: the values that differ, of each group.
    """
    differences, size = torch.stack(list(groups)), torch.stack(list(sizes)).mean(0).abs()
    if not differences.numel():
        return torch.zeros(differences.shape[1:])
    gap = differences.mean(0).abs()
    error = differences.std(0) / len(differences) ** 0.5
    found = torch.where(gap <= EXACT * size.clamp(min=1.0), torch.zeros_like(gap), gap / error.clamp(min=1e-300))
    return torch.where(found.isnan(), torch.full_like(found, math.inf), found)


def kolmogorov_smirnov(a: Tensor, b: Tensor) -> tuple[float, float]:
    """The largest distance of two empirical distribution functions, and its bound at `KS_ALPHA` (Massey 1951)."""
    points = torch.cat((a, b)).sort().values
    below = [torch.searchsorted(x.sort().values.contiguous(), points, right=True) / len(x) for x in (a, b)]
    bound = math.sqrt(-math.log(KS_ALPHA / 2) / 2 * (len(a) + len(b)) / (len(a) * len(b)))
    return float((below[0] - below[1]).abs().max()), bound
