"""Jobs timed in turn, each round in another order: medians of ratios."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def optimised(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One update by Adam of a loss."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    return step


def medians(jobs: dict[str, Callable[[], Any]], unit: str, rounds: int, repeats: int = 1) -> dict[str, float]:
    """The time of each job over that of `unit`.

    Args:
        jobs: by name.
        unit: the name of the one that counts as 1.
        rounds: how often each is timed.
        repeats: calls in a row that make one time.
    """
    for job in jobs.values():
        for _ in range(2):
            job()
    ratios: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        names = list(jobs)[number % len(jobs) :] + list(jobs)[: number % len(jobs)]
        times = {}
        for name in names:
            start = time.perf_counter()
            for _ in range(repeats):
                jobs[name]()
            times[name] = time.perf_counter() - start
        for name, found in ratios.items():
            found.append(times[name] / times[unit])
    return {name: statistics.median(found) for name, found in ratios.items()}
