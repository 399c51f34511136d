"""Bernstein polynomials (Sick et al. 2020; Arpogaus et al. 2022)."""

import math

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.autoregressive import Autoregressive
from pgcompile.runtime.transforms.solve import extended, solved
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = ["Bernstein"]


class BernsteinMap(Univariate):
    """An increasing Bernstein polynomial of [-bound, bound] onto itself, the identity outside.

    The first and the last two steps between coefficients are equal, so that value, slope and
    curvature meet those of the identity (Arpogaus et al. 2022).

    Args:
        degree: number of free coefficients less one; the polynomial has degree + 5.
        bound: where the polynomial ends.
    """

    binomials: Tensor

    def __init__(self, degree: int = 16, bound: float = 5.0):
        super().__init__()
        self.remember(degree=degree, bound=bound)
        self.bound, self.order = bound, degree + 5
        self.parameters_each = degree + 1
        row = [float(math.comb(self.order - 1, i)) for i in range(self.order)]
        binomials = torch.tensor(row, device="cpu")
        self.hold(torch.get_default_device(), binomials=binomials)

    def read(self, phi: Tensor) -> Tensor:
        """Steps between the coefficients [..., order, F]; their sum is twice the bound."""
        free = self.by_parameter(phi).softmax(0)
        end = 2 * self.bound / self.order
        edge = torch.full_like(free[:2], end)
        return torch.cat((edge, free * (2 * self.bound - 4 * end), edge))

    def polynomial(self, x: Tensor, steps: Tensor):
        """The value and the log-slope at x in [-bound, bound]."""
        t = (x + self.bound) / (2 * self.bound)
        count = self.order
        up = torch.stack([torch.ones_like(t)] + [t] * count).cumprod(0)
        down = torch.stack([torch.ones_like(t)] + [1 - t] * count).cumprod(0).flip(0)
        # Bernstein's derivative is over the steps, of one degree less than the value.
        basis = self.binomials[:, None, None] * up[:-1] * down[1:]
        slope = (basis * steps).sum(0) * (count / (2 * self.bound))
        left = torch.arange(count, 0, -1, device=x.device, dtype=x.dtype)[:, None, None]
        theta = steps.cumsum(0) - steps
        value = (basis * (count / left) * theta).sum(0) * (1 - t)
        return value + (up[-1] * 2 - 1) * self.bound, slope.log()

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        steps = self.read(phi)
        return extended(lambda u: self.polynomial(u, steps), x, self.bound)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope, by a bracketed solve."""
        steps = self.read(phi)
        return solved(lambda u: self.polynomial(u, steps), y, self.bound)


class Bernstein(Autoregressive):
    """Autoregressive Bernstein polynomials (Arpogaus et al. 2022): moves reals within [-bound, bound].

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        degree: number of free coefficients less one.
        bound: where the polynomial ends.
    """

    domain = "real"
    codomain = "real"
    also_takes = {"interval": {}}
    options = {
        "degree": {"kind": "integer", "at_least": 1},
        "bound": {"kind": "real", "above": 0},
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
        degree: int = 16,
        bound: float = 5.0,
    ):
        super().__init__(
            features,
            BernsteinMap(degree, bound),
            context,
            hidden,
            act,
            order,
            passes,
            adjacency,
        )
