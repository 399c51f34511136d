"""Test ELBO on the digits: the compiled VAE and the hand-written one, same nets, same budget, same seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pgcompile as pgc
from benchmarks.hand_written import HandWrittenVae

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Score:
    """Mean and standard error of the test ELBO over seeds."""

    mean: float
    error: float


def compare(seeds: int = 5, epochs: int = 200) -> dict[str, Score]:
    """Train both models on 1500 digits for `epochs` passes and score them on the other 297."""
    program = pgc.compile(ROOT / "examples" / "vae.pgc")
    makers: dict[str, Any] = {"compiled": program.Model, "hand-written": lambda: HandWrittenVae(64, 128, 8)}
    x = torch.as_tensor(np.load(ROOT / "examples" / "data" / "digits.npz")["x"]).float()
    scores: dict[str, list[float]] = {name: [] for name in makers}
    for seed in range(seeds):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        for name, maker in makers.items():
            torch.manual_seed(seed)
            scores[name].append(_train(maker(), x[order[:1500]], x[order[1500:]], epochs))
    return {name: Score(float(np.mean(s)), float(np.std(s, ddof=1) / len(s) ** 0.5)) for name, s in scores.items()}


def _train(model: Any, train: Tensor, test: Tensor, epochs: int) -> float:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(train)).split(128):
            optimiser.zero_grad()
            model.loss(train[index]).backward()
            optimiser.step()
    with torch.no_grad():
        return float(torch.stack([model.elbo(test).mean() for _ in range(20)]).mean())
