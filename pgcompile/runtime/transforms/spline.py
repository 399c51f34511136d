"""Rational-quadratic splines (Durkan et al. 2019) and circular ones (Rezende et al. 2020)."""

import math

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.autoregressive import Autoregressive
from pgcompile.runtime.transforms.coupling import Coupling
from pgcompile.runtime.transforms.rational_quadratic import Spline
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = [
    "CircularSplineAutoregressive",
    "CircularSplineCoupling",
    "SplineAutoregressive",
    "SplineCoupling",
]


class CircularSpline(Univariate):
    """A spline of the circle [-pi, pi): half a turn, then a spline of bound pi (Rezende et al. 2020).

    Args:
        bins: number of bins.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
    """

    def __init__(self, bins: int = 8, slope: float = 1e-3):
        super().__init__()
        self.spline = Spline(bins, math.pi, slope)
        self.parameters_each = self.spline.parameters_each

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        return self.spline(torch.remainder(x, 2 * math.pi) - math.pi, phi)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope."""
        x, slope = self.spline.inverse(y, phi)
        return torch.remainder(x, 2 * math.pi) - math.pi, slope


class SplineCoupling(Coupling):
    """Spline coupling (Durkan et al. 2019): moves reals within [-bound, bound].

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: even, odd, first, last, random, or a list.
        bins: number of bins.
        bound: where the spline ends.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
        net: a module of your own instead of the perceptron.
    """

    domain = "real"
    codomain = "real"
    also_takes = {"interval": {}, "circle": {"bound": 3.141592653589793}}
    net_gives = {"": -1, "bins": 3}
    options = {
        "bins": {"kind": "integer", "at_least": 1},
        "bound": {"kind": "real", "above": 0},
        "slope": {"kind": "real", "above": 0, "below": 1},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        mask="first",
        bins: int = 8,
        bound: float = 5.0,
        slope: float = 1e-3,
        net=None,
    ):
        super().__init__(
            features, Spline(bins, bound, slope), context, hidden, act, mask, net
        )


class SplineAutoregressive(Autoregressive):
    """Autoregressive spline (Durkan et al. 2019): moves reals within [-bound, bound].

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        bins: number of bins.
        bound: where the spline ends.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
    """

    domain = "real"
    codomain = "real"
    also_takes = {"interval": {}, "circle": {"bound": 3.141592653589793}}
    options = {
        "bins": {"kind": "integer", "at_least": 1},
        "bound": {"kind": "real", "above": 0},
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
        bins: int = 8,
        bound: float = 5.0,
        slope: float = 1e-3,
    ):
        super().__init__(
            features,
            Spline(bins, bound, slope),
            context,
            hidden,
            act,
            order,
            passes,
            adjacency,
        )


class CircularSplineAutoregressive(Autoregressive):
    """Autoregressive circular spline (Rezende et al. 2020): angles in [-pi, pi) to angles.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        bins: number of bins.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
    """

    domain = "circle"
    codomain = "circle"
    options = {
        "bins": {"kind": "integer", "at_least": 1},
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
        bins: int = 8,
        slope: float = 1e-3,
    ):
        super().__init__(
            features,
            CircularSpline(bins, slope),
            context,
            hidden,
            act,
            order,
            passes,
            adjacency,
        )


class CircularSplineCoupling(Coupling):
    """Coupling by circular splines (Rezende et al. 2020): angles in [-pi, pi) to angles.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: even, odd, first, last, random, or a list.
        bins: number of bins.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
        net: a module of your own instead of the perceptron.
    """

    domain = "circle"
    codomain = "circle"
    net_gives = {"": -1, "bins": 3}
    options = {
        "bins": {"kind": "integer", "at_least": 1},
        "slope": {"kind": "real", "above": 0, "below": 1},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        mask="first",
        bins: int = 8,
        slope: float = 1e-3,
        net=None,
    ):
        super().__init__(
            features, CircularSpline(bins, slope), context, hidden, act, mask, net
        )
