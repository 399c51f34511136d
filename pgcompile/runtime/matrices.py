"""Densities and draws of random matrices, written to be copied into emitted modules."""

import math

import torch
import torch.distributions as D
from torch import Tensor

from pgcompile.runtime.draws import standard_gamma


def multigamma(a: Tensor, size: int) -> Tensor:
    """log of the multivariate gamma function of `size` dimensions."""
    places = torch.arange(size, dtype=a.dtype, device=a.device)
    logs = torch.lgamma(a.unsqueeze(-1) - places / 2).sum(-1)
    return logs + size * (size - 1) / 4 * math.log(math.pi)


def wishart_log_prob(x: Tensor, tril: Tensor, df: Tensor) -> Tensor:
    """log density at x [..., D, D] of a Wishart with the scale L L' and df degrees of freedom [...]."""
    size = x.shape[-1]
    root = torch.linalg.cholesky(x)
    own = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    scale = 2 * tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    trace = torch.linalg.solve_triangular(tril, root, upper=False).square()
    density = (df - size - 1) * own - trace.sum((-2, -1)) - df * scale
    return (density - df * size * math.log(2)) / 2 - multigamma(df / 2, size)


def wishart_halves(df: Tensor, size: int) -> Tensor:
    """Half the degrees of freedom of each row [..., D] of Bartlett's decomposition."""
    places = torch.arange(size, dtype=df.dtype, device=df.device)
    return (df.unsqueeze(-1) - places) / 2


def wishart_of(gammas: Tensor, tril: Tensor, normals: Tensor) -> Tensor:
    """A Wishart matrix of standard gamma draws [..., D] and normal ones [..., D, D] (Bartlett 1933)."""
    root = normals.tril(-1) + torch.diag_embed((2 * gammas).sqrt())
    half = tril @ root
    return half @ half.mT


def lkj_log_prob(x: Tensor, concentration: Tensor) -> Tensor:
    """log density at the Cholesky factor x [..., D, D] of a correlation matrix, for concentrations [...]."""
    size = x.shape[-1]
    rest = size - 1
    logs = x.diagonal(dim1=-2, dim2=-1)[..., 1:].log()
    places = torch.arange(2, size + 1, dtype=x.dtype, device=x.device)
    powers = 2 * concentration.unsqueeze(-1) - 2 + size - places
    alpha = concentration + 0.5 * rest
    constant = 0.5 * rest * math.log(math.pi) + multigamma(alpha - 0.5, rest)
    return (powers * logs).sum(-1) - constant + rest * torch.lgamma(alpha)


def lkj_inside(concentration: Tensor, size: int) -> Tensor:
    """First concentrations of the beta variables of the rows [..., D]; the first row needs none."""
    places = torch.arange(size, dtype=concentration.dtype, device=concentration.device)
    halves = places.clamp(min=1) / 2
    return halves + torch.zeros_like(concentration).unsqueeze(-1)


def lkj_outside(concentration: Tensor, size: int) -> Tensor:
    """Second concentrations of the beta variables of the rows [..., D]."""
    places = torch.arange(size, dtype=concentration.dtype, device=concentration.device)
    return concentration.unsqueeze(-1) + (size - 1 - places) / 2


def lkj_of(inside: Tensor, outside: Tensor, normals: Tensor) -> Tensor:
    """A Cholesky factor of a correlation matrix, each row at a random place of a ball."""
    share = inside / (inside + outside)
    first = torch.zeros_like(share[..., :1])
    share = torch.cat((first, share[..., 1:]), -1)
    kind = torch.finfo(share.dtype)
    below = normals.tril(-1)
    length = below.square().sum(-1, keepdim=True).clamp_min(kind.tiny).sqrt()
    ball = below / length * share.clamp_min(kind.tiny).sqrt().unsqueeze(-1)
    return ball + torch.diag_embed((1 - share).clamp_min(kind.eps).sqrt())


class LKJCholesky(D.LKJCholesky):
    """The Cholesky factor of a random correlation matrix, with its mean, and draws of its density."""

    has_rsample = True

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws, pathwise: torch's own have other lengths of rows from the third on."""
        shape = self._extended_shape(torch.Size(sample_shape))
        k = self.concentration.expand(shape[:-2])
        inside = standard_gamma(lkj_inside(k, self.dim))
        outside = standard_gamma(lkj_outside(k, self.dim))
        normals = torch.randn(shape, dtype=k.dtype, device=k.device)
        return lkj_of(inside, outside, normals)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draws."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    @property
    def mean(self) -> Tensor:
        """Zero below the diagonal, on which stand the means of roots of beta variables."""
        one = lkj_inside(self.concentration, self.dim)[..., 1:]
        other = lkj_outside(self.concentration, self.dim)[..., 1:]
        logs = torch.lgamma(other + 0.5) - torch.lgamma(other)
        logs = logs + torch.lgamma(one + other) - torch.lgamma(one + other + 0.5)
        first = torch.ones_like(self.concentration).unsqueeze(-1)
        return torch.diag_embed(torch.cat((first, logs.exp()), -1))
