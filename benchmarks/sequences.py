"""Training steps of a variational recurrent net (Chung et al. 2015), emitted and as loops written by hand."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._inductor.utils import fresh_cache

import pgcompile as pgc
from pgcompile.training.compiling import compiled_losses

PROGRAM = """index t in 1..T
x_t : boolean[{size}]
z_t : real[{latent}]
h_t : real[{state}]
net enc = Linear({hidden}) >> ReLU
net loc = Linear({latent})
net scale = Linear({latent}) >> Softplus
net prior = Linear({hidden}) >> ReLU >> Linear({latent}) >> Softplus
net dec = Linear({hidden}) >> ReLU >> Linear({size})
net cell = GRUCell
h_0 = 0
h_t = cell(z_t, x_t, h_{{t-1}})
p(z_t | h_{{t-1}}) = Normal(0, prior(h_{{t-1}}))
p(x_t | z_t, h_{{t-1}}) = Bernoulli(logits = dec(z_t, h_{{t-1}}))
q(z_t | x_t, h_{{t-1}}) = Normal(loc(e), scale(e)) where e = enc(x_t, h_{{t-1}})
elbo = ELBO[p || q]
maximize elbo
"""


class HandLoop(nn.Module):
    """Everything in the loop, as one writes it first: the nets of an emitted module, which it shares."""

    def __init__(self, nets: Any) -> None:
        super().__init__()
        self.nets = nets

    def loss(self, x: Tensor) -> Tensor:
        m = self.nets
        h, total = x.new_zeros(len(x), m.cell.hidden_size), x.new_zeros(())
        for t in range(x.shape[1]):
            here = x[:, t]
            e = m.enc(torch.cat((here, h), -1))
            loc, scale = m.loc(e), m.scale(e)
            z = loc + scale * torch.randn_like(loc)
            logits = m.dec(torch.cat((z, h), -1))
            total = total + F.binary_cross_entropy_with_logits(logits, here, reduction="sum")
            total = total + _kl(loc, scale, m.prior(h)).sum()
            h = m.cell(torch.cat((z, here), -1), h)
        return total / len(x)


class SplitLoop(HandLoop):
    """What recurs in the loop, the decoder, the prior and the divergence after it."""

    def loss(self, x: Tensor) -> Tensor:
        m = self.nets
        sequence = x.movedim(1, 0)
        h = x.new_zeros(len(x), m.cell.hidden_size)
        states, locs, scales, zs = [], [], [], []
        for here in sequence:
            e = m.enc(torch.cat((here, h), -1))
            loc, scale = m.loc(e), m.scale(e)
            z = loc + scale * torch.randn_like(loc)
            states.append(h)
            locs.append(loc)
            scales.append(scale)
            zs.append(z)
            h = m.cell(torch.cat((z, here), -1), h)
        before, z = torch.stack(states), torch.stack(zs)
        logits = m.dec(torch.cat((z, before), -1))
        scored = F.binary_cross_entropy_with_logits(logits, sequence, reduction="sum")
        divergence = _kl(torch.stack(locs), torch.stack(scales), m.prior(before)).sum()
        return (scored + divergence) / len(x)


def _kl(loc: Tensor, scale: Tensor, prior: Tensor) -> Tensor:
    return prior.log() - scale.log() + 0.5 * ((loc.square() + scale.square()) / prior.square() - 1)


def step_ratios(*, places: int, batch: int, rounds: int, compiled: bool) -> tuple[dict[str, float], float]:
    """Times over that of the loop written by hand, in one run, and the seconds that compiling took."""
    torch.manual_seed(0)
    program = pgc.compile(PROGRAM.format(size=88, latent=16, state=64, hidden=64))
    model = program.Model()
    x = (torch.rand(batch, places, 88) < 0.1).float()
    jobs: dict[str, Callable[[Tensor], Any]] = {
        "hand loop": _step(HandLoop(model)),
        "split loop": _step(SplitLoop(model)),
        "emitted": _step(model),
    }
    seconds = 0.0
    if compiled:
        jobs["emitted, compiled"] = _step(model, compiled_losses(model, {"loss": model.loss}, "default")["loss"])
        torch.compiler.reset()
        with fresh_cache():  # what an earlier run compiled is compiled again
            start = time.perf_counter()
            jobs["emitted, compiled"](x)
            seconds = time.perf_counter() - start
    for job in jobs.values():
        job(x)
    ratios: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        names = list(jobs)[number % len(jobs) :] + list(jobs)[: number % len(jobs)]
        times = {}
        for name in names:
            start = time.perf_counter()
            jobs[name](x)
            times[name] = time.perf_counter() - start
        for name, found in ratios.items():
            found.append(times[name] / times["hand loop"])
    return {name: statistics.median(found) for name, found in ratios.items()}, seconds


def _step(model: Any, loss: Callable[[Tensor], Tensor] | None = None) -> Callable[[Tensor], None]:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    compute = model.loss if loss is None else loss

    def step(x: Tensor) -> None:
        optimiser.zero_grad()
        compute(x).backward()
        optimiser.step()

    return step


def table(*, rounds: int, compiled: bool) -> list[str]:
    """The section of the page."""
    lines = [
        "## Sequences",
        "",
        "A training step of a variational recurrent net (88 booleans a place, a GRU of 64, batches of 32), over that",
        "of a loop with everything in it; the split loop has decoder, prior and divergence after it.",
        "",
        "| places | split loop | emitted | compiled | seconds to compile, nothing cached |",
        "| --- | --- | --- | --- | --- |",
    ]
    for places in (16, 64, 256):
        found, seconds = step_ratios(places=places, batch=32, rounds=rounds, compiled=compiled)
        last = f"{found['emitted, compiled']:.2f} | {seconds:.0f}" if "emitted, compiled" in found else "- | -"
        lines.append(f"| {places} | {found['split loop']:.2f} | {found['emitted']:.2f} | {last} |")
    return lines
