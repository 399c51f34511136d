"""Lazy distributions and transforms: the protocol, and the inverse of a lazy transform."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch.distributions as D
from torch import nn
from torch.distributions import Transform


class LazyDistribution(nn.Module, ABC):
    """A module whose call with a context gives a distribution.

    Examples:
        >>> import torch
        >>> class Gaussian(LazyDistribution):
        ...     def __init__(self, features, context):
        ...         super().__init__()
        ...         self.loc = nn.Linear(context, features)
        ...
        ...     def forward(self, context=None):
        ...         return D.Independent(D.Normal(self.loc(context), 1.0), 1)
        >>> Gaussian(3, 5)(torch.zeros(16, 5)).sample((4,)).shape
        torch.Size([4, 16, 3])
    """

    @abstractmethod
    def forward(self, context: Any = None) -> D.Distribution:
        """The distribution for a context."""


class LazyTransform(nn.Module, ABC):
    """A module whose call with a context gives a transform.

    Examples:
        >>> import torch
        >>> class Shift(LazyTransform):
        ...     def __init__(self, features, context):
        ...         super().__init__()
        ...         self.loc = nn.Linear(context, features)
        ...
        ...     def forward(self, context=None):
        ...         return D.AffineTransform(self.loc(context), 2.0, event_dim=1)
        >>> shift, context, x = Shift(3, 5), torch.randn(16, 5), torch.randn(16, 3)
        >>> torch.allclose(shift.inv(context)(shift(context)(x)), x, atol=1e-5)
        True
        >>> shift.inv.inv is shift
        True
    """

    @abstractmethod
    def forward(self, context: Any = None) -> Transform:
        """The transform for a context."""

    @property
    def inv(self) -> LazyTransform:
        """The inverse, over the same parameters; `t.inv.inv is t`."""
        return LazyInverse(self)


class LazyInverse(LazyTransform):
    """The inverse of a lazy transform, over the same parameters."""

    def __init__(self, transform: LazyTransform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, context: Any = None) -> Transform:
        inverse: Transform = self.transform(context).inv
        return inverse

    @property
    def inv(self) -> LazyTransform:
        return self.transform
