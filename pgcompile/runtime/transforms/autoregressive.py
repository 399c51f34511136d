"""Autoregressive transforms: each feature moved by those before it (Kingma et al. 2016; Papamakarios et al. 2017)."""

import math

import torch
from torch import Tensor

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.elementwise import Elementwise
from pgcompile.runtime.transforms.implicit import Inverse, others
from pgcompile.runtime.transforms.masked import MaskedMLP
from pgcompile.runtime.transforms.univariate import (
    as_columns,
    forward_mode,
    from_columns,
)


class Autoregressive(Bijection):
    """y_i = f(x_i; net(x_<i, context)).

    Args:
        features: number of features.
        univariate: f.
        context: number of context features.
        hidden: hidden units of the masked net.
        act: activation of the net.
        order: `ascending`, `descending`, `random`, or the place of each feature.
        passes: steps of the inverse: features are moved in that many groups, one a step if None.
        adjacency: [D][D] or [D][D + C] truth values instead of an order: what each feature depends on.
    """

    argument = "features"
    takes = "vector"
    conditional = True
    shape_rule = "same"
    rearranges = False
    options = {
        "hidden": {"kind": "sizes"},
        "act": {"kind": "activation"},
        "order": {"kind": "order", "words": ("ascending", "descending", "random")},
        "passes": {"kind": "integer", "at_least": 1},
        "adjacency": {"kind": "adjacency"},
    }

    def __init__(
        self,
        features: int,
        univariate,
        context: int,
        hidden: tuple,
        act: type,
        order,
        passes,
        adjacency,
    ):
        super().__init__()
        self.univariate = univariate
        with torch.device("cpu"):  # also where the module is made without data
            if adjacency is None:
                place = feature_order(features, order)
                steps = features if passes is None else min(max(passes, 1), features)
                step = place // math.ceil(features / steps)
                sees = step[:, None] > step
            else:
                sees = checked_adjacency(
                    torch.as_tensor(adjacency, dtype=torch.bool), features, context
                )
            if context and sees.shape[1] == features:
                all_of_it = torch.ones(features, context, dtype=torch.bool)
                sees = torch.cat((sees, all_of_it), 1)
        if sees.any() and features > 1:
            self.net = MaskedMLP(sees, univariate.parameters_each, hidden, act)
        else:
            self.net = Elementwise(features, univariate, context, hidden, act)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        if isinstance(self.net, Elementwise):
            return self.net(x, context)
        columns = as_columns(x)
        phi = self.net(columns, as_columns(context))
        y, slope = self.univariate(columns, phi)
        return from_columns(y, None if slope is None else slope.sum(0), x.shape[:-1])

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]; each hidden unit is evaluated once."""
        if isinstance(self.net, Elementwise):
            return self.net.inverse(y, context)
        given, layers = (as_columns(y), as_columns(context)), self.net.weights()
        traced = torch.compiler.is_compiling() or not torch.is_grad_enabled()
        if traced or forward_mode():
            x, slope = self.solve(layers, *given)
        else:
            tensors = (*(part for layer in layers for part in layer), *others(self))
            x, slope, _ = Inverse.apply(*given, self, *tensors)
        return from_columns(x, slope, y.shape[:-1])

    def solve(self, layers: list, y: Tensor, context: Tensor | None):
        """y [D, N], context [C, N] -> x [D, N], log |det dx/dy| [N], with the layers of the net."""
        return self.net.solve(layers, y, context, self.univariate)


def feature_order(features: int, order) -> Tensor:
    """The place of each feature.

    Raises:
        ValueError: not a permutation of the features.
    """
    if isinstance(order, str):
        named = {
            "ascending": torch.arange(features),
            "descending": torch.arange(features).flip(0),
        }
        if order == "random":
            return torch.randperm(features)
        if order not in named:
            raise ValueError(
                f"there is no order {order!r}: write ascending, descending, random, or a list of places"
            )
        return named[order]
    place = torch.as_tensor(order, dtype=torch.long)
    if place.shape != (features,) or place.sort().values.tolist() != list(
        range(features)
    ):
        raise ValueError(
            f"an order of {features} features names each place from 0 to {features - 1} once"
        )
    return place


def checked_adjacency(adjacency: Tensor, features: int, context: int) -> Tensor:
    """An adjacency without its diagonal.

    Raises:
        ValueError: its shape is another one.
    """
    if (
        adjacency.dim() != 2
        or adjacency.shape[0] != features
        or adjacency.shape[1] not in (features, features + context)
    ):
        raise ValueError(
            f"an adjacency over {features} features and {context} context features has shape "
            f"[{features}, {features}] or [{features}, {features + context}], not {list(adjacency.shape)}"
        )
    own = torch.zeros_like(adjacency)
    own[:, :features] = torch.eye(features, dtype=torch.bool)
    return adjacency & ~own
