"""Sums of squared polynomials, integrated (Jaini et al. 2019)."""

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.autoregressive import Autoregressive
from pgcompile.runtime.transforms.solve import extended, solved
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = ["SumOfSquares"]


class SumOfSquaresMap(Univariate):
    """y = b + integral from 0 to x of mean_k (1 + sum_j a_kj (u / B)^j)^2 + slope (Jaini et al. 2019).

    The integrand is one polynomial, whose coefficients are worked out once; outside [-B, B] the
    map goes on along its tangents.

    Args:
        degree: of the polynomials.
        polynomials: how many are averaged.
        bound: B.
        slope: the least slope.
    """

    def __init__(
        self,
        degree: int = 4,
        polynomials: int = 3,
        bound: float = 10.0,
        slope: float = 1e-3,
    ):
        super().__init__()
        self.remember(degree=degree, polynomials=polynomials, bound=bound, slope=slope)
        self.degree, self.polynomials, self.bound, self.slope = (
            degree,
            polynomials,
            bound,
            slope,
        )
        self.parameters_each = polynomials * (degree + 1) + 1

    def read(self, phi: Tensor):
        """Coefficients of the integrand in u / B, and b."""
        phi = self.by_parameter(phi)
        raw, shift = phi[:-1], phi[-1]
        a = raw.unflatten(0, (self.polynomials, self.degree + 1)).unbind(1)
        a = (1 + a[0], *a[1:])
        powers = range(2 * self.degree + 1)
        pairs = [
            [(j, m - j) for j in range(self.degree + 1) if j <= m - j <= self.degree]
            for m in powers
        ]
        products = [
            sum(a[i] * a[j] * (1 if i == j else 2) for i, j in pair).mean(0)
            for pair in pairs
        ]
        return [products[0] + self.slope, *products[1:]], shift

    def polynomial(self, x: Tensor, coefficients, shift: Tensor):
        """The integral and the log of the integrand, by Horner's rule."""
        u = x / self.bound
        area, height = 0.0, 0.0
        for m in reversed(range(len(coefficients))):
            area = area * u + coefficients[m] / (m + 1)
            height = height * u + coefficients[m]
        return torch.addcmul(shift, area, x), height.log()

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        known = self.read(phi)
        return extended(lambda u: self.polynomial(u, *known), x, self.bound)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope, by a bracketed solve."""
        known = self.read(phi)
        return solved(lambda u: self.polynomial(u, *known), y, self.bound)


class SumOfSquares(Autoregressive):
    """Autoregressive sum-of-squares polynomials (Jaini et al. 2019): reals to reals.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        degree: of the polynomials.
        polynomials: how many are averaged.
        bound: the map goes on along its tangents outside [-bound, bound].
        slope: the least slope.
    """

    domain = "real"
    codomain = "real"
    also_takes = {"interval": {}}
    options = {
        "degree": {"kind": "integer", "at_least": 0},
        "polynomials": {"kind": "integer", "at_least": 1},
        "bound": {"kind": "real", "above": 0},
        "slope": {"kind": "real", "above": 0},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        order="ascending",
        passes: int | None = None,
        adjacency=None,
        degree: int = 4,
        polynomials: int = 3,
        bound: float = 10.0,
        slope: float = 1e-3,
    ):
        univariate = SumOfSquaresMap(degree, polynomials, bound, slope)
        super().__init__(
            features, univariate, context, hidden, act, order, passes, adjacency
        )
