"""Lazy distributions and transforms: modules that give a distribution or a transform for a context.

The protocol is zuko's: condition in, distribution out. What a program's `model.factor(...)` gives is called in the same
way. A transform maps data to the base. Objects of torch and of zuko may stand wherever one of these does: a transform
is asked for `call_and_ladj` where it has it, for `__call__` and `log_abs_det_jacobian` where it has not.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributions as D
from torch import Size, Tensor, nn
from torch.distributions import Transform, constraints


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
        return _LazyInverse(self)


class _LazyInverse(LazyTransform):
    def __init__(self, transform: LazyTransform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, context: Any = None) -> Transform:
        inverse: Transform = self.transform(context).inv
        return inverse

    @property
    def inv(self) -> LazyTransform:
        return self.transform


class LazyBijection(LazyTransform):
    """A transform of `pgcompile.vocabulary.transforms`, or of an emitted module, as a lazy one.

    Args:
        module: gives a value and its log-determinant, and by `inverse` the way back; `module.shape` and
            `module.out_shape` are the event shapes of the data and of the base.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, context: Any = None) -> Transform:
        """The transform for a context, a tensor [..., context]."""
        return _BoundBijection(self.module, context)


class LazyFactor(LazyDistribution):
    """A factor of a model: condition in, distribution out; its parameters are the model's.

    Args:
        model: an emitted module.
        method: its method that gives the distribution for the parents.
    """

    def __init__(self, model: nn.Module, method: Callable[..., D.Distribution]) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *parents: Any, **inputs: Any) -> D.Distribution:
        """The distribution for its parents; a factor without parents takes any context."""
        alone = self.method.__code__.co_argcount == 1  # `inspect` cannot be traced
        return self.method(*(() if alone else parents), **inputs)


def with_lazy_factors(model: type[Any]) -> type[Any]:
    """An emitted class whose `factor` gives a `LazyFactor`; its text, which imports torch alone, gives a method."""
    plain = getattr(model, "factor", None)
    if plain is not None:

        def factor(self: nn.Module, name: str) -> LazyFactor:
            """A factor by its name: call it with its parents for a distribution."""
            return LazyFactor(self, plain(self, name))

        model.factor = factor
    return model


class LazyComposedTransform(LazyTransform):
    """Transforms one after another, the first applied first.

    Args:
        transforms: lazy transforms, or transforms of torch that no context changes.
    """

    def __init__(self, *transforms: LazyTransform | Transform) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(_lazy(t) for t in transforms)

    def forward(self, context: Any = None) -> Transform:
        """The composition for a context."""
        return Composed([t(context) for t in self.transforms])

    @property
    def inv(self) -> LazyTransform:
        """The inverses in the other order."""
        return _LazyInverse(self)


class Flow(LazyDistribution):
    """A base distribution seen through a transform that maps data to it.

    Args:
        transform: one lazy transform, or several in the order in which they are applied to data.
        base: the lazy base distribution.

    A call gives a `NormalizingFlow` whose base is expanded to the batch of the context, a tensor `[..., features]`.
    """

    def __init__(
        self, transform: LazyTransform | Transform | Sequence[LazyTransform | Transform], base: LazyDistribution
    ) -> None:
        super().__init__()
        several = isinstance(transform, Iterable) and not isinstance(transform, nn.Module)
        self.transform = LazyComposedTransform(*transform) if several else _lazy(transform)  # type: ignore[misc]
        self.base = base

    def forward(self, context: Any = None) -> NormalizingFlow:
        """The distribution for a context."""
        transform, base = self.transform(context), self.base(context)
        # Event dimensions are declared before the batch is expanded: those of the batch must not be taken for them.
        base = _event(base, max(transform.codomain.event_dim, len(base.event_shape)))
        if isinstance(context, Tensor) and context.ndim:
            batch = torch.broadcast_shapes(context.shape[:-1], base.batch_shape)  # type: ignore[no-untyped-call]
            base = base.expand(batch)
        return NormalizingFlow(transform, base)


