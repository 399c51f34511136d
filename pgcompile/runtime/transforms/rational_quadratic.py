"""Monotone rational-quadratic splines and their derivatives (Gregory & Delbourgo 1982; Durkan et al. 2019)."""

import math

import torch
from torch import Tensor

from pgcompile.runtime.transforms.univariate import Univariate, forward_mode


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
        self.limit = -math.log(slope)
        rates = torch.ones(self.parameters_each, 1, 1, device="cpu")
        rates[: 2 * bins] = 2
        # In sizes, ends and slopes one below the other: both sizes, both ends and both slopes of the first bin.
        first = [0, bins, 2 * bins, 3 * bins, 4 * bins, 4 * bins + 1]
        first = torch.tensor(first, device="cpu")
        numbers = {"zero": 0.0, "one": 1.0, "start": -bound, "end": bound}
        buffers = {n: torch.tensor(float(v), device="cpu") for n, v in numbers.items()}
        buffers |= {"rates": rates, "first": first[:, None, None]}
        self.hold(torch.get_default_device(), **buffers)

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        x, place, inside = self.prepared(x)
        (x0, y0), (width, height), slopes = self.bin_of(place, phi, 0)
        t, run = share_of((place - x0) / width), width / height
        share, slope = self.curve(t, *(slopes * run))
        y = torch.lerp(self.start, self.end, torch.addcmul(y0, height, share))
        return torch.where(inside, y, x), self.log_slope(slope / run, inside)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope."""
        x, parts = self.solved(self.prepared(y), phi)
        return x, self.log_slopes(parts)

    def prepared(self, y: Tensor) -> tuple:
        """y, where it is in [0, 1], and whether it is inside."""
        place = (y / self.end).clamp(-1, 1)
        return y, place.add(1).mul(0.5), y.abs() <= self.end

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """x [F, N] and parts for `log_slopes`.

        Where q is the share of the bin's height below y, and slopes d are in units of the bin's mean
        slope, the share t of its width solves t^2 + d0 t (1 - t) = q (1 + (d0 + d1 - 2) t (1 - t)).
        This is the root in the form that does not cancel; no part of what it takes the square root of
        is negative.
        """
        y, place, inside = prepared
        (x0, y0), (width, height), slopes = self.bin_of(place, phi, 1)
        run = width / height
        d0, d1 = slopes * run
        q = share_of((place - y0) / height)
        u = torch.addcmul(d0, q, d0 + d1, value=-1)
        below = torch.addcmul(q, q, q, value=-1)
        root = torch.addcmul(below, u, u, value=0.25).sqrt()
        t = share_of(q / torch.add(root + q, u, alpha=0.5))
        x = torch.lerp(self.start, self.end, torch.addcmul(x0, t, width))
        return torch.where(inside, x, y), (t, run, d0, d1, inside)

    def log_slopes(self, parts: tuple) -> Tensor:
        """Minus the log-slopes of the map at x."""
        t, run, d0, d1, inside = parts
        return -self.log_slope(self.curve(t, d0, d1)[1] / run, inside)

    def bin_of(self, place: Tensor, phi: Tensor, axis: int):
        """The bin of a place in [0, 1] [F, N] on one axis, 0 for x and 1 for y; phi is [P * F, N].

        Returns:
            Corner [2, F, N] and sizes [2, F, N] on both axes, and the slopes at its ends [2, F, N].
        """
        phi = self.by_parameter(phi)
        if phi.dtype != place.dtype:  # under autocast
            phi = phi.to(place.dtype)
        look_up = self.summed if torch.is_grad_enabled() else self.gathered
        return look_up(place, phi, axis)

    def gathered(self, place: Tensor, phi: Tensor, axis: int):
        """`bin_of` in few operations, phi [P, F, N]: for the single features of a draw, without a gradient."""
        reach = torch.addcmul(self.one, phi.abs(), self.rates, value=1 / self.limit)
        sizes, bends = (phi / reach).split((2 * self.bins, self.bins - 1))
        sizes = sizes.unflatten(0, (2, self.bins)).softmax(1)
        ends = sizes.cumsum(1)
        k = (place >= ends[axis, :-1]).sum(0, keepdim=True)
        edge = self.zero.expand(1, *bends.shape[1:])
        table = (sizes.flatten(0, 1), ends.flatten(0, 1), edge, bends, edge)
        table = torch.cat(table).expand(-1, *k.shape[1:])
        size, end, slopes = table.gather(0, self.first + k).chunk(3)
        return end - size, size, slopes.exp()

    def summed(self, place: Tensor, phi: Tensor, axis: int):
        """`bin_of` in few passes over memory, phi [P, F, N]: for a gradient, with all features at once."""
        raw, bends = phi.split((2 * self.bins, self.bins - 1))
        # A softmax that needs no care for large exponents, its division left for small tensors.
        sizes = bounded_exp(raw, self.limit / 2).unflatten(0, (2, self.bins))
        total = sizes.sum(1)
        ends = sizes[axis, :-1].detach().cumsum(0)
        # One for bins before the place, else zero: signs take less time than comparisons.
        distance = (place * total[axis]).detach() - ends
        passed = distance.sign_().relu_()
        k = passed.sum(0, keepdim=True).long()
        # The corner is the sum of the sizes before the bin: gradients run through no other.
        before = (sizes[:, :-1] * passed).sum(1)
        wide = (2, self.bins, *place.shape)
        own = sizes.expand(wide).gather(1, k.expand(2, 1, *place.shape)).squeeze(1)
        slopes = bounded_exp(self.at_ends(bends, k), self.limit)
        return before / total, own / total, slopes

    def at_ends(self, bends: Tensor, k: Tensor) -> Tensor:
        """Of log-slopes between bins [bins - 1, F, N], those at the ends of bin k: [2, F, N]."""
        edge = self.zero.expand_as(k)
        bends = torch.cat((edge, bends.expand(-1, *k.shape[1:]), edge))
        return bends.gather(0, torch.cat((k, k + 1)))

    def curve(self, t: Tensor, d0: Tensor, d1: Tensor):
        """The share of a bin's height below t in [0, 1], and the slope there, in units of the bin's mean slope."""
        u = 1 - t
        both, square = t * u, t * t
        below = torch.addcmul(self.one, d0 + d1 - 2, both)
        share = torch.addcmul(square, d0, both) / below
        top = torch.addcmul(torch.addcmul(both + both, d0, u * u), d1, square)
        return share, top / (below * below)

    @staticmethod
    def log_slope(slope: Tensor, inside: Tensor) -> Tensor:
        """The log of a slope, which is one outside."""
        return slope.log() * inside


def share_of(ratio: Tensor) -> Tensor:
    """A ratio that only rounding takes out of [0, 1], within it; its gradient is that of the ratio."""
    share = ratio.clamp(0, 1)
    return ratio + (share - ratio).detach() if torch.is_grad_enabled() else share


def bounded_exp(x: Tensor, limit: float) -> Tensor:
    """exp(limit x / (limit + |x|)), between exp(-limit) and exp(limit)."""
    if torch.compiler.is_compiling() or forward_mode():
        return (limit * x / (limit + x.abs())).exp()
    return BoundedExp.apply(x, limit)[0]


class BoundedExp(torch.autograd.Function):
    """`bounded_exp`, its derivative in a third of the passes over memory of those of its parts."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, limit: float):
        """The value, and limit + |x|, which is kept for the derivative."""
        reach = x.abs().add_(limit)
        return torch.addcdiv(x.new_zeros(()), x, reach, value=limit).exp_(), reach

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what the derivative needs."""
        x, ctx.limit = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, *output)

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        """The derivative is the value times (limit / (limit + |x|))^2."""
        x, value, reach = ctx.saved_tensors
        if torch.is_grad_enabled():  # it is differentiated in turn
            return grad * value * (ctx.limit / (ctx.limit + x.abs())).square(), None
        return (grad * value).mul_(ctx.limit**2).div_(reach).div_(reach), None
