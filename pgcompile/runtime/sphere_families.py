"""Distributions of directions, written to be copied into emitted modules."""

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.draws import draw_sphere_lack
from pgcompile.runtime.functions import (
    log_sphere_constant,
    sphere_direction,
    sphere_lack,
    sphere_mean,
)


class VonMisesFisher(D.Distribution):
    """A unit vector around the direction of a location."""

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, loc: Tensor, concentration, **_) -> None:
        given = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        shape = torch.broadcast_shapes(loc.shape[:-1], given.shape)
        self.loc = loc.expand(*shape, loc.shape[-1])
        self.concentration = given.expand(shape)
        super().__init__(shape, loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape, _instance=None):
        """The same for more batch dimensions."""
        loc = self.loc.expand(*batch_shape, self.loc.shape[-1])
        return VonMisesFisher(loc, self.concentration.expand(batch_shape))

    @property
    def direction(self) -> Tensor:
        """The location at length 1."""
        return self.loc / torch.linalg.vector_norm(self.loc, dim=-1, keepdim=True)

    @property
    def mean(self) -> Tensor:
        """The direction, shorter than 1."""
        length = sphere_mean(self.concentration, self.loc.shape[-1])
        return length.unsqueeze(-1) * self.direction

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise."""
        loc = self.loc.expand(self._extended_shape(torch.Size(sample_shape)))
        k, dim = self.concentration.expand(loc.shape[:-1]), loc.shape[-1]
        lack = sphere_lack(draw_sphere_lack(k, dim), k, dim)
        return sphere_direction(loc, lack, torch.randn_like(loc))

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws."""
        with torch.no_grad():
            loc = self.loc.expand(self._extended_shape(torch.Size(sample_shape)))
            k = self.concentration.expand(loc.shape[:-1])
            lack = draw_sphere_lack(k, loc.shape[-1])
            return sphere_direction(loc, lack, torch.randn_like(loc))

    def log_prob(self, value: Tensor) -> Tensor:
        """k (m . x - 1), less the constant of the sphere."""
        along = (value * self.direction).sum(-1)
        constant = log_sphere_constant(self.concentration, self.loc.shape[-1])
        return self.concentration * (along - 1) - constant

    def entropy(self) -> Tensor:
        """k (1 - the length of the mean), and the constant of the sphere."""
        dim = self.loc.shape[-1]
        lack = self.concentration * (1 - sphere_mean(self.concentration, dim))
        return lack + log_sphere_constant(self.concentration, dim)
