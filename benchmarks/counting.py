"""Exact counts: ATen dispatches of one forward and backward pass."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def dispatches(model: nn.Module, loss: Callable[[], Tensor]) -> int:
    """ATen operations of `loss().backward()`, after one pass to warm up."""
    loss().backward()
    model.zero_grad(set_to_none=True)
    with _Counter() as counter:
        loss().backward()
    model.zero_grad(set_to_none=True)
    return counter.count
