"""Bernstein polynomials (Sick et al. 2020; Arpogaus et al. 2022)."""

import math

import torch
from torch import Tensor, nn

from pgcompile.vocabulary.transforms.autoregressive import Autoregressive
from pgcompile.vocabulary.transforms.bijection import Bijection
from pgcompile.vocabulary.transforms.solve import extended, solved


class BernsteinMap(Bijection):
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
        self.register_buffer("binomials", torch.tensor(row), persistent=False)

    def read(self, phi: Tensor) -> Tensor:
        """Steps between the coefficients [..., order, F]; their sum is twice the bound."""
        free = phi.unflatten(-1, (self.parameters_each, -1)).softmax(-2)
        end = 2 * self.bound / self.order
        edge = torch.full_like(free[..., :2, :], end)
        return torch.cat((edge, free * (2 * self.bound - 4 * end), edge), -2)

    def polynomial(self, x: Tensor, steps: Tensor):
        """The value and the log-slope at x in [-bound, bound]."""
        t = ((x + self.bound) / (2 * self.bound)).unsqueeze(-2)
        count = self.order
        ones = torch.ones_like(t)
        up = torch.cat((ones, t.expand(*t.shape[:-2], count, t.shape[-1])), -2).cumprod(-2)
        down = torch.cat((ones, (1 - t).expand(*t.shape[:-2], count, t.shape[-1])), -2).cumprod(-2).flip(-2)
        basis = self.binomials.unsqueeze(-1) * up[..., :-1, :] * down[..., 1:, :]
        # Bernstein's derivative: of one degree less, over the steps; the value sums the basis of full degree.
        slope = (basis * steps).sum(-2) * (count / (2 * self.bound))
        i = torch.arange(count, device=x.device, dtype=x.dtype).unsqueeze(-1)
        full = basis * (count / (count - i)) * (1 - t)
        theta = steps.cumsum(-2) - steps
        value = (full * theta).sum(-2) + up[..., -1, :] * (2 * self.bound) - self.bound
        return value, slope.log()

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
        super().__init__(features, BernsteinMap(degree, bound), context, hidden, act, order, passes, adjacency)
