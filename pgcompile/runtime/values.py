"""Params and buffers by value, in their spaces, written to be copied into emitted modules."""

import torch
from torch import Tensor


@torch.no_grad()
def store(name: str, tensor: Tensor, value, inverse=torch.positive) -> None:
    """Give a tensor a value in place; `inverse` finds the free numbers that are stored."""
    try:
        given = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be numbers, not {value!r}") from None
    if given.is_complex():
        raise TypeError(f"{name} must be real numbers, not {given.dtype}")
    given = given.to(tensor)
    if given.ndim and given.shape != tensor.shape:
        raise ValueError(f"{name} has shape {[*tensor.shape]}, not {[*given.shape]}")
    free = inverse(given.expand(tensor.shape))
    if not bool(free.isfinite().all()):
        raise ValueError(f"{name} must lie inside its space")
    tensor.copy_(free)


def onto_simplex(free: Tensor) -> Tensor:
    """Proportions, of sum one in the last dimension, from free numbers."""
    return free.softmax(-1)


def free_of_simplex(value: Tensor) -> Tensor:
    """The logarithms of proportions, which `onto_simplex` takes back to them."""
    whole = (value.sum(-1, keepdim=True) - 1).abs() < 1e-3
    return torch.where(whole, value, torch.nan).log()


def free_of_positive(value: Tensor) -> Tensor:
    """The inverse of the softplus."""
    return value + (-torch.expm1(-value)).log()


def free_of_lower_cholesky(value: Tensor) -> Tensor:
    """The inverse of `lower_cholesky`."""
    diagonal = free_of_positive(value.diagonal(dim1=-2, dim2=-1))
    return value.tril(-1) + torch.diag_embed(diagonal)


def free_of_positive_definite(value: Tensor) -> Tensor:
    """The inverse of `positive_definite`; nan where the matrix is not positive definite."""
    tril, failed = torch.linalg.cholesky_ex(value)
    tril = tril.masked_fill(failed[..., None, None] > 0, torch.nan)
    return free_of_lower_cholesky(tril)
