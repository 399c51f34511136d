"""Monotone nets of one feature (Huang et al. 2018) and integrals of positive ones (Wehenkel & Louppe 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.runtime.transforms.autoregressive import Autoregressive
from pgcompile.runtime.transforms.solve import extended, solved
from pgcompile.runtime.transforms.univariate import Univariate

__all__ = ["NeuralAutoregressive", "UnconstrainedMonotonic"]


class StackedLinear(nn.Module):
    """A linear layer for each of several features: [S, N, in] -> [S, N, out]."""

    def __init__(self, stack: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(
            torch.empty(stack, outputs, inputs).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(stack, outputs).uniform_(-bound, bound))


class SignalNet(Univariate):
    """Nets of one feature and a signal, one net a feature.

    Args:
        features: number of nets.
        signal: length of the signal.
        hidden: numbers of hidden units.
    """

    def __init__(self, features: int, signal: int, hidden: tuple):
        super().__init__()
        widths = zip((1 + signal, *hidden), (*hidden, 1))
        self.layers = nn.ModuleList(StackedLinear(features, *w) for w in widths)
        self.signal = signal

    def weights(self, at, positive: bool):
        """Weights [S, in, out] and biases [S, 1, out] of the chosen features."""
        pairs = [(layer.weight, layer.bias) for layer in self.layers]
        if at is not None:
            pairs = [(weight[at], bias[at]) for weight, bias in pairs]
        return [((w.abs() if positive else w).mT, b.unsqueeze(-2)) for w, b in pairs]

    def first(self, signal: Tensor, weights) -> Tensor:
        """The contribution of the signal [signal, S, N] and the bias to the first layer: [S, N, out]."""
        weight, bias = weights[0]
        return torch.baddbmm(bias, signal.permute(1, 2, 0), weight[:, 1:])


class MonotoneNet(SignalNet):
    """A net with positive weights, each hidden layer half ELU and half its reflection (Huang et al. 2018).

    Its slope is carried along with its value, layer by layer.

    Args:
        features: number of nets.
        signal: length of the signal that modulates each.
        hidden: numbers of hidden units.
        bound: the map goes on along its tangents outside [-bound, bound].
    """

    def __init__(
        self,
        features: int,
        signal: int = 16,
        hidden: tuple = (64, 64),
        bound: float = 10.0,
    ):
        super().__init__(features, signal, hidden)
        self.remember(signal=signal, bound=bound)
        self.bound = bound
        self.parameters_each = signal

    def evaluate(self, x: Tensor, first: Tensor, weights):
        """The value and the log-slope of each net at [S, N]."""
        h = torch.addcmul(first, x.unsqueeze(-1), weights[0][0][:, :1])
        slope = weights[0][0][:, :1]
        for weight, bias in weights[1:]:
            up, down = h.chunk(2, -1)
            slope = slope * torch.cat((up.clamp(max=0), -down.clamp(min=0)), -1).exp()
            h = torch.cat((F.elu(up), -F.elu(-down)), -1)
            h, slope = torch.baddbmm(bias, h, weight), slope @ weight
        return h.squeeze(-1), slope.squeeze(-1).log()

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        f = self.given(phi, x, at)
        return extended(f, x, self.bound)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope, by a bracketed solve."""
        return solved(self.given(phi, y, at), y, self.bound)

    def given(self, phi: Tensor, x: Tensor, at):
        """The map for a signal."""
        weights = self.weights(at, True)
        signal = self.by_parameter(phi).expand(-1, -1, x.shape[-1])
        first = self.first(signal, weights)
        return lambda u: self.evaluate(u, first, weights)


