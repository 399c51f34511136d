"""Planar and radial transforms (Rezende & Mohamed 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.networks import ContextMLP
from pgcompile.runtime.transforms.solve import solved

__all__ = ["Planar", "Radial"]


class Planar(Bijection):
    """y = x + u tanh(w.x + b), with w.u > -1 so that it is invertible (Rezende & Mohamed 2015, appendix A).

    The inverse is one increasing equation along w, solved between brackets.

    Args:
        features: number of features.
        context: number of context features; with some, w, u and b come from a net.
        hidden: hidden units of the net.
        act: activation of the net.
    """

    argument = "features"
    takes = "vector"
    conditional = True
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {
        "hidden": {"kind": "sizes"},
        "act": {"kind": "activation"},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
    ):
        super().__init__()
        self.features = features
        outputs = 2 * features + 1
        self.net = ContextMLP(context, outputs, hidden, act) if context else None
        if context == 0:
            self.phi = nn.Parameter(torch.randn(outputs) * 0.1)

    def read(self, context: Tensor | None):
        """w, u with w.u > -1, b and w.u."""
        phi = self.phi if self.net is None else self.net(context)
        w, u, b = phi.split((self.features, self.features, 1), -1)
        raw = (w * u).sum(-1, keepdim=True)
        length = w.square().sum(-1, keepdim=True)
        size = length.clamp_min(torch.finfo(w.dtype).tiny)
        change = F.softplus(raw) - 1 - raw
        # Where w is 0, nothing is added to u, and w.u stays 0.
        return w, u + change * w / size, b, raw + change * length / size

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        w, u, b, along = self.read(context)
        h = torch.tanh((w * x).sum(-1, keepdim=True) + b)
        return x + u * h, torch.log1p(along * (1 - h.square())).squeeze(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        w, u, b, along = self.read(context)
        target = (w * y).sum(-1, keepdim=True)

        # a = w.x lies within |w.u| of w.y.
        def f(step):
            h = torch.tanh(target + step * reach + b)
            return step * reach + along * h, torch.log(
                (1 + along * (1 - h.square())) * reach
            )

        reach = along.abs() + 1e-3
        step, _ = solved(f, torch.zeros_like(target), 1.0)
        h = torch.tanh(target + step * reach + b)
        return y - u * h, -torch.log1p(along * (1 - h.square())).squeeze(-1)


class Radial(Bijection):
    """y = x + beta (x - c) / (alpha + r), r = |x - c|, with beta > -alpha (Rezende & Mohamed 2015, appendix A).

    Args:
        features: number of features.
        context: number of context features; with some, c, alpha and beta come from a net.
        hidden: hidden units of the net.
        act: activation of the net.
    """

    argument = "features"
    takes = "vector"
    conditional = True
    domain = "real"
    codomain = "real"
    shape_rule = "same"
    rearranges = False
    options = {
        "hidden": {"kind": "sizes"},
        "act": {"kind": "activation"},
    }

    def __init__(
        self,
        features: int,
        context: int = 0,
        hidden: tuple = (64, 64),
        act: type = nn.ReLU,
    ):
        super().__init__()
        self.features = features
        outputs = features + 2
        self.net = ContextMLP(context, outputs, hidden, act) if context else None
        if context == 0:
            self.phi = nn.Parameter(torch.randn(outputs) * 0.1)

    def read(self, context: Tensor | None):
        """c, alpha and beta."""
        phi = self.phi if self.net is None else self.net(context)
        centre, alpha, beta = phi.split((self.features, 1, 1), -1)
        alpha = F.softplus(alpha)
        return centre, alpha, F.softplus(beta) - alpha

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        centre, alpha, beta = self.read(context)
        away = x - centre
        r = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
        return x + beta / (alpha + r) * away, self.log_det(r, alpha, beta)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]: r is the positive root of a quadratic."""
        centre, alpha, beta = self.read(context)
        away = y - centre
        length = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
        half = (alpha + beta - length) / 2
        root = (half.square() + alpha * length).sqrt()
        # The form of the root in which nothing cancels.
        r = torch.where(half > 0, alpha * length / (root + half.abs()), root - half)
        x = centre + away * (alpha + r) / (alpha + r + beta)
        return x, -self.log_det(r, alpha, beta)

    def log_det(self, r: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """log |det dy/dx| at radius r."""
        around = torch.log1p(beta / (alpha + r))
        outwards = torch.log1p(alpha * beta / (alpha + r).square())
        return ((self.features - 1) * around + outwards).squeeze(-1)
