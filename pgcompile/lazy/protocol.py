"""Lazy distributions and transforms: the protocol, and the inverse of a lazy transform."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch.distributions as D
from torch import nn
from torch.distributions import Transform


class LazyDistribution(nn.Module, ABC):
    """A module whose call with a context gives a distribution."""

    @abstractmethod
    def forward(self, context: Any = None) -> D.Distribution:
        """The distribution for a context."""


class LazyTransform(nn.Module, ABC):
    """A module whose call with a context gives a transform."""

    @abstractmethod
    def forward(self, context: Any = None) -> Transform:
        """The transform for a context."""

    @property
    def inv(self) -> LazyTransform:
        """The inverse, over the same parameters; `t.inv.inv is t`."""
        return LazyInverse(self)


class LazyInverse(LazyTransform):
    def __init__(self, transform: LazyTransform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, context: Any = None) -> Transform:
        inverse: Transform = self.transform(context).inv
        return inverse

    @property
    def inv(self) -> LazyTransform:
        return self.transform
