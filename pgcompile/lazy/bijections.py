"""Modules that are bijections as lazy transforms, and compositions of lazy transforms."""

from __future__ import annotations

from typing import Any

from torch import Size, Tensor, nn
from torch.distributions import Transform, constraints

from pgcompile.lazy.protocol import LazyInverse, LazyTransform
from pgcompile.lazy.transforms import Composed
from pgcompile.lazy.unconditional import UnconditionalTransform


class LazyBijection(LazyTransform):
    """A transform of `pgcompile.runtime.transforms`, or of an emitted module, as a lazy one.

    Args:
        module: gives a value and its log-determinant, and by `inverse` the way back; `module.shape` and
            `module.out_shape` are the event shapes of the data and of the base.

    Examples:
        >>> import torch
        >>> from pgcompile.flows import RealNVP
        >>> transform = LazyBijection(RealNVP(4, context=2).transform.module)
        >>> y, ladj = transform(torch.randn(16, 2)).call_and_ladj(torch.randn(16, 4))
        >>> y.shape, ladj.shape
        (torch.Size([16, 4]), torch.Size([16]))
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, context: Any = None) -> Transform:
        """The transform for a context, a tensor [..., context]."""
        return _BoundBijection(self.module, context)


class _BoundBijection(Transform):
    """A module's map for one context."""

    bijective = True

    def __init__(self, module: Any, context: Any, *, backwards: bool = False) -> None:
        super().__init__()
        self.module, self.context, self.backwards = module, context, backwards
        ends: tuple[tuple[int, ...], tuple[int, ...]] = (tuple(module.shape), tuple(module.out_shape))
        self._from, self._to = ends[::-1] if backwards else ends

    @property
    def domain(self) -> constraints.Constraint:  # type: ignore[override]
        return constraints.independent(constraints.real, len(self._from))  # type: ignore[no-untyped-call]

    @property
    def codomain(self) -> constraints.Constraint:  # type: ignore[override]
        return constraints.independent(constraints.real, len(self._to))  # type: ignore[no-untyped-call]

    @property
    def inv(self) -> Transform:
        return _BoundBijection(self.module, self.context, backwards=not self.backwards)

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        run = self.module.inverse if self.backwards else self.module
        y, ladj = run(x, self.context)
        return y, ladj

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.inv._call(y)  # type: ignore[no-any-return, no-untyped-call]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call_and_ladj(x)[1]

    def forward_shape(self, shape: Any) -> Any:
        return Size((*shape[: len(shape) - len(self._from)], *self._to))

    def inverse_shape(self, shape: Any) -> Any:
        return Size((*shape[: len(shape) - len(self._to)], *self._from))


class LazyComposedTransform(LazyTransform):
    """Transforms one after another, the first applied first.

    Args:
        transforms: lazy transforms, or transforms of torch that no context changes.

    Examples:
        >>> import torch, torch.distributions as D
        >>> both = LazyComposedTransform(D.AffineTransform(0.0, 2.0), D.ExpTransform())
        >>> both()(torch.zeros(3))
        tensor([1., 1., 1.])
    """

    def __init__(self, *transforms: LazyTransform | Transform) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(as_lazy(t) for t in transforms)

    def forward(self, context: Any = None) -> Transform:
        """The composition for a context."""
        return Composed([t(context) for t in self.transforms])

    @property
    def inv(self) -> LazyTransform:
        """The inverses in the other order."""
        return LazyInverse(self)


def as_lazy(transform: Any) -> nn.Module:
    """A lazy transform as it is, a transform of torch as one that no context changes."""
    if isinstance(transform, nn.Module):
        return transform
    if isinstance(transform, Transform):
        return UnconditionalTransform(lambda: transform)
    raise TypeError(f"{type(transform).__name__} is no transform: give a lazy one or a torch.distributions.Transform")
