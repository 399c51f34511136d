"""An average of the weights over training, kept without waiting for the device."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a model's parameters and buffers (Polyak and Juditsky 1992; Tarvainen and Valpola
    2017). Whole numbers are copied.

    torch's `AveragedModel` asks a tensor how many steps it has seen, which waits for the device at each of them.

    Args:
        model: what is averaged.
        decay: how much of the average is kept at each step; the first step copies.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the present weights."""
        own, now = _tensors(self.module), _tensors(model)
        mixed = [i for i, tensor in enumerate(own) if tensor.is_floating_point() and self.steps]
        if mixed:
            torch._foreach_lerp_([own[i] for i in mixed], [now[i] for i in mixed], 1 - self.decay)
        for i in set(range(len(own))) - set(mixed):
            own[i].copy_(now[i])
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"steps": self.steps, "module": self.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.steps = state["steps"]
        self.module.load_state_dict(state["module"])


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*(p.detach() for p in model.parameters()), *model.buffers()]
