"""Factors that use deterministic variables of what they are conditioned on."""

import math

import pytest
import torch

import pgcompile as pgc

STATE_SPACE = """
index t in 1..T
x_t : real[2]
z_t : real[3]
b_t : real[4]
net back = GRUCell
net move = Linear(3)
net loc = Linear(3)
net emit = Linear(2)
param z_0 : real[3]
b_{T+1} = 0
b_t = back(x_t, b_{t+1})
p(z_1) = Normal(0, 1)
p(z_t|z_{t-1}) = Normal(move(z_{t-1}), 1)
p(x_t|z_t) = Normal(emit(z_t), 1)
"""

VRNN = """
index t in 1..T
x_t : boolean[3]
z_t : real[2]
h_t : real[4]
net cell = GRUCell
net enc = Linear(2)
net prior = Linear(2)
net decoder = Linear(3)
h_0 = 0
h_t = cell(x_t, z_t, h_{t-1})
"""


def test_a_formula_is_written_into_the_factor() -> None:
    program = pgc.compile(
        "x, z : real\nh = 2 * z + 1\ns = exp(h)\np(z) = Normal(0, 1)\np(x|z) = Normal(h, s)\no = log p(x|z)\n"
    )
    x, z = torch.tensor([0.3, -1.0]), torch.tensor([0.1, -0.4])
    mean = 2 * z + 1
    wanted = -0.5 * ((x - mean) / mean.exp()) ** 2 - mean - 0.5 * math.log(2 * math.pi)
    assert torch.allclose(program.Model().o(x=x, z=z), wanted, atol=1e-6)
    assert not [d for d in program.diagnostics if d.code == "W130"]
    assert program.Model().factor("p(x|z)")(z).mean.tolist() == pytest.approx(mean.tolist())


def test_parts_of_a_result_are_written_in_once() -> None:
    program = pgc.compile(
        "x : real[3]\nz : real[2]\nnet enc = Linear(4)\nnet dec = Linear(3)\n(m, s) = enc(x)\np(z) = Normal(0, 1)\n"
        "q(z|x) = Normal(m, softplus(s))\np(x|z) = Normal(dec(z), 1)\nelbo = ELBO[p || q]\n"
    )
    elbo = program.source.split("def elbo(")[1].split("def ")[0]
    assert elbo.count("self.enc(x)") == 1
    assert all(check.passed for check in program.verify())


@pytest.mark.parametrize(
    ("sequence", "state"),
    [
        ("q(z_t|z_{t-1}, x_{t:T})", "q(z_t|z_{t-1}, b_t)"),
        ("q(z_t|z_{<t}, x_{1:T})", "q(z_t|z_{t-1}, b_t)"),
    ],
)
def test_a_state_stands_for_the_places_that_it_is_made_of(sequence: str, state: str) -> None:
    values = []
    for head in (sequence, state):
        text = STATE_SPACE + f"{head} = Normal(loc(0.1 * z_{{t-1}} + z_of(b_t)), 1)\nnet z_of = Linear(3)\n"
        text += f"elbo = sum_t (E_{{{head}}}[log p(x_t|z_t)] - KL[{head} || p(z_t|z_{{t-1}})])\n"
        program = pgc.compile(text)
        torch.manual_seed(0)
        model = program.Model()
        torch.manual_seed(1)
        values.append(model.elbo(x=torch.linspace(-1, 1, 16).view(2, 4, 2)))
    assert torch.equal(*values)


def test_the_first_place_of_such_a_factor_is_conditioned_on_the_whole() -> None:
    head = "q(z_t|z_{t-1}, x_{t:T})"
    rest = f"KL[{head} || p(z_t|z_{{t-1}})]"
    text = STATE_SPACE + f"{head} = Normal(loc(0.1 * z_{{t-1}} + z_of(b_t)), 1)\nnet z_of = Linear(3)\n"
    text += f"a = sum_t (E_{{{head}}}[log p(x_t|z_t)] - {rest})\n"
    text += f"b = sum_t E_{{{head}}}[log p(x_t|z_t)] - KL[q(z_1|x_{{1:T}}) || p(z_1)] - sum_{{t=2}}^{{T}} {rest}\n"
    model = pgc.compile(text).Model()
    x = torch.linspace(-1, 1, 16).view(2, 4, 2)
    values = []
    for name in ("a", "b"):
        torch.manual_seed(1)
        values.append(getattr(model, name)(x=x))
    assert torch.allclose(*values, atol=1e-5)


def test_the_paper_of_the_variational_recurrent_net() -> None:
    program = pgc.compile(
        VRNN + "p(z_t|x_{<t}, z_{<t}) = Normal(prior(h_{t-1}), 1)\n"
        "p(x_t|z_{1:t}, x_{<t}) = Bernoulli(logits = decoder(cat(z_t, h_{t-1})))\n"
        "q(z_t|x_{1:t}, z_{<t}) = Normal(enc(cat(x_t, h_{t-1})), 1)\n"
        "elbo = sum_t (E_{q(z_t|x_{1:t}, z_{<t})}[log p(x_t|z_{1:t}, x_{<t})]"
        " - KL[q(z_t|x_{1:t}, z_{<t}) || p(z_t|x_{<t}, z_{<t})])\n"
    )
    assert all(check.passed for check in program.verify())


def test_a_code_of_a_whole_sequence() -> None:
    program = pgc.compile(
        "index t in 1..T\nx_t : real[2]\nz : real[3]\nnet rnn = GRU(4)\nnet loc = Linear(3)\nnet dec = Linear(2)\n"
        "e_{1:T} = rnn(x_{1:T})\np(z) = Normal(0, 1)\nq(z|x_{1:T}) = Normal(loc(e_T), 1)\n"
        "p(x_t|z) = Normal(dec(z), 1)\nkl = KL[q(z|x_{1:T}) || p(z)]\n"
    )
    model = program.Model()
    x = torch.randn(5, 7, 2, generator=torch.Generator().manual_seed(0))
    rnn = next(part for part in model.modules() if isinstance(part, torch.nn.GRU))
    linear = next(p for n, p in model.named_modules() if n.startswith("loc") and isinstance(p, torch.nn.Linear))
    last = torch.nn.GRU.forward(rnn, x)[0][:, -1]
    assert torch.allclose(model.kl(x=x), 0.5 * linear(last).square().sum(-1), atol=1e-5)


@pytest.mark.parametrize(
    "line",
    [
        "q(z_t|z_{t-1}, x_t) = Normal(loc(b_t), 1)",  # b_t takes what comes later too
        "q(z_t|z_{t-1}, x_{1:t}) = Normal(loc(b_t), 1)",
        "q(z_t|z_{<t}, x_{t:T}) = Normal(loc(b_{t-1}), 1)",  # and b_{t-1} what stood one place before
    ],
)
def test_a_state_of_other_places_is_refused(line: str) -> None:
    found = pgc.check(STATE_SPACE + line + "\nelbo = ELBO[p || q]\n")
    assert "PGC114" in [d.code for d in found]
