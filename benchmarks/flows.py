"""Flows against zuko, in one run: the same nets, eager, interleaved, as the median of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributions as D

import pgcompile as pgc

BATCH, HIDDEN, TRANSFORMS = 512, 128, 3


@dataclass(frozen=True)
class Row:
    """One measurement: how many times as long zuko takes."""

    flow: str
    what: str
    features: int
    ratio: float


def program(kind: str, features: int) -> str:
    """Three transforms of two hidden layers, as zuko's flow of that name has them."""
    nets = f"hidden=[{HIDDEN}, {HIDDEN}]"
    if kind == "RealNVP":
        masks = ["even" if i % 2 == 0 else "odd" for i in range(TRANSFORMS)]
        stages = [f"AffineCoupling({nets}, mask={mask})" for mask in masks]
    else:
        word = {"MAF": "MaskedAutoregressive", "NSF": "SplineAutoregressive"}[kind]
        orders = ["ascending" if i % 2 == 0 else "descending" for i in range(TRANSFORMS)]
        stages = [f"{word}({nets}, order={order})" for order in orders]
    return f"x : real[{features}]\nflow f = {' >> '.join(stages)}\np(x) = Flow(Normal(0, 1), f)\n"


def rows(rounds: int) -> Iterator[Row]:
    """Every measurement."""
    validating = D.Distribution._validate_args
    import zuko.flows

    D.Distribution.set_default_validate_args(validating)  # importing zuko switches it off
    torch.set_num_threads(1)
    for kind in ("RealNVP", "MAF", "NSF"):
        for features in (8, 64):
            theirs = getattr(zuko.flows, kind)(features, transforms=TRANSFORMS, hidden_features=[HIDDEN] * 2)
            model: Any = pgc.compile(program(kind, features)).Model()
            x = torch.randn(BATCH, features)
            bare = _nets_alone(x) if kind == "RealNVP" else {}
            for what, ours, peer in _jobs(model, theirs, x):
                yield Row(kind, what, features, _ratio(peer, ours, rounds))
                if what in bare:
                    yield Row(kind, f"{what}, if only nets took time", features, _ratio(peer, bare[what], rounds))


def _learned(score: Callable[[], torch.Tensor], module: torch.nn.Module) -> Callable[[], None]:
    def run() -> None:
        module.zero_grad(set_to_none=True)
        score().mean().backward()

    return run


def _jobs(model: Any, theirs: Any, x: torch.Tensor) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    shape = (BATCH,)
    yield (
        "log-density and gradient",
        _learned(lambda: model.log_prob(x), model),
        _learned(lambda: theirs().log_prob(x), theirs),
    )
    yield "draw", lambda: model.p_x().sample(shape), lambda: theirs().sample(shape)
    yield (
        "draw and gradient",
        _learned(lambda: model.p_x().rsample(shape), model),
        _learned(lambda: theirs().rsample(shape), theirs),
    )
    yield (
        "draw with its density, and gradient",
        _learned(lambda: sum(map(torch.sum, model.p_x().rsample_and_log_prob(shape))), model),
        _learned(lambda: sum(map(torch.sum, theirs().rsample_and_log_prob(shape))), theirs),
    )
    yield "draw with its density", _unlearned(model.p_x), _unlearned(theirs)


def _unlearned(conditioned: Callable[[], Any]) -> Callable[[], Any]:
    @torch.no_grad()
    def run() -> Any:
        return conditioned().rsample_and_log_prob((BATCH,))

    return run


def _nets_alone(x: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Jobs of `_jobs`, had couplings nothing to do but nets of the same sizes, one after another."""
    half = x.shape[1] // 2
    sizes = ((half, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2 * half))
    nets = torch.nn.ModuleList(torch.nn.ModuleList(torch.nn.Linear(*s) for s in sizes) for _ in range(TRANSFORMS))
    kept = x[:, :half].mT.contiguous()

    def run() -> torch.Tensor:
        total, moved = torch.zeros(()), kept
        for first, second, last in nets:
            h = moved
            for layer in (first, second):
                h = torch.addmm(layer.bias.unsqueeze(-1), layer.weight, h).relu_()
            h = torch.addmm(last.bias.unsqueeze(-1), last.weight, h)
            moved, total = h[:half], total + h.sum()
        return total

    learned = _learned(run, nets)
    return {
        "log-density and gradient": learned,
        "draw with its density, and gradient": learned,
        "draw with its density": torch.no_grad()(run),
    }


def _ratio(slow: Callable[[], Any], fast: Callable[[], Any], rounds: int) -> float:
    jobs = (slow, fast)
    for job in jobs:
        job()
    found = []
    for number in range(rounds):
        times = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            jobs[which]()
            times[which] = time.perf_counter() - start
        found.append(times[0] / times[1])
    return statistics.median(found)


def table(rounds: int) -> list[str]:
    """Lines of the page."""
    lines = [
        "",
        "## Flows",
        "",
        f"Time of zuko's flow over the emitted one's, eager: batch {BATCH}, {TRANSFORMS} transforms of two layers of "
        f"{HIDDEN} units. Above one, the emitted module is faster.",
        "",
        "| flow | what | 8 features | 64 features |",
        "| --- | --- | --- | --- |",
    ]
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows(rounds):
        found.setdefault((row.flow, row.what), {})[row.features] = row.ratio
    return [*lines, *(f"| {flow} | {what} | {r[8]:.2f} | {r[64]:.2f} |" for (flow, what), r in found.items())]


if __name__ == "__main__":  # this part alone: python -m benchmarks.flows
    print("\n".join(table(rounds=25)))
