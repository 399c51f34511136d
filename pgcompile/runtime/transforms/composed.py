"""Transforms one after another."""

import math

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection


class ComposedTransform(Bijection):
    """Transforms one after another, the first applied first to data.

    Args:
        transforms: the transforms.
        shape: event shape of the data.
        out_shape: event shape of the base, if it is another one.
        context: number of context features, 0 for none.

    Raises:
        ValueError: the value or the context has other features, or the context is missing.
    """

    def __init__(
        self, transforms, shape: tuple, out_shape: tuple | None = None, context: int = 0
    ):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)
        self.shape = tuple(shape)
        self.out_shape = self.shape if out_shape is None else tuple(out_shape)
        self.context = context

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., *shape], context [..., C] -> y [..., *out_shape], log |det dy/dx| [...]."""
        x, context = self.broadcast(x, context, self.shape)
        batch = x.shape[: x.dim() - len(self.shape)]
        total = None
        for transform in self.transforms:
            x, ladj = transform(x, context)
            total = added(total, ladj)
        return x, spread(total, x, batch)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., *out_shape], context [..., C] -> x [..., *shape], log |det dx/dy| [...]."""
        y, context = self.broadcast(y, context, self.out_shape)
        batch = y.shape[: y.dim() - len(self.out_shape)]
        total = None
        for transform in reversed(self.transforms):
            y, ladj = transform.inverse(y, context)
            total = added(total, ladj)
        return y, spread(total, y, batch)

    def broadcast(self, x: Tensor, context: Tensor | None, shape: tuple):
        """The value and the context over their common batch."""
        rank = len(shape)
        if x.dim() < rank or x.shape[x.dim() - rank :] != shape:
            raise ValueError(
                f"the flow takes values of shape [..., {str(list(shape))[1:-1]}], not {list(x.shape)}"
            )
        if self.context == 0 and context is None:
            return x, None
        if context is None:
            raise ValueError(
                f"the flow over {math.prod(shape)} features takes a context of {self.context}: none is given"
            )
        if self.context == 0:
            raise ValueError(
                f"the flow over {math.prod(shape)} features takes no context: one is given"
            )
        if context.dim() < 1 or context.shape[-1] != self.context:
            raise ValueError(
                f"the flow over {math.prod(shape)} features takes a context of shape [..., {self.context}], "
                f"not {list(context.shape)}"
            )
        batch = torch.broadcast_shapes(x.shape[: x.dim() - rank], context.shape[:-1])
        return x.expand(*batch, *shape), context.expand(*batch, self.context)


class Inverted(Bijection):
    """A transform the other way round, over the same parameters."""

    def __init__(self, transform: Bijection):
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None):
        """The inverse of the transform."""
        return self.transform.inverse(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """The transform."""
        return self.transform(y, context)


def added(total: Tensor | None, ladj: Tensor | None):
    """The sum of log-determinants, None for zero."""
    if total is None or ladj is None:
        return ladj if total is None else total
    return total + ladj


def spread(total: Tensor | None, x: Tensor, batch: tuple) -> Tensor:
    """A log-determinant over the whole batch."""
    return x.new_zeros(batch) if total is None else total.expand(batch)
