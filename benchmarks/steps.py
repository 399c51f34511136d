"""Time of a training step, interleaved, as medians of ratios to the hand-written module in one run."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import pgcompile as pgc
from benchmarks.hand_written import HandWrittenVae, vae_program
from benchmarks.peers import peer_steps

HAND = "hand-written"


def step_ratios(
    size: int, hidden: int, latent: int, batch: int, *, threads: int, rounds: int, steps: int = 10
) -> dict[str, float]:
    """Time over that of the hand-written module with the same optimiser: below one, it is faster."""
    torch.set_num_threads(threads)
    x = (torch.rand(batch, size) > 0.5).float()
    program = pgc.compile(vae_program(size, hidden, latent))
    jobs: dict[str, Callable[[Tensor], Any]] = {
        HAND: _adam(HandWrittenVae(size, hidden, latent)),
        "emitted": _adam(program.Model()),
        "Trainer": _trainer(program),
        **peer_steps(size, hidden, latent),
    }
    for job in jobs.values():
        for _ in range(5):
            job(x)
    ratios: dict[str, list[float]] = {name: [] for name in jobs if name != HAND}
    for number in range(rounds):
        names = list(jobs)
        names = names[number % len(names) :] + names[: number % len(names)]
        times = {name: _time(jobs[name], x, steps) for name in names}
        for name, found in ratios.items():
            found.append(times[name] / times[HAND])
    torch.set_num_threads(1)
    return {name: statistics.median(found) for name, found in ratios.items()}


def _adam(model: Any) -> Callable[[Tensor], Any]:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Tensor) -> None:
        optimiser.zero_grad()
        model.loss(x).backward()
        optimiser.step()

    return step


def _trainer(program: Any) -> Callable[[Tensor], Any]:
    trainer = pgc.Trainer(program.Model(), device="cpu")
    return lambda x: trainer.step(x=x)


def _time(job: Callable[[Tensor], Any], x: Tensor, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        job(x)
    return time.perf_counter() - start
