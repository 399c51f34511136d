"""Shifts of one feature: y = x + b."""

from torch import Tensor, nn

from pgcompile.runtime.transforms.coupling import Coupling
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = ["AdditiveCoupling"]


class Shift(Univariate):
    """y = x + b on the reals: keeps volumes (Dinh et al. 2014)."""

    parameters_each = 1

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y; the slope is one."""
        return x + phi, None

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x; the slope is one."""
        return y - phi, None


class AdditiveCoupling(Coupling):
    """NICE's coupling (Dinh et al. 2014): reals to reals, volumes kept.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: even, odd, first, last, random, or a list.
        net: a module of your own instead of the perceptron.
    """

    domain = "real"
    codomain = "real"
    net_gives = {"": 1}

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        mask="first",
        net=None,
    ):
        super().__init__(features, Shift(), context, hidden, act, mask, net)
