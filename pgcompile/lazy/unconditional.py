"""Distributions and transforms that no context changes, with their arguments as parameters or buffers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch.distributions as D
from torch import Tensor, nn
from torch.distributions import Transform

from pgcompile.lazy.protocol import LazyDistribution, LazyTransform


class UnconditionalDistribution(LazyDistribution):
    """A distribution that no context changes.

    Args:
        make: gives the distribution from the arguments, such as `torch.distributions.Normal`.
        args: tensors become parameters (or buffers), a `Parameter` stays the same object, modules become submodules.
        buffer: whether tensors are kept as buffers, which are not learned.
        kwargs: the same, under their names.

    Examples:
        >>> import torch
        >>> prior = UnconditionalDistribution(D.Normal, torch.zeros(3), scale=torch.ones(3))
        >>> [name for name, _ in prior.named_parameters()]
        ['arguments._0', 'arguments.scale']
        >>> prior().sample((2,)).shape
        torch.Size([2, 3])
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
    """A transform that no context changes; its arguments are those of `UnconditionalDistribution`.

    Examples:
        >>> import torch
        >>> scale = UnconditionalTransform(D.AffineTransform, 0.0, torch.full((3,), 2.0))
        >>> scale()(torch.ones(3)).tolist()
        [2.0, 2.0, 2.0]
    """

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
        """The object that `make` gives, whatever the context."""
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
