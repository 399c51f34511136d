"""Nets that give the parameters of transforms."""

import torch
from torch import Tensor, nn


class ContextMLP(nn.Sequential):
    """A multi-layer perceptron over a value and its context, beside each other."""

    def __init__(self, features: int, outputs: int, hidden: tuple, act: type = nn.ReLU):
        sizes = (features, *hidden)
        layers = [
            layer
            for size in zip(sizes, hidden)
            for layer in (nn.Linear(*size), activation(act))
        ]
        super().__init__(*layers, nn.Linear(sizes[-1], outputs))

    def by_parameter(self, x: Tensor) -> Tensor:
        """x [features, N] -> outputs [outputs, N], which lie parameter by parameter."""
        for layer in self:
            if isinstance(layer, nn.Linear):
                x = torch.addmm(layer.bias.unsqueeze(-1), layer.weight, x)
            else:
                x = layer(x)
        return x


class Borrowed(nn.Module):
    """A net that belongs to another module, which holds its weights.

    Args:
        net: the net.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.nets = (net,)  # in a tuple it is no part of this module

    def forward(self, x: Tensor) -> Tensor:
        """The result of the net."""
        return self.nets[0](x)


def activation(act: type) -> nn.Module:
    """An activation of sums that nothing else needs: in place where its derivative needs the value only."""
    return nn.ReLU(inplace=True) if act is nn.ReLU else act()
