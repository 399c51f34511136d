"""Training steps of the deep Markov model of Pixyz's tutorial, emitted, by hand and by Pixyz."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

import pgcompile as pgc
from benchmarks.interleaved import medians, optimised
from benchmarks.pixyz_sequences import deep_markov_of_pixyz

# "Action Conditional Deep Markov Model": frames of a cart with a pole, and what was done at each.
PROGRAM = """index t in 1..T
x_t : real[3, {side}, {side}]
u_t : real[1]
e_t : real[{each}]
h_t : real[{joined}]
z_t : real[{latent}]
net frame = Conv2d({channels}, 4, stride = 2, padding = 1) >> ReLU >> Conv2d({wide}, 4, stride = 2, padding = 1) >> ReLU
            >> Flatten >> Linear({hidden}) >> ReLU >> Linear({each}) >> ReLU
net both = GRU({both}, bidirectional = true)
net join = Linear({joined}) >> Tanh
net loc = Linear({latent})
net scale = Linear({latent}) >> Softplus
net move = Linear(32) >> ReLU
net move_loc = Linear({latent})
net move_scale = Linear({latent}) >> Softplus
net emit = Linear({hidden}) >> ReLU >> Linear({flat}) >> ReLU >> Unflatten(({wide}, {corner}, {corner}))
           >> ConvTranspose2d({channels}, 4, stride = 2, padding = 1) >> ReLU
           >> ConvTranspose2d(3, 4, stride = 2, padding = 1)
z_0 = 0
e_t = frame(x_t)
h_{{1:T}} = both(e_{{1:T}})
p(z_t | z_{{t-1}}, u_t) = Normal(move_loc(m), move_scale(m)) where m = move(z_{{t-1}}, u_t)
p(x_t | z_t) = Normal(emit(z_t), 1)
q(z_t | z_{{t-1}}, u_t, h_t) = Normal(loc(c), scale(c)) where c = 0.5 * (h_t + join(z_{{t-1}}, u_t))
elbo = sum_t (E_{{q(z_t|z_{{t-1}},u_t,h_t)}}[log p(x_t|z_t)] - KL[q(z_t|z_{{t-1}},u_t,h_t) || p(z_t|z_{{t-1}},u_t)])
maximize elbo
"""
SIZES = {
    "side": 28, "channels": 64, "wide": 128, "hidden": 256, "each": 32, "both": 32, "latent": 16, "joined": 64,
    "corner": 7, "flat": 6272,
}  # fmt: skip
PLACES = 30


class HandLoop(nn.Module):
    """As the tutorial computes it: frames at once, everything else a place at a time."""

    def __init__(self, nets: Any) -> None:
        super().__init__()
        self.nets = nets

    def loss(self, x: Tensor, u: Tensor) -> Tensor:
        m = self.nets
        each = m.frame(x.flatten(0, 1)).reshape(*x.shape[:2], -1)
        states, _ = nn.GRU.forward(m.both, each)
        z, total = x.new_zeros(len(x), SIZES["latent"]), x.new_zeros(())
        for t in range(x.shape[1]):
            known = torch.cat((z, u[:, t]), -1)
            c = 0.5 * (states[:, t] + m.join(known))
            prior = m.move(known)
            q, p = Normal(m.loc(c), m.scale(c)), Normal(m.move_loc(prior), m.move_scale(prior))
            z = q.rsample()
            total = total + kl_divergence(q, p).sum() - Normal(m.emit(z), 1.0).log_prob(x[:, t]).sum()
        return total / len(x)


def step_ratios(batch: int, rounds: int) -> dict[str, float]:
    """Times of a step over that of the loop written by hand, by name, in one run."""
    torch.manual_seed(0)
    model = pgc.compile(PROGRAM.format(**SIZES)).Model()
    x, u = torch.rand(batch, PLACES, 3, 28, 28), torch.randn(batch, PLACES, 1)
    jobs: dict[str, Callable[[], Any]] = {
        "hand loop": optimised(model, lambda: HandLoop(model).loss(x, u)),
        "emitted": optimised(model, lambda: model.loss(x=x, u=u)),
    }
    if find_spec("pixyz") is not None and find_spec("IPython") is not None:
        theirs = deep_markov_of_pixyz(model, PLACES).mean()
        given = {"x": x.transpose(0, 1), "u": u.transpose(0, 1), "z_prev": torch.zeros(batch, SIZES["latent"])}
        jobs["Pixyz"] = optimised(model, lambda: theirs.eval({k: v.clone() for k, v in given.items()}))
    return medians(jobs, "hand loop", rounds)


def table(rounds: int) -> list[str]:
    """The section of the page."""
    lines = [
        "## Deep Markov model",
        "",
        "A training step of the model of Pixyz's tutorial (30 places, 3 x 28 x 28 numbers each, its nets) over that of",
        "a loop written by hand, which puts the frames through their encoder at once and all else a place at a time.",
        "Made by `python -m benchmarks --only deep_markov`; Pixyz stands here where it is installed.",
        "",
    ]
    found = {batch: step_ratios(batch, rounds) for batch in (1, 8)}
    names = [name for name in found[1] if name != "hand loop"]
    lines += [f"| batch | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    return lines + [f"| {b} | {' | '.join(f'{r[name]:.2f}' for name in names)} |" for b, r in found.items()]
