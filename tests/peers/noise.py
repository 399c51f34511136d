"""The noise of an emitted method, given to a peer that draws the same variables one by one."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Normals(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.randn_like:
            self.found.append(result.detach())
        return result


@contextmanager
def recorded() -> Iterator[list[Tensor]]:
    """Every tensor of standard normal numbers that is drawn inside, in order."""
    mode = _Normals()
    with mode:
        yield mode.found


@contextmanager
def replayed(noise: Iterable[Tensor]) -> Iterator[None]:
    """`torch.distributions.Normal`, and what is built on it, draws these numbers, in order, and no others."""
    numbers = iter(noise)
    drawn = torch.distributions.normal._standard_normal

    def next_one(shape: Any, dtype: Any, device: Any) -> Tensor:
        found = next(numbers)
        assert tuple(found.shape) == tuple(shape), f"{tuple(found.shape)} for {tuple(shape)}"
        return found

    torch.distributions.normal._standard_normal = next_one
    try:
        yield
        assert next(numbers, None) is None, "the peer drew fewer numbers"
    finally:
        torch.distributions.normal._standard_normal = drawn


def value_and_gradient(values: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """Values, and the gradient of their sum; zeros for parameters that take no part."""
    given = list(parameters)
    found = torch.autograd.grad(values.sum(), given, allow_unused=True)
    grads = (torch.zeros_like(p) if g is None else g for p, g in zip(given, found, strict=True))
    return [values.detach(), *grads]