class IntegralNet(SignalNet):
    """y = b + integral from 0 to x of a positive net, by Gauss and Legendre's rule (Wehenkel & Louppe 2019).

    Args:
        features: number of nets.
        signal: length of the signal that modulates each.
        hidden: numbers of hidden units.
        points: of the quadrature.
        bound: the map goes on along its tangents outside [-bound, bound].
    """

    nodes: Tensor

    def __init__(
        self,
        features: int,
        signal: int = 16,
        hidden: tuple = (64, 64),
        points: int = 32,
        bound: float = 10.0,
    ):
        super().__init__(features, signal, hidden)
        self.remember(signal=signal, points=points, bound=bound)
        self.bound = bound
        self.parameters_each = signal + 1
        with torch.device("cpu"):
            exact = gauss_legendre(points)
        rounded = exact.float()
        # What rounding to single precision leaves is kept beside it, for modules that are made double later.
        nodes = torch.stack((rounded, (exact - rounded).float()))
        self.hold(torch.get_default_device(), nodes=nodes)

    def integral(self, x: Tensor, first: Tensor, shift: Tensor, weights):
        """The value and the log-slope: the net at the nodes, and at x itself."""
        nodes, shares = self.nodes.to(x.dtype).sum(0)
        fixed = x.detach()
        # The slope of the integral is its integrand: a step of length zero, by the midpoint rule, has the
        # derivatives that the quadrature only comes near to.
        step = x - fixed
        ends = torch.stack((fixed + step / 2, x), -1)
        u = torch.cat((fixed.unsqueeze(-1) * nodes, ends), -1)
        h = torch.addcmul(
            first.unsqueeze(-2), u.unsqueeze(-1), weights[0][0][:, None, :1]
        )
        shape = h.shape[1:3]
        h = h.flatten(1, 2)
        for weight, bias in weights[1:]:
            h = torch.baddbmm(bias, F.elu(h), weight)
        log_height = (h / (1 + (h / 7).abs())).squeeze(-1).unflatten(1, shape)
        height = log_height[..., :-1].exp()
        area = height[..., :-1] @ shares
        y = shift + fixed * area + step * height[..., -1]
        return y, log_height[..., -1]

    def forward(self, x: Tensor, phi: Tensor, at=None):
        """y and the log-slope."""
        return extended(self.given(phi, x, at), x, self.bound)

    def inverse(self, y: Tensor, phi: Tensor, at=None):
        """x and its log-slope, by a bracketed solve."""
        return solved(self.given(phi, y, at), y, self.bound)

    def given(self, phi: Tensor, x: Tensor, at):
        """The map for a signal."""
        weights = self.weights(at, False)
        phi = self.by_parameter(phi).expand(-1, -1, x.shape[-1])
        first = self.first(phi[:-1], weights)
        return lambda u: self.integral(u, first, phi[-1], weights)


def gauss_legendre(points: int) -> Tensor:
    """Nodes and weights [2, points] of Gauss and Legendre's rule on [0, 1] (Golub & Welsch 1969)."""
    k = torch.arange(1, points, dtype=torch.float64)
    beside = k / (4 * k.square() - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return torch.stack(((nodes + 1) / 2, vectors[0].square()))


class NeuralAutoregressive(Autoregressive):
    """Autoregressive monotone nets (Huang et al. 2018): reals to reals.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the masked net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        signal: length of the signal from the masked net.
        network: hidden units of each monotone net.
        bound: the map goes on along its tangents outside [-bound, bound].
    """

    domain = "real"
    codomain = "real"
    options = {
        "signal": {"kind": "integer", "at_least": 1},
        "network": {"kind": "sizes", "at_least": 2},
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
        signal: int = 16,
        network: tuple = (64, 64),
        bound: float = 10.0,
    ):
        univariate = MonotoneNet(features, signal, network, bound)
        super().__init__(
            features, univariate, context, hidden, act, order, passes, adjacency
        )


class UnconstrainedMonotonic(Autoregressive):
    """Autoregressive integrals of positive nets (Wehenkel & Louppe 2019): reals to reals.

    Args:
        features: number of features.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the masked net.
        order: ascending, descending, random, or the place of each feature.
        passes: steps of a draw, one a feature if None.
        adjacency: what each feature depends on, instead of an order.
        signal: length of the signal from the masked net.
        network: hidden units of each integrand.
        points: of the quadrature.
        bound: the map goes on along its tangents outside [-bound, bound].
    """

    domain = "real"
    codomain = "real"
    options = {
        "signal": {"kind": "integer", "at_least": 1},
        "network": {"kind": "sizes"},
        "points": {"kind": "integer", "at_least": 1},
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
        signal: int = 16,
        network: tuple = (64, 64),
        points: int = 32,
        bound: float = 10.0,
    ):
        univariate = IntegralNet(features, signal, network, points, bound)
        super().__init__(
            features, univariate, context, hidden, act, order, passes, adjacency
        )
