"""Discrete draws that later places depend on: their gradient is that of the expectation over all paths."""

from itertools import product

import pytest
import torch

import pgcompile as pgc

MODEL = """
index t in 1..T{padded}
x_t : real
z_t : category[2]
h_t : real
param a, b, c, d : real = 0.3
h_0 = 0
h_t = tanh(h_{{t-1}} + c * z_t)
p(z_t|h_{{t-1}}) = Categorical(logits = [0, 1] * h_{{t-1}})
p(x_t|h_t) = Normal(d * h_t, 1)
q(z_t|x_t, h_{{t-1}}) = Categorical(logits = [0, 1] * (a * x_t + b * h_{{t-1}}))
"""
BOUND = "elbo = ELBO[p || q]\n"
BY_PLACE = "elbo = sum_t (E_{q(z_t|x_t,h_{t-1})}[log p(x_t|h_t)] - KL[q(z_t|x_t,h_{t-1}) || p(z_t|h_{t-1})])\n"
PATHS = "elbo = E_{q(z_{1:T}|x_{1:T})}[sum_t log p(x_t|h_t)]\n"
ENDS = "p(y|h_T) = Normal(h_T, 1)\nelbo = sum_t E_{q(z_t|x_t,h_{t-1})}[0.5 * log p(x_t|h_t)] + log p(y|h_T)\ny : real\n"


def _exact(x: torch.Tensor, y: torch.Tensor | None, kind: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The expectation over all paths and its gradient, path by path."""
    params = {name: torch.tensor(0.3, dtype=torch.float64, requires_grad=True) for name in "abcd"}
    normal = torch.distributions.Normal
    total = torch.zeros((), dtype=torch.float64)
    for path in product((0, 1), repeat=len(x)):
        h, log_q, value = torch.zeros((), dtype=torch.float64), torch.zeros(()), torch.zeros(())
        for at, z in zip(x, path, strict=True):
            logits = torch.stack((torch.zeros_like(h), params["a"] * at + params["b"] * h))
            prior = torch.stack((torch.zeros_like(h), h))
            here = logits.log_softmax(0)[z]
            log_q = log_q + here
            if kind == "bound":
                value = value + prior.log_softmax(0)[z] - here
            h = torch.tanh(h + params["c"] * z)
            value = value + (0.5 if kind == "end" else 1.0) * normal(params["d"] * h, 1.0).log_prob(at)
        if y is not None:
            value = value + normal(h, 1.0).log_prob(y)
        total = total + log_q.exp() * value
    total.backward()
    return total.detach(), {n: torch.zeros(()) if p.grad is None else p.grad for n, p in params.items()}


@pytest.mark.parametrize(
    ("objective", "kind"), [(BOUND, "bound"), (BY_PLACE, "bound"), (PATHS, "likelihood"), (ENDS, "end")]
)
def test_the_gradient_is_that_of_all_paths(objective: str, kind: str) -> None:
    model = pgc.compile(MODEL.format(padded="") + objective).Model().double()
    x, y = torch.tensor([0.7, -1.2, 0.4]).double(), torch.tensor(0.5).double()
    value, slopes = _exact(x, y if kind == "end" else None, kind)
    rows = 40_000
    given = {"x": x.expand(rows, 3)} | ({"y": y.expand(rows)} if kind == "end" else {})
    torch.manual_seed(0)
    mean = model.elbo(**given).mean()
    mean.backward()
    assert mean.item() == pytest.approx(value.item(), abs=0.01)
    for name, slope in slopes.items():
        found = dict(model.named_parameters())[name].grad
        assert found is not None
        assert found.item() == pytest.approx(slope.item(), abs=0.01), name


def test_padding_weighs_nothing() -> None:
    model = pgc.compile(MODEL.format(padded=" padded") + BY_PLACE).Model().double()
    x = torch.tensor([0.7, -1.2, torch.nan]).double()
    _, slopes = _exact(x[:2], None, "bound")
    torch.manual_seed(0)
    model.elbo(x=x.expand(40_000, 3), T=torch.full((40_000,), 2)).mean().backward()
    for name, slope in slopes.items():
        found = dict(model.named_parameters())[name].grad
        assert found is not None
        assert found.item() == pytest.approx(slope.item(), abs=0.01), name


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("o = IWAE[p || q; samples=4]\n", "no sum over places"),
        (BY_PLACE.replace("h_{t-1})}[", "h_{t-1}); grad=enumerate}["), "leave grad=enumerate out"),
        (BY_PLACE.replace("h_{t-1})}[", "h_{t-1}); baseline=base(x_t)}[") + "net base = Linear(1)\n", "samples=4"),
    ],
)
def test_what_has_no_such_gradient_is_told(objective: str, words: str) -> None:
    found = [d for d in pgc.check(MODEL.format(padded="") + objective) if d.code == "PGC121"]
    assert found and words in found[0].message + (found[0].help or ""), [str(d) for d in found]
