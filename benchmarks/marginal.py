"""A hidden Markov model by variable elimination, against the forward algorithm written by hand, in one run."""

import math
import statistics
import time
from typing import Any

import torch
from torch import Tensor

import pgcompile as pgc

BATCH = 32


def program(steps: int, states: int) -> str:
    """p(x1, ..., xT), with the states summed out, a variable a step."""
    ts = range(1, steps + 1)
    lines = [
        f"param start : real[{states}] = normal(0, 1)",
        f"param move : real[{states}, {states}] = normal(0, 1)",
        f"param centre : real[{states}] = normal(0, 1)",
        *(f"z{t} : category[{states}]" for t in ts),
        *(f"x{t} : real" for t in ts),
        "p(z1) = Categorical(logits = start)",
        *(f"p(z{t}|z{t - 1}) = Categorical(logits = move[z{t - 1}])" for t in ts[1:]),
        *(f"p(x{t}|z{t}) = Normal(centre[z{t}], 1)" for t in ts),
    ]
    seen = ", ".join(f"x{t}" for t in ts)
    sums = " ".join(f"sum_z{t}" for t in ts)
    factors = " ".join(f"p(z{t}|z{t - 1}) p(x{t}|z{t})" if t > 1 else "p(z1) p(x1|z1)" for t in ts)
    return "\n".join([*lines, f"p({seen}) = {sums} {factors}", f"score = log p({seen})", "maximize score"])


def forward_algorithm(model: Any, x: Tensor) -> Tensor:
    """log p(x), x: [N, T], by the recursion over steps."""
    start, move = model.start.log_softmax(-1), model.move.log_softmax(-1)
    seen = -0.5 * (x.unsqueeze(-1) - model.centre).square() - 0.5 * math.log(2 * math.pi)
    alpha = start + seen[:, 0]
    for t in range(1, x.shape[1]):
        alpha = torch.logsumexp(alpha.unsqueeze(-1) + move, -2) + seen[:, t]
    return alpha.logsumexp(-1)


def marginal_ratio(steps: int, states: int, rounds: int) -> float:
    """Time of log-density and gradient over that of the hand-written algorithm."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model: Any = pgc.compile(program(steps, states)).Model()
    x = torch.randn(BATCH, steps)
    given = {f"x{t + 1}": x[:, t] for t in range(steps)}
    torch.testing.assert_close(model.score(**given), forward_algorithm(model, x), rtol=1e-4, atol=1e-3)

    def timed(score: Any) -> float:
        model.zero_grad()
        start = time.perf_counter()
        score().mean().backward()
        return time.perf_counter() - start

    found = []
    for number in range(rounds):
        jobs = [lambda: model.score(**given), lambda: forward_algorithm(model, x)]
        times = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            times[which] = timed(jobs[which])
        found.append(times[0] / times[1])
    return statistics.median(found)
