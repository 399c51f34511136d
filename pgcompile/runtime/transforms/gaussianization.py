"""Gaussianization: the distribution function of a mixture, then the normal quantile (Chen & Gopinath 2000)."""

import math

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.elementwise import Elementwise
from pgcompile.runtime.transforms.solve import extended, solved
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = ["Gaussianization"]


class GaussianizationMap(Univariate):
    """y = quantile(mean_k cdf(exp(a_k) x + b_k)) with those of the standard normal (Meng et al. 2020).

    Args:
        components: how many are averaged.
        bound: the map goes on along its tangents outside [-bound, bound].
        shrink: how far the mean is drawn towards one half, which keeps its quantile finite.
    """

    def __init__(self, components: int = 8, bound: float = 10.0, shrink: float = 1e-6):
        super().__init__()
        self.remember(components=components, bound=bound, shrink=shrink)
        self.bound, self.shrink = bound, shrink
        self.parameters_each = 2 * components

    def quantile(self, x: Tensor, shift: Tensor, log_scale: Tensor):
        """The value and the log-slope."""
        u = torch.addcmul(shift, x, log_scale.exp())
        mean = torch.erf(u * math.sqrt(0.5)).mean(0) * (1 - self.shrink)
        y = torch.erfinv(mean) * math.sqrt(2)
        # Densities of the standard normal at the u and at y; their constant cancels.
        heights = torch.logsumexp(log_scale - u.square() / 2, 0) - math.log(len(u))
        return y, heights + y.square() / 2 + math.log1p(-self.shrink)

    def read(self, phi: Tensor):
        """b and a [components, F, N]."""
        return self.by_parameter(phi).chunk(2)

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        known = self.read(phi)
        return extended(lambda u: self.quantile(u, *known), x, self.bound)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope, by a bracketed solve."""
        known = self.read(phi)
        return solved(lambda u: self.quantile(u, *known), y, self.bound)


class Gaussianization(Elementwise):
    """Elementwise Gaussianization (Meng et al. 2020): reals to reals.

    Args:
        features: number of features.
        context: number of context features, 0 for learned parameters.
        hidden: hidden units of the net over the context.
        act: activation of the net.
        components: of each mixture.
        bound: the map goes on along its tangents outside [-bound, bound].
        shrink: how far the mean is drawn towards one half.
    """

    domain = "real"
    codomain = "real"
    options = {
        "components": {"kind": "integer", "at_least": 1},
        "bound": {"kind": "real", "above": 0},
        "shrink": {"kind": "real", "above": 0, "below": 1},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        components: int = 8,
        bound: float = 10.0,
        shrink: float = 1e-6,
    ):
        super().__init__(
            features,
            GaussianizationMap(components, bound, shrink),
            context,
            hidden,
            act,
        )
