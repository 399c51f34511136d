"""Rational-quadratic splines (Durkan et al. 2019) and circular ones (Rezende et al. 2020)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.vocabulary.transforms.autoregressive import Autoregressive
from pgcompile.vocabulary.transforms.coupling import Coupling
from pgcompile.vocabulary.transforms.univariate import Univariate, bounded

__all__ = [
    "CircularSplineAutoregressive",
    "CircularSplineCoupling",
    "SplineAutoregressive",
    "SplineCoupling",
]


class Spline(Univariate):
    """A monotone rational-quadratic spline of [-bound, bound], the identity outside (Durkan et al. 2019).

    Args:
        bins: number of bins.
        bound: where the spline ends.
        slope: bounds the ratio of bin sizes and the least derivative at a knot.
    """

    def __init__(self, bins: int = 8, bound: float = 5.0, slope: float = 1e-3):
        super().__init__()
        self.remember(bins=bins, bound=bound, slope=slope)
        self.bins, self.bound = bins, bound
        self.parameters_each = 3 * bins - 1
        # Sizes of bins differ by a ratio of 1 / slope at most, and no slope at a knot is less.
        bend = torch.full((self.parameters_each, 1, 1), -1 / math.log(slope))
        bend[: 2 * bins] *= 2
        self.register_buffer("bend", bend, persistent=False)
        self.register_buffer("end", torch.tensor(float(bound)), persistent=False)

    def bin_of(self, place: Tensor, phi: Tensor, axis: int):
        """The bin of a place in [0, 1] on one axis.

        Returns:
            Corner [2, F, N] and sizes [2, F, N] on both axes, and the slopes at its ends [2, F, N].
        """
        phi = bounded(self.by_parameter(phi), self.bend)
        sizes, bends = phi.split((2 * self.bins, self.bins - 1))
        sizes = sizes.unflatten(0, (2, self.bins)).softmax(1)
        bends = F.pad(bends, (0, 0, 0, 0, 1, 1))
        ends = sizes.detach().cumsum(1)
        k = (place >= ends[axis, :-1]).sum(0, keepdim=True)
        wide = (-1, -1, *place.shape)
        both = k.expand(2, 1, *place.shape)
        size = sizes.expand(wide).gather(1, both).squeeze(1)
        if sizes.requires_grad:
            # The corner is the sum of the sizes before the bin: gradients run through no other.
            before = torch.arange(self.bins, device=k.device)[:, None, None] < k
            start = (sizes * before.to(sizes.dtype)).sum(1)
        else:
            start = ends.expand(wide).gather(1, both).squeeze(1) - size
        slopes = bends.expand(wide[1:]).gather(0, torch.cat((k, k + 1)))
        return start, size, slopes.exp()

    def prepared(self, y: Tensor) -> tuple:
        """y, where it is in [0, 1], and whether it is inside."""
        place = (y / self.end).clamp(-1, 1)
        return y, place.add(1).mul(0.5), (y > -self.end) & (y <= self.end)

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        x, place, inside = self.prepared(x)
        start, size, (d0, d1) = self.bin_of(place, phi, 0)
        (x0, y0), (width, height) = start, size
        t = (place - x0) / width
        mean = height / width
        both, below = self.within(t, mean, d0, d1)
        y = y0 + height * (mean * t.square() + d0 * both) / below
        y = torch.where(inside, torch.lerp(-self.end, self.end, y), x)
        slope = self.log_slope(t, both, mean, d0, d1, below)
        return y, torch.where(inside, slope, 0.0)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope."""
        x, parts = self.solved(self.prepared(y), phi)
        return x, self.log_slopes(parts)

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """The root of a quadratic, in the form that does not cancel."""
        y, place, inside = prepared
        (x0, y0), (width, height), (d0, d1) = self.bin_of(place, phi, 1)
        mean, rise = height / width, place - y0
        twice = mean + mean
        bend = rise * (d0 + d1 - twice)
        a = torch.addcmul(bend, height, mean - d0)
        b = torch.addcmul(bend, height, d0, value=-1)
        c = twice * rise
        least = torch.finfo(y.dtype).tiny
        root = torch.addcmul(b.square(), a, c, value=2).clamp_min(least).sqrt()
        t = c / (root - b)
        x = torch.lerp(-self.end, self.end, torch.addcmul(x0, t, width))
        return torch.where(inside, x, y), (t, mean, d0, d1, inside)

    def log_slopes(self, parts: tuple) -> Tensor:
        """Minus the log-slope on the way there."""
        t, mean, d0, d1, inside = parts
        both, below = self.within(t, mean, d0, d1)
        slope = self.log_slope(t, both, mean, d0, d1, below)
        return torch.where(inside, -slope, 0.0)

    @staticmethod
    def within(t: Tensor, mean: Tensor, d0: Tensor, d1: Tensor):
        """t (1 - t) and the denominator of the map, of a bin at t in [0, 1]."""
        both = t * (1 - t)
        return both, mean + (d0 + d1 - 2 * mean) * both

    @staticmethod
    def log_slope(t, both, mean, d0, d1, below):
        """log dy/dx of a bin at t in [0, 1]."""
        top = 2 * mean * both + d0 * (1 - t).square() + d1 * t.square()
        return (top * (mean / below).square()).log()


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
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
        mask="first",
        bins: int = 8,
        slope: float = 1e-3,
    ):
        super().__init__(
            features, CircularSpline(bins, slope), context, hidden, act, mask
        )
