"""Discrepancies between samples, and the gradient penalty of a critic, written to be copied into emitted modules."""

import torch
from torch import Tensor


def square_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of every row of x from every row of y, without cancellation."""
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(x, y, compute_mode=mode).square()


def without_diagonal(kernel: Tensor) -> Tensor:
    """The mean of a kernel over pairs of different points."""
    count = kernel.shape[-1]
    if count < 2:
        raise ValueError("MMD takes two data points at least, or samples=2 for each")
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def gaussian_mmd(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> Tensor:
    """Unbiased squared maximum mean discrepancy of rows; kernels of all widths are added."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = square_distances(a, b)
        total = torch.exp(squares / (-2 * widths[0] ** 2))
        for width in widths[1:]:
            total = total + torch.exp(squares / (-2 * width**2))
        return total

    inside = without_diagonal(kernel(x, x)) + without_diagonal(kernel(y, y))
    return inside - 2 * kernel(x, y).mean()


def imq_mmd(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> Tensor:
    """The same with inverse multiquadric kernels, w^2 / (w^2 + squared distance)."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = square_distances(a, b)
        total = widths[0] ** 2 / (widths[0] ** 2 + squares)
        for width in widths[1:]:
            total = total + width**2 / (width**2 + squares)
        return total

    inside = without_diagonal(kernel(x, x)) + without_diagonal(kernel(y, y))
    return inside - 2 * kernel(x, y).mean()


def sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Mean squared distance of sorted projections on random directions."""
    units = directions / directions.square().sum(0).sqrt()
    return ((x @ units).sort(0).values - (y @ units).sort(0).values).square().mean()


def interpolate(first: Tensor, second: Tensor, along: Tensor, rank: int) -> Tensor:
    """The point at `along` of the line from `second` to `first`, whose event has `rank` dimensions."""
    along = along.reshape((*along.shape, *[1] * rank))
    return along * first.detach() + (1 - along) * second.detach()


def gradient_penalty(critic, x: Tensor, rank: int) -> Tensor:
    """(||grad critic(x)|| - 1)^2 for each data point (Gulrajani et al. 2017)."""
    slope = torch.func.grad(lambda point: critic(point).sum())(x)
    return (slope.flatten(-rank).norm(dim=-1) - 1).square()
