"""Families by name, as `torch.distributions` has them; what torch lacks, or has with too few digits, is here."""

import math
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.vocabulary.families import families


def family_of(name: str, found: dict[str, Any]) -> D.Distribution:
    """The distribution of that name.

    Args:
        name: of the family.
        found: its parameters.
    """
    if name == "FactorizedBernoulli":
        return _OnesOnly(**found, validate_args=False)
    if name == "OneHotCategorical":
        return _OneHot(**found, validate_args=False)
    if name == "VonMises":
        return _VonMises(**found, validate_args=False)
    if name == "Delta":
        return _PointMass(found["v"], 0.0, validate_args=False)
    if name == "ContinuousBernoulli":
        # torch's expansion around 1/2 is good to 1e-8 only at the ends of its default range.
        return D.ContinuousBernoulli(**found, lims=(0.5 - 1e-5, 0.5 + 1e-5), validate_args=False)
    own = families()[name].distribution
    made: D.Distribution = (getattr(D, name) if own is None else own())(**found, validate_args=False)
    return made


def is_point(distribution: D.Distribution) -> bool:
    """True if a draw is certain."""
    base = distribution.base_dist if isinstance(distribution, D.Independent) else distribution
    return isinstance(base, _PointMass)


class _PointMass(D.Normal):
    """All mass at one point."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the mass of a value."""
        return torch.where(value == self.loc, 0.0, -math.inf).to(self.loc.dtype)


class _VonMises(D.VonMises):
    """Von Mises with the Bessel function to full precision: torch's polynomial is good to 1e-7."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log density."""
        log_i0 = torch.special.i0e(self.concentration).log() + self.concentration
        density: Tensor = self.concentration * torch.cos(value - self.loc) - log_i0 - math.log(2 * math.pi)
        return density


class _OneHot(D.OneHotCategorical):
    """Scored at any point of the simplex, as a relaxed draw is: torch would take the nearest corner."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum of y log p."""
        density: Tensor = (value * self.logits).sum(-1)
        return density


class _OnesOnly(D.Bernoulli):
    """Vedantam et al. 2017: only the ones count."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log p as far as the value is one, else nothing."""
        return torch.where(value == 0, 0.0, value * super().log_prob(torch.ones_like(value)))
