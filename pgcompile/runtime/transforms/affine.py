"""Affine maps of one feature: y = exp(a) x + b."""

import math

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.autoregressive import Autoregressive
from pgcompile.runtime.transforms.coupling import Coupling
from pgcompile.runtime.transforms.elementwise import Elementwise
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = [
    "AffineCoupling",
    "ElementwiseAffine",
    "InverseAutoregressive",
    "MaskedAutoregressive",
]


class AffineMap(Univariate):
    """y = exp(a) x + b on the reals, with a kept between log(slope) and -log(slope) (Dinh et al. 2017).

    Args:
        slope: the least slope.
        bound: keep a between -bound and bound by a tanh instead.
    """

    parameters_each = 2

    def __init__(self, slope: float = 1e-3, bound: float | None = None):
        super().__init__()
        if bound is None:
            self.remember(slope=slope)
        else:
            self.remember(bound=bound)
        self.limit, self.bound = -math.log(slope), bound
        self.hold(torch.get_default_device(), one=torch.tensor(1.0, device="cpu"))

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y = exp(a) x + b and a."""
        shift, log_scale = self.moves(phi)
        return torch.addcmul(shift, x, log_scale.exp()), log_scale

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x = exp(-a) (y - b) and -a."""
        x, parts = self.solved((y,), phi)
        return x, self.log_slopes(parts)

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """x and a."""
        shift, log_scale = self.moves(phi)
        return (prepared[0] - shift) / log_scale.exp(), (log_scale,)

    def log_slopes(self, parts: tuple) -> Tensor:
        """-a."""
        return -parts[0]

    def moves(self, phi: Tensor) -> tuple:
        """b and a [F, N]."""
        shift, raw = phi.chunk(2)
        if self.bound is not None:
            return shift, self.bound * torch.tanh(raw / self.bound)
        return shift, raw / torch.add(self.one, raw.abs(), alpha=1 / self.limit)


class AffineCoupling(Coupling):
    """RealNVP's coupling (Dinh et al. 2017): reals to reals.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: even, odd, first, last, random, or a list.
        slope: the least slope.
        bound: keep the log-scale between -bound and bound by a tanh instead.
        net: a module of your own instead of the perceptron: all shifts, then all log-scales.
    """

    domain = "real"
    codomain = "real"
    net_gives = {"": 2}
    options = {
        "slope": {"kind": "real", "above": 0, "below": 1},
        "bound": {"kind": "real", "above": 0},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        mask="first",
        slope: float = 1e-3,
        bound: float | None = None,
        net=None,
    ):
        univariate = AffineMap(slope, bound)
        super().__init__(features, univariate, context, hidden, act, mask, net)


class MaskedAutoregressive(Autoregressive):
    """Affine autoregressive transform (Papamakarios et al. 2017): density in one pass, draws step by step.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        slope: the least slope.
    """

    domain = "real"
    codomain = "real"
    options = {
        "slope": {"kind": "real", "above": 0, "below": 1},
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
        slope: float = 1e-3,
    ):
        super().__init__(
            features, AffineMap(slope), context, hidden, act, order, passes, adjacency
        )


class InverseAutoregressive(MaskedAutoregressive):
    """A masked autoregressive transform the other way round: draws in one pass (Kingma et al. 2016)."""

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], step by step."""
        return super().inverse(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], in one pass."""
        return super().forward(y, context)


class ElementwiseAffine(Elementwise):
    """y_i = exp(a_i) x_i + b_i, learned or given by the context: reals to reals.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net over the context.
        act: activation of the net.
        slope: the least slope.
    """

    domain = "real"
    codomain = "real"
    options = {
        "slope": {"kind": "real", "above": 0, "below": 1},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        slope: float = 1e-3,
    ):
        super().__init__(features, AffineMap(slope), context, hidden, act)
