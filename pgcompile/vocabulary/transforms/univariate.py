"""Maps of single numbers, and data points as columns: [D, N] for a batch [..., D], so that a feature is one piece."""

import torch
from torch import Tensor

from pgcompile.vocabulary.transforms.bijection import Bijection


class Univariate(Bijection):
    """A map of single numbers with parameters, y = f(x; phi).

    A call takes x [F, N] and phi [P * F, N], which lie parameter by parameter, and gives y and
    the log-slopes [F, N], or None for a slope of one; `at` says which features they are.
    """

    parameters_each: int

    def by_parameter(self, phi: Tensor) -> Tensor:
        """phi [P * F, N] -> [P, F, N]."""
        return phi.unflatten(0, (self.parameters_each, -1))


def bounded(x: Tensor, limit: float) -> Tensor:
    """x / (1 + |x| / limit), between -limit and limit."""
    if x.requires_grad:
        return Bounded.apply(x, limit)
    return x / (1 + (x / limit).abs())


class Bounded(torch.autograd.Function):
    """The same, for large tensors: its derivative takes a third of the passes over memory."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, limit: float):
        """The bounded value."""
        return x / (1 + (x / limit).abs())

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what the derivative needs."""
        ctx.save_for_backward(inputs[0])
        ctx.limit = inputs[1]

    @staticmethod
    def backward(ctx, grad: Tensor):
        """The derivative is 1 / (1 + |x| / limit)^2."""
        (x,) = ctx.saved_tensors
        return grad / (1 + (x / ctx.limit).abs()).square(), None


def as_columns(x: Tensor | None) -> Tensor | None:
    """[..., D] -> [D, N]."""
    return None if x is None else x.reshape(-1, x.shape[-1]).mT


def from_columns(x: Tensor, slope: Tensor | None, batch: tuple):
    """[D, N] and [N] -> [..., D] and [...]."""
    ladj = None if slope is None else slope.reshape(batch)
    return x.mT.reshape(*batch, len(x)), ladj
