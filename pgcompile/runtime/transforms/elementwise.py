"""Each feature moved alone, by parameters of its own or by the context."""

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.networks import ContextMLP
from pgcompile.runtime.transforms.univariate import as_columns, from_columns


class Elementwise(Bijection):
    """y_i = f(x_i; phi_i), with phi learned, or given by a net over the context.

    Args:
        features: number of features.
        univariate: f.
        context: number of context features, 0 for learned parameters.
        hidden: hidden units of the net.
        act: activation of the net.
    """

    argument = "features"
    takes = "vector"
    conditional = True
    shape_rule = "same"
    rearranges = False
    options = {
        "hidden": {"kind": "sizes"},
        "act": {"kind": "activation"},
    }

    def __init__(
        self, features: int, univariate, context: int, hidden: tuple, act: type
    ):
        super().__init__()
        self.univariate = univariate
        outputs = univariate.parameters_each * features
        if context:
            self.net = ContextMLP(context, outputs, hidden, act)
        else:
            self.net = None
            self.phi = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.apply_to(x, context, False)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.apply_to(y, context, True)

    def apply_to(self, x: Tensor, context: Tensor | None, backwards: bool):
        """One way or the other."""
        columns = as_columns(x)
        if self.net is None:
            phi = self.phi.unsqueeze(-1)
        else:
            phi = self.net.by_parameter(as_columns(context))
        f = self.univariate.inverse if backwards else self.univariate
        y, slope = f(columns, phi)
        if slope is not None:
            slope = slope.expand(y.shape).sum(0)
        return from_columns(y, slope, x.shape[:-1])
