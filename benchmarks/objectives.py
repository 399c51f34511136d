"""What rewriting an objective is worth: terms that are still sampled, variance of the loss and of its gradient; and
whether the examples reach what their hand-written losses reach."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pgcompile as pgc
from benchmarks.digits import Score
from benchmarks.hand_losses import HAND
from pgcompile.backends.torch import emit
from pgcompile.inference.generative import generative_part
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.leaves import LogDensityLeaf, NamedLeaf, PointwiseLeaf, variables_of
from pgcompile.objective.rewrite import rewrite
from pgcompile.pipeline import Analysis, analyse
from pgcompile.plan.methods.planner import plan_module
from pgcompile.sources import read_source

ROOT = Path(__file__).parent.parent
TRAINED = {
    "vae": "elbo",
    "iwae": "bound",
    "discrete_vae": "elbo",
    "enumerated_vae": "elbo",
    "beta_tcvae": "goal",
    "mmd_vae": "goal",
}


@dataclass(frozen=True)
class Reduction:
    """Of one objective, as written and as rewritten.

    Args:
        terms: log-densities and expressions that depend on a draw.
        loss: variance of the loss over its own draws.
        gradient: sum of the variances of its gradient.
    """

    terms: tuple[int, int]
    loss: tuple[float, float]
    gradient: tuple[float, float]


def reductions(runs: int) -> dict[str, Reduction]:
    """For every example: one batch of 128 digits, the nets as they are initialised."""
    found = {}
    for path in sorted((ROOT / "examples").glob("*.pgc")):
        sides = [_measured(path, runs, closed=closed) for closed in (False, True)]
        found[path.stem] = Reduction(*((sides[0][i], sides[1][i]) for i in range(3)))  # type: ignore[arg-type]
    return found


def _measured(path: Path, runs: int, *, closed: bool) -> tuple[int, float, float]:
    analysis = analyse(read_source(path))
    found = {n: rewrite(t, analysis.model, analysis.sink, n, closed=closed) for n, t in analysis.objectives.items()}
    torch.manual_seed(0)
    model = _model(analysis, found)
    line = analysis.model.optimise[0].objective
    values = _data(model.loss, 128)
    losses, gradients = [], []
    for _ in range(runs):
        loss = model.loss(**values)
        parameters = [p for p in model.parameters() if p.requires_grad]
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        losses.append(loss.detach())
        gradients.append(torch.cat([g.flatten() for g in grads if g is not None]))
    return _sampled(found[line]), float(torch.stack(losses).var()), float(torch.stack(gradients).var(0).sum())


def _sampled(rewritten: Rewritten) -> int:
    """Terms that depend on a draw."""
    count = 0
    for leaf in rewritten.leaves.values():
        if isinstance(leaf, NamedLeaf):
            count += _sampled(leaf.value)
        elif isinstance(leaf, LogDensityLeaf | PointwiseLeaf):
            count += any(env.get(name) is not None for name, env in variables_of(leaf))
    return count


def _model(analysis: Analysis, rewritten: dict[str, Rewritten]) -> Any:
    plan = plan_module(analysis.model, generative_part(analysis.model, analysis.resolver), rewritten)
    namespace: dict[str, Any] = {}
    exec(emit(plan, "Model", analysis.source).source, namespace)  # noqa: S102  # printed by pgcompile itself
    return namespace["Model"]()


def _data(method: Any, count: int) -> dict[str, Any]:
    with np.load(ROOT / "examples" / "data" / "digits.npz") as digits:
        values: dict[str, Any] = {
            "x": torch.as_tensor(digits["x"][:count]).float(),
            "grey": torch.as_tensor(digits["grey"][:count]).float() / 16,
            "y": torch.as_tensor(digits["y"][:count]).long(),
            "beta": 4.0,
        }
    names = method.__code__.co_varnames[: method.__code__.co_argcount]
    return {name: value for name, value in values.items() if name in names}


def figures(seeds: int, epochs: int) -> dict[str, tuple[Score, Score]]:
    """Objective on 297 digits after training on 1500: the emitted loss, and the one written by hand."""
    x = torch.as_tensor(np.load(ROOT / "examples" / "data" / "digits.npz")["x"]).float()
    found = {}
    for name, objective in TRAINED.items():
        program = pgc.compile(ROOT / "examples" / f"{name}.pgc")
        by_hand = HAND.get(name)
        scores: tuple[list[float], list[float]] = ([], [])
        for seed in range(seeds):
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
            for side, loss in enumerate((None, by_hand)):
                torch.manual_seed(seed)
                model = program.Model()
                _train(model, loss, x[order[:1500]], epochs)
                with torch.no_grad():
                    values = [getattr(model, objective)(x[order[1500:]]).mean() for _ in range(20)]
                scores[side].append(float(torch.stack(values).mean()))
        found[name] = tuple(_score(s) for s in scores)
    return found  # type: ignore[return-value]


def _train(model: Any, by_hand: Any, train: Tensor, epochs: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(train)).split(128):
            optimiser.zero_grad()
            loss = model.loss(train[index]) if by_hand is None else by_hand(model, train[index])
            loss.backward()
            optimiser.step()


def _score(values: list[float]) -> Score:
    return Score(float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5))