class NormalizingFlow(D.Distribution):
    """`p(x) = base(f(x)) |det df/dx|` (Tabak & Turner 2013; Rezende & Mohamed 2015).

    Args:
        transform: f, from data to the base.
        base: the distribution of f(x).
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, transform: Transform, base: D.Distribution) -> None:
        self.transform = transform
        rank = max(transform.codomain.event_dim, len(base.event_shape))
        self.base = _event(base, rank)
        whole = self.base.batch_shape + self.base.event_shape
        shape = transform.inverse_shape(whole)  # type: ignore[no-untyped-call]
        event = rank + transform.domain.event_dim - transform.codomain.event_dim
        cut = len(shape) - event
        super().__init__(Size(shape[:cut]), Size(shape[cut:]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Where the density is positive: the domain of the transform."""
        domain: constraints.Constraint = self.transform.domain
        return domain

    def expand(self, batch_shape: Any, _instance: Any = None) -> NormalizingFlow:
        """The same for more batch dimensions."""
        return NormalizingFlow(self.transform, self.base.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log-density `[sample, batch]` of `[sample, batch, event]`."""
        z, ladj = call_and_ladj(self.transform, value)
        extra = len(self.base.event_shape) - self.transform.codomain.event_dim
        density: Tensor = self.base.log_prob(z)
        return density + (ladj.flatten(-extra).sum(-1) if extra > 0 else ladj)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws `[sample, batch, event]`, pathwise where the base is."""
        shape = Size(sample_shape)
        z = self.base.rsample(shape) if self.base.has_rsample else self.base.sample(shape)
        value: Tensor = self.transform.inv(z)
        return value

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        if torch.compiler.is_compiling():
            with torch.no_grad():
                return self.rsample(sample_shape)
        with torch.inference_mode():
            draws = self.rsample(sample_shape)
        return draws.clone()  # a tensor like any other, not one of that mode

    def rsample_and_log_prob(self, sample_shape: Any = ()) -> tuple[Tensor, Tensor]:
        """Draws and their log-density from one evaluation of the inverse."""
        shape = Size(sample_shape)
        z = self.base.rsample(shape) if self.base.has_rsample else self.base.sample(shape)
        value, ladj = call_and_ladj(self.transform.inv, z)
        extra = len(self.base.event_shape) - self.transform.codomain.event_dim
        return value, self.base.log_prob(z) - (ladj.flatten(-extra).sum(-1) if extra > 0 else ladj)


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
        """Whether every part is."""
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
        return _along(self.transforms, self.domain.event_dim, x)

    def forward_shape(self, shape: Any) -> Any:
        """Shape of the value."""
        return self._chain.forward_shape(shape)  # type: ignore[no-untyped-call]

    def inverse_shape(self, shape: Any) -> Any:
        """Shape of what the value is made from."""
        return self._chain.inverse_shape(shape)  # type: ignore[no-untyped-call]


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


def call_and_ladj(transform: Transform, x: Tensor) -> tuple[Tensor, Tensor]:
    """A transform's value and log-determinant, from one evaluation where it offers that."""
    fused: Callable[[Tensor], tuple[Tensor, Tensor]] | None = getattr(transform, "call_and_ladj", None)
    if fused is not None:
        return fused(x)
    y = transform(x)
    return y, transform.log_abs_det_jacobian(x, y)  # type: ignore[no-untyped-call]


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
        return _along([t.inv for t in reversed(self.forwards.transforms)], self.domain.event_dim, x)

    def forward_shape(self, shape: Any) -> Any:
        return self.forwards.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.forwards.forward_shape(shape)


def link_zuko() -> None:
    """Let zuko take these classes for its own: they become virtual subclasses of its lazy ones.

    Importing zuko switches off the validation of arguments of `torch.distributions`; it is put back as it was.
    """
    validating = D.Distribution._validate_args
    try:
        import zuko.lazy
    finally:
        D.Distribution.set_default_validate_args(validating)
    zuko.lazy.LazyDistribution.register(LazyDistribution)
    zuko.lazy.LazyTransform.register(LazyTransform)


class UnconditionalDistribution(LazyDistribution):
    """A distribution that no context changes.

    Args:
        make: gives the distribution from the arguments, such as `torch.distributions.Normal`.
        args: tensors become parameters (or buffers), a `Parameter` stays the same object, modules become submodules.
        buffer: whether tensors are kept as buffers, which are not learned.
        kwargs: the same, under their names.
    """

    def __init__(self, make: Callable[..., D.Distribution], *args: Any, buffer: bool = False, **kwargs: Any) -> None:
        super().__init__()
        self.make = make
        self.arguments = _Arguments(args, kwargs, buffer=buffer)

    def forward(self, context: Any = None) -> D.Distribution:
        """The distribution, whatever the context."""
        args, kwargs = self.arguments()
        return self.make(*args, **kwargs)


class UnconditionalTransform(LazyTransform):
    """A transform that no context changes; its arguments are those of `UnconditionalDistribution`."""

    def __init__(self, make: Callable[..., Transform], *args: Any, buffer: bool = False, **kwargs: Any) -> None:
        super().__init__()
        self.make = make
        self.arguments = _Arguments(args, kwargs, buffer=buffer)

    def forward(self, context: Any = None) -> Transform:
        """The transform, whatever the context."""
        args, kwargs = self.arguments()
        return self.make(*args, **kwargs)


class Unconditional(nn.Module):
    """Deprecated: use `UnconditionalDistribution` or `UnconditionalTransform`, which say what they give."""

    def __init__(self, make: Callable[..., Any], *args: Any, buffer: bool = False, **kwargs: Any) -> None:
        warnings.warn(
            "Unconditional is deprecated: use UnconditionalDistribution or UnconditionalTransform",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__()
        self.make = make
        self.arguments = _Arguments(args, kwargs, buffer=buffer)

    def forward(self, context: Any = None) -> Any:
        """What `make` gives, whatever the context."""
        args, kwargs = self.arguments()
        return self.make(*args, **kwargs)


class _Arguments(nn.Module):
    """Arguments of a call, tensors and modules among them registered."""

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], *, buffer: bool) -> None:
        super().__init__()
        self.positional = [self._keep(f"_{i}", value, buffer) for i, value in enumerate(args)]
        self.named = {name: self._keep(name, value, buffer) for name, value in kwargs.items()}

    def _keep(self, name: str, value: Any, buffer: bool) -> tuple[str | None, Any]:
        """The attribute that holds a value, or the value itself."""
        if isinstance(value, nn.Module):
            self.add_module(name, value)
        elif isinstance(value, nn.Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Tensor) and buffer:
            self.register_buffer(name, value)
        elif isinstance(value, Tensor):
            self.register_parameter(name, nn.Parameter(value))
        else:
            return None, value
        return name, None

    def forward(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as they are now."""

        def now(kept: tuple[str | None, Any]) -> Any:
            name, value = kept
            return value if name is None else getattr(self, name)

        return [now(kept) for kept in self.positional], {name: now(kept) for name, kept in self.named.items()}


def _lazy(transform: Any) -> nn.Module:
    """A lazy transform as it is, a transform of torch as one that no context changes."""
    if isinstance(transform, nn.Module):
        return transform
    if isinstance(transform, Transform):
        return UnconditionalTransform(lambda: transform)
    raise TypeError(f"{type(transform).__name__} is no transform: give a lazy one or a torch.distributions.Transform")


def _event(base: D.Distribution, rank: int) -> D.Distribution:
    """A distribution with at least `rank` event dimensions."""
    missing = rank - len(base.event_shape)
    return D.Independent(base, missing, validate_args=False) if missing > 0 else base


def _along(transforms: Sequence[Transform], rank: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Transforms one after another, and the sum of their log-determinants over `rank` event dimensions."""
    total: Tensor | None = None
    for transform in transforms:
        x, ladj = call_and_ladj(transform, x)
        extra = rank - transform.domain.event_dim
        ladj = ladj.flatten(-extra).sum(-1) if extra > 0 else ladj
        total = ladj if total is None else total + ladj
        rank += transform.codomain.event_dim - transform.domain.event_dim
    return x, torch.zeros_like(x) if total is None else total
