"""Flows for the reference interpreter: the density of a base seen through a map, by the map's values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributions as D
from torch import Size, Tensor


class PushedBack(D.Distribution):
    """`p(x) = base(f(x)) |det df/dx|`, the determinant from the Jacobian that automatic differentiation gives.

    Args:
        base: the distribution of f(x).
        forward: f.
        inverse: its inverse, whose results are checked.
        shape: event shape of x.
        batch: of what it is conditioned on.
        rounds: whether the inverse rounds, so that nothing is taken back exactly.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(
        self,
        base: D.Distribution,
        forward: Callable[[Tensor], Tensor],
        inverse: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        batch: tuple[int, ...],
        *,
        rounds: bool,
    ) -> None:
        self.base = base.expand(torch.broadcast_shapes(batch, base.batch_shape))
        self._forward, self._inverse, self._rounds = forward, inverse, rounds
        super().__init__(self.base.batch_shape, Size(shape), validate_args=False)

    def back(self, u: Tensor) -> Tensor:
        """The preimage of u."""
        x = self._inverse(u)
        if not self._rounds:
            again = self._forward(x)
            torch.testing.assert_close(again, u.expand_as(again), rtol=1e-4, atol=1e-4)
        return x

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of the base, taken back."""
        return self.back(self.base.rsample(sample_shape))

    @property
    def mean(self) -> Tensor:
        """Where the mean of the base comes from."""
        return self.back(self.base.mean)

    def log_prob(self, value: Tensor) -> Tensor:
        """By the Jacobian, a row for each entry of the base."""
        x = value if value.requires_grad else value.detach().requires_grad_()
        rank = len(self.event_shape)
        # A copy for each point of the batch, so that the derivative of one is not summed with that of another.
        batch = torch.broadcast_shapes(x.shape[: x.dim() - rank], self.batch_shape)
        wide = x.expand(*batch, *self.event_shape).clone()
        u = self._forward(wide)
        flat = u.reshape(*batch, -1)
        rows = [
            torch.autograd.grad(flat[..., i].sum(), wide, create_graph=True)[0].reshape(*batch, -1)
            for i in range(flat.shape[-1])
        ]
        total: Tensor = self.base.log_prob(u) + torch.linalg.slogdet(torch.stack(rows, -2)).logabsdet
        return total
