"""Each feature moved alone, by parameters of its own or by the context."""

import torch
from torch import Tensor, nn

from pgcompile.vocabulary.transforms.bijection import Bijection
from pgcompile.vocabulary.transforms.networks import ContextMLP


class Elementwise(Bijection):
    """y_i = f(x_i; phi_i), with phi learned, or given by a net over the context.

    Args:
        features: number of features.
        univariate: f.
        context: number of context features, 0 for learned parameters.
        hidden: hidden units of the net.
        act: activation of the net.
    """

    def __init__(self, features: int, univariate, context: int, hidden: tuple, act: type):
        super().__init__()
        self.univariate = univariate
        outputs = univariate.parameters_each * features
        if context:
            self.net = ContextMLP(context, outputs, hidden, act)
        else:
            self.net = None
            self.phi = nn.Parameter(torch.randn(outputs))

    def parameters_of(self, context: Tensor | None) -> Tensor:
        """phi [..., parameters * D]."""
        return self.phi if self.net is None else self.net(None, context)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        y, slope = self.univariate(x, self.parameters_of(context))
        return y, None if slope is None else slope.expand(y.shape).sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        x, slope = self.univariate.inverse(y, self.parameters_of(context))
        return x, None if slope is None else slope.expand(x.shape).sum(-1)
