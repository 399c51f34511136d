"""Optimizer parameters and schedules of training steps, written to be copied into emitted modules."""

import math

import torch


def parameters_of(optimizer) -> list:
    """The parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def learning_rate(optimizer, kind: str, warmup: int, steps: int):
    """A schedule: up over `warmup` steps, then constant, linear, cosine or exponential.

    All but the first fall until step `steps`: to nothing, or to a hundredth if exponential.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        gone = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return {
            "constant": 1.0,
            "linear": 1 - gone,
            "cosine": (1 + math.cos(math.pi * gone)) / 2,
            "exponential": 0.01**gone,
        }[kind]

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def ramp(step: int, kind: str, start: float, end: float, steps: int) -> float:
    """From `start` to `end` over `steps` steps; cyclic: over each first half of them."""
    gone = step / steps
    gone = min(2 * (gone % 1), 1.0) if kind == "cyclic" else min(gone, 1.0)
    if kind == "cosine":
        gone = (1 - math.cos(math.pi * gone)) / 2
    return start + (end - start) * gone
