"""Time of a training step, interleaved, as the median of ratios to the hand-written module in one run."""

import statistics
import time
from typing import Any

import torch

import pgcompile as pgc
from benchmarks.hand_written import HandWrittenVae, vae_program


def step_ratio(size: int, hidden: int, latent: int, batch: int, rounds: int = 40, steps: int = 25) -> float:
    """Compiled over hand-written: below one, the compiled module is faster."""
    torch.set_num_threads(1)
    x = (torch.rand(batch, size) > 0.5).float()
    models = [pgc.compile(vae_program(size, hidden, latent)).Model(), HandWrittenVae(size, hidden, latent)]
    optimisers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in models]
    for model, optimiser in zip(models, optimisers, strict=True):
        _run(model, optimiser, x, 5)
    ratios = []
    for number in range(rounds):
        order = (0, 1) if number % 2 else (1, 0)
        times = [0.0, 0.0]
        for which in order:
            times[which] = _run(models[which], optimisers[which], x, steps)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def _run(model: Any, optimiser: torch.optim.Optimizer, x: torch.Tensor, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        optimiser.zero_grad()
        model.loss(x).backward()
        optimiser.step()
    return time.perf_counter() - start
