"""Params and buffers by value, in their spaces, written to be copied into emitted modules."""

import torch
import torch.nn.functional as F
from torch import Tensor


def value_of(tensor: Tensor, space: str) -> Tensor:
    """The value that free numbers stand for: the map from the reals into a space."""
    if space in ("lower_cholesky", "positive_definite"):
        diagonal = F.softplus(tensor.diagonal(dim1=-2, dim2=-1))
        tril = tensor.tril(-1) + torch.diag_embed(diagonal)
        return tril if space == "lower_cholesky" else tril @ tril.mT
    if space in ("positive", "nonnegative"):
        return F.softplus(tensor)
    if space == "unit_interval":
        return tensor.sigmoid()
    if space == "simplex":
        return tensor.softmax(-1)
    return tensor.tril() if space == "lower_triangular" else tensor


def give_value(name: str, tensor: Tensor, space: str, value) -> None:
    """Store the free numbers of a value: the inverse of the map into its space."""
    given = torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device)
    if given.ndim and given.shape != tensor.shape:
        shown = f"{tuple(tensor.shape)}, not {tuple(given.shape)}"
        raise ValueError(f"{name} has the shape {shown}")
    given = free = given.expand(tensor.shape)
    if space == "positive_definite":
        given = free = torch.linalg.cholesky_ex(given).L
    if space in ("positive", "nonnegative"):
        free = given + (-torch.expm1(-given)).log()
    elif space == "unit_interval":
        free = given.logit()
    elif space == "simplex":
        free = (given / given.sum(-1, keepdim=True)).log()
    elif space in ("lower_cholesky", "positive_definite"):
        diagonal = given.diagonal(dim1=-2, dim2=-1)
        diagonal = diagonal + (-torch.expm1(-diagonal)).log()
        free = given.tril(-1) + torch.diag_embed(diagonal)
    elif space == "lower_triangular":
        free = given.tril()
    if not bool(free.isfinite().all()):
        raise ValueError(f"{name} must lie inside its space, {space}")
    with torch.no_grad():
        tensor.copy_(free)
