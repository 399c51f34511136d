"""Training steps of programs over data points, emitted and by Pyro, with the same nets and parameters."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pgcompile as pgc
from benchmarks.digits import ROOT
from benchmarks.interleaved import medians, optimised

Step = Callable[[], Any]


def _data(name: str) -> dict[str, Tensor]:
    with np.load(ROOT / "examples" / "data" / f"{name}.npz") as file:
        return {key: torch.as_tensor(value).float() for key, value in file.items()}


def _bayesian_net(net: Any, pyro: Any, dist: Any) -> tuple[Step, Step]:
    rows = _data("curve")
    x, y, total = rows["x"][:100], rows["y"][:100], len(rows["y"])
    own = {"w": net.w_loc.shape, "c": net.c_loc.shape, "v": net.v_loc.shape}
    spreads = {"w": 2.0, "c": 2.0, "v": 1.0}

    def model() -> None:
        w, c, v = (pyro.sample(n, dist.Normal(torch.zeros(s), spreads[n]).to_event(len(s))) for n, s in own.items())
        with pyro.plate("data", total, subsample=torch.arange(len(x))):
            pyro.sample("y", dist.Normal(torch.tanh(x @ w.T + c) @ v, 0.1), obs=y)

    def guide() -> None:
        for n, s in own.items():
            pyro.sample(n, dist.Normal(getattr(net, f"{n}_loc"), net.get(f"{n}_scale")).to_event(len(s)))

    return lambda: net.loss(x=x, y=y, N=total), lambda: _bound(pyro, model, guide)


def _schools(net: Any, pyro: Any, dist: Any) -> tuple[Step, Step]:
    rows = _data("schools")
    y, s = rows["y"], rows["s"]

    def model() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.LogNormal(1.0, 1.0))
        with pyro.plate("schools", 8):
            e = pyro.sample("e", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(mu + tau * e, s), obs=y)

    def guide() -> None:
        pyro.sample("mu", dist.Normal(net.m_mu, net.get("d_mu")))
        pyro.sample("tau", dist.LogNormal(net.m_tau, net.get("d_tau")))
        with pyro.plate("schools", 8):
            loc = net.effect(torch.stack((y / 10, s / 10), -1))[..., 0]
            pyro.sample("e", dist.Normal(loc, net.get("d_e")))

    return lambda: net.loss(y=y, s=s), lambda: _bound(pyro, model, guide, 16)


def _topics(net: Any, pyro: Any, dist: Any) -> tuple[Step, Step]:
    rows = _data("bars")
    w, total = rows["w"][:128], len(rows["w"])

    def model() -> None:
        with pyro.plate("documents", total, subsample=torch.arange(len(w))):
            theta = pyro.sample("theta", dist.Dirichlet(torch.full((len(w), 10), 0.2)))
            pyro.sample("w", dist.Multinomial(probs=theta @ net.get("topics"), validate_args=False), obs=w)

    def guide() -> None:
        with pyro.plate("documents", total, subsample=torch.arange(len(w))):
            pyro.sample("theta", dist.Dirichlet(net.encode(w.log1p()) + 0.05))

    return lambda: net.loss(w=w, N=total), lambda: _bound(pyro, model, guide)


PLATES = {
    "Bayesian net, 100 of 300 points": ("bayesian_net", _bayesian_net),
    "eight schools, 16 samples": ("eight_schools", _schools),
    "topics, 128 of 500 documents": ("topics", _topics),
}


def _bound(pyro: Any, model: Callable[[], None], guide: Callable[[], None], samples: int = 1) -> Tensor:
    """Pyro's loss with divergences in closed form, its samples side by side where there are several."""
    options = {"vectorize_particles": True, "max_plate_nesting": 1} if samples > 1 else {}
    engine = pyro.infer.TraceMeanField_ELBO(num_particles=samples, **options)
    found: Tensor = engine.differentiable_loss(model, guide)
    return found


def table(rounds: int) -> list[str]:
    """The section of the page; empty where Pyro is not installed."""
    if find_spec("pyro") is None:
        return []
    import pyro
    import pyro.distributions as dist

    pyro.enable_validation(False)
    lines = [
        "## Plates",
        "",
        f"A training step of an example over that of Pyro {pyro.__version__} with the same parameters (both by Adam).",
        "Made by `python -m benchmarks --only plates` with the extra `peers`.",
        "",
        "| program | emitted, over Pyro |",
        "| --- | --- |",
    ]
    for title, (name, both) in PLATES.items():
        torch.manual_seed(0)
        net = pgc.compile(ROOT / "examples" / "sequences" / f"{name}.pgc").Model()
        ours, theirs = both(net, pyro, dist)
        jobs = {"emitted": optimised(net, ours), "Pyro": optimised(net, theirs)}
        lines.append(f"| {title} | {medians(jobs, 'Pyro', rounds, repeats=10)['emitted']:.2f} |")
    return lines
