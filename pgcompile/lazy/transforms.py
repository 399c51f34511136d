"""Compositions of torch's transforms, with the log-determinant of each from the same evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributions as D
from torch import Tensor
from torch.distributions import Transform, constraints


class Composed(Transform):
    """Transforms one after another, with the log-determinant of each from the same evaluation."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        super().__init__()
        self.transforms = list(transforms)
        self._chain = D.ComposeTransform(list(transforms)) if transforms else D.identity_transform

    @property
    def domain(self) -> constraints.Constraint:  # type: ignore[override]
        """Of the whole chain."""
        domain: constraints.Constraint = self._chain.domain
        return domain

    @property
    def codomain(self) -> constraints.Constraint:  # type: ignore[override]
        """Of the whole chain."""
        codomain: constraints.Constraint = self._chain.codomain
        return codomain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """True if every part is."""
        return all(t.bijective for t in self.transforms)

    @property
    def inv(self) -> Transform:
        """The inverse, whose value and log-determinant come from one evaluation too; `t.inv.inv is t`."""
        return _Backwards(self)

    def _call(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            y = transform.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |det dy/dx|; y is computed again, for nothing of a call is kept."""
        return self.call_and_ladj(x)[1]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The value and the log-determinant."""
        return along(self.transforms, self.domain.event_dim, x)

    def forward_shape(self, shape: Any) -> Any:
        """Shape of the value."""
        return self._chain.forward_shape(shape)  # type: ignore[no-untyped-call]

    def inverse_shape(self, shape: Any) -> Any:
        """Shape of what the value is made from."""
        return self._chain.inverse_shape(shape)  # type: ignore[no-untyped-call]


class _Backwards(Transform):
    """A composition the other way round."""

    def __init__(self, forwards: Composed) -> None:
        super().__init__()
        self.forwards = forwards

    @property
    def inv(self) -> Transform:
        return self.forwards

    @property
    def domain(self) -> constraints.Constraint:  # type: ignore[override]
        return self.forwards.codomain

    @property
    def codomain(self) -> constraints.Constraint:  # type: ignore[override]
        return self.forwards.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self.forwards.bijective

    def _call(self, x: Tensor) -> Tensor:
        return self.forwards._inverse(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.forwards._call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call_and_ladj(x)[1]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return along([t.inv for t in reversed(self.forwards.transforms)], self.domain.event_dim, x)

    def forward_shape(self, shape: Any) -> Any:
        return self.forwards.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.forwards.forward_shape(shape)


def call_and_ladj(transform: Transform, x: Tensor) -> tuple[Tensor, Tensor]:
    """A transform's value and log-determinant, from one evaluation where it offers that.

    Examples:
        >>> call_and_ladj(D.ExpTransform(), torch.zeros(2))
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    fused: Callable[[Tensor], tuple[Tensor, Tensor]] | None = getattr(transform, "call_and_ladj", None)
    if fused is not None:
        return fused(x)
    y = transform(x)
    return y, transform.log_abs_det_jacobian(x, y)  # type: ignore[no-untyped-call]


def along(transforms: Sequence[Transform], rank: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Transforms one after another, and the sum of their log-determinants over `rank` event dimensions."""
    total: Tensor | None = None
    for transform in transforms:
        x, ladj = call_and_ladj(transform, x)
        extra = rank - transform.domain.event_dim
        ladj = ladj.flatten(-extra).sum(-1) if extra > 0 else ladj
        total = ladj if total is None else total + ladj
        rank += transform.codomain.event_dim - transform.domain.event_dim
    return x, torch.zeros_like(x) if total is None else total
