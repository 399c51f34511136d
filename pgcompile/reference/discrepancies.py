"""Distances of samples, computed from them: maximum mean discrepancy and Wasserstein distances."""

import torch
from torch import Tensor

from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Draw
from pgcompile.reference.interpreter import Reference


def points_of(world: Reference, draw: Draw, compared: tuple[Variable, ...]) -> Tensor:
    """The entries of some variables of a draw side by side: `[samples, replicates, batch, size]`."""
    parts = []
    for variable in compared:
        found = world.variable(variable, draw.env.extended(draw.variables, draw))
        flat = found.tensor.reshape(*found.tensor.shape[: found.tensor.ndim - found.rank], -1)
        parts.append(flat.expand(*world.lead(draw), flat.shape[-1]))
    return torch.cat(parts, -1)


def paired_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean Euclidean distance of paired draws.

    Args:
        x: draws of one side, `[samples, ..., size]`.
        y: as many of the other.

    Returns:
        `[...]`.
    """
    return (x - y).square().sum(-1).sqrt().mean(0)


def in_one_set(side: Tensor) -> Tensor:
    """`[samples, replicates, batch, size]` as `[replicates, points, size]`: one set of points for every replicate."""
    return side.movedim(1, 0).reshape(side.shape[1], -1, side.shape[-1])


def sliced_distance(x: Tensor, y: Tensor, projections: int) -> Tensor:
    """Mean squared distance of sorted projections on random directions (Rabin et al. 2012), one a replicate."""
    units = torch.nn.functional.normalize(torch.randn(x.shape[-1], projections, dtype=torch.float64), dim=0)
    a, b = (((points @ units).sort(1).values) for points in (in_one_set(x), in_one_set(y)))
    return _for_batch((a - b).square().mean((1, 2)), x)


def kernel_distance(x: Tensor, y: Tensor, kernel: str, widths: tuple[float, ...]) -> Tensor:
    """The unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, lemma 6), one a replicate.

    Args:
        x: draws of one side, `[samples, replicates, batch, size]`.
        y: draws of the other.
        kernel: `gaussian`, exp(-d^2 / 2 w^2), or `imq`, w^2 / (w^2 + d^2).
        widths: w; the kernels of several are added.
    """

    def compared(a: Tensor, b: Tensor) -> Tensor:
        squares = (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(-1)
        if kernel == "gaussian":
            return sum((torch.exp(-squares / (2 * w**2)) for w in widths), torch.zeros(()))
        return sum((w**2 / (w**2 + squares) for w in widths), torch.zeros(()))

    like = x
    x, y = in_one_set(x), in_one_set(y)
    n = x.shape[1]
    inner = [
        (k.sum((1, 2)) - k.diagonal(dim1=1, dim2=2).sum(-1)) / (n * (n - 1)) for k in (compared(x, x), compared(y, y))
    ]
    return _for_batch(inner[0] + inner[1] - 2 * compared(x, y).mean((1, 2)), like)


def _for_batch(value: Tensor, side: Tensor) -> Tensor:
    """`[replicates]` as `[replicates, 1]` where the draws of a side have a batch, which the value has in common."""
    return value.unsqueeze(-1) if side.ndim > 3 else value
