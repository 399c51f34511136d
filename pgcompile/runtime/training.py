"""Optimizer parameters and schedules of training steps, written to be copied into emitted modules."""

import math

import torch


def parameters_of(optimizer) -> list:
    """The parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def learning_rate(optimizer, kind: str, warmup: int, steps: int):
    """A schedule: up over `warmup` steps, then as `kind` says until step `steps`.

    Linear and cosine fall to nothing, exponential to a hundredth, step to a tenth at
    each third; one_cycle rises from a 25th and falls from 0.3 of the way (Smith 2018).
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
            "step": 0.1 ** min(int(3 * gone), 2),
            "one_cycle": 0.04 + 0.48 * (1 - math.cos(math.pi * gone / 0.3))
            if gone < 0.3
            else (1 + math.cos(math.pi * (gone - 0.3) / 0.7)) / 2,
        }[kind]

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


class Plateau:
    """A schedule: up over `warmup` steps; less by a factor where more than `patience` epochs saw no better loss.

    `step` is called after each update, `watch` with the loss of each epoch.
    """

    def __init__(self, optimizer, warmup: int, factor: float, patience: int, least):
        self.optimizer = optimizer
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.warmup, self.factor = warmup, factor
        self.patience, self.least = patience, least
        self.steps, self.cuts, self.waited = 0, 0, 0
        self.best = math.inf
        self.set()

    def set(self) -> None:
        """Give the optimizer its rates."""
        risen = min((self.steps + 1) / (self.warmup + 1), 1.0)
        groups = self.optimizer.param_groups  # other ones once it is loaded
        for group, rate in zip(groups, self.rates, strict=True):
            cut = max(rate * self.factor**self.cuts, min(rate, self.least))
            group["lr"] = cut * risen

    def step(self) -> None:
        """Go on by one update."""
        self.steps += 1
        self.set()

    def watch(self, loss: float) -> None:
        """Take note of the loss of an epoch."""
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(loss, self.best)
        if self.waited > self.patience:
            self.cuts, self.waited = self.cuts + 1, 0
            self.set()

    def state_dict(self) -> dict:
        """The state that changes while it runs."""
        names = ("steps", "cuts", "waited", "best")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a state."""
        self.__dict__.update(state)
        self.set()


def ramp(step: int, kind: str, start: float, end: float, steps: int) -> float:
    """From `start` to `end` over `steps` steps; cyclic: over each first half of them."""
    gone = step / steps
    gone = min(2 * (gone % 1), 1.0) if kind == "cyclic" else min(gone, 1.0)
    if kind == "cosine":
        gone = (1 - math.cos(math.pi * gone)) / 2
    return start + (end - start) * gone
