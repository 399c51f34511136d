"""Maps of single numbers, and data points as columns: [D, N] for a batch [..., D], so that a feature is one piece."""

import torch
from torch import Tensor

from pgcompile.runtime.transforms.bijection import Bijection


class Univariate(Bijection):
    """A map of single numbers with parameters, y = f(x; phi).

    A call takes x [F, N] and phi [P * F, N], which lie parameter by parameter, and gives y and
    the log-slopes [F, N], or None for a slope of one; `at` says which features they are.
    """

    parameters_each: int

    def by_parameter(self, phi: Tensor) -> Tensor:
        """phi [P * F, N] -> [P, F, N]."""
        return phi.unflatten(0, (self.parameters_each, -1))

    def prepared(self, y: Tensor) -> tuple:
        """The tensors that an inverse takes of y [F, N] before its parameters are known: tensors [F, N]."""
        return (y,)

    def solved(self, prepared: tuple, phi: Tensor, at=None):
        """x [F, N], and what its log-slope is made of: tensors [F, N]."""
        (y,) = prepared
        x, slope = self.inverse(y, phi, at)
        return x, () if slope is None else (slope,)

    def log_slopes(self, parts: tuple) -> Tensor:
        """The log-slopes [F, N] of an inverse."""
        return parts[0]


def forward_mode() -> bool:
    """True if a forward-mode derivative is taken: functions with a gradient of our own have none."""
    return torch.autograd.forward_ad._current_level >= 0  # there is no public question


def as_columns(x: Tensor | None) -> Tensor | None:
    """[..., D] -> [D, N]."""
    return None if x is None else x.reshape(-1, x.shape[-1]).mT


def from_columns(x: Tensor, slope: Tensor | None, batch: tuple):
    """[D, N] and [N] -> [..., D] and [...]."""
    ladj = None if slope is None else slope.reshape(batch)
    return x.mT.reshape(*batch, len(x)), ladj
