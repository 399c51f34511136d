"""Formulas without declared spaces: chains of variables, parts, and what the `where` of an objective binds."""

import math
import warnings

import pytest
import torch

import pgcompile as pgc
from tests.conftest import compiled

CHAIN = """
x, y : real[3]
net f = Linear(3)
g = f(x)
h = tanh(g)
p(y|h) = Normal(h, 1)
likelihood = log p(y|h)
maximize likelihood using Adam
"""


def test_a_chain_of_variables_needs_no_spaces() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = pgc.compile(CHAIN)
    model = program.Model()
    x, y = torch.randn(5, 3), torch.randn(5, 3)
    expected = -0.5 * (y - model.f(x).tanh()).square().sum(-1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(model.likelihood(x=x, y=y), expected)
    assert all(check.passed for check in program.verify())


def test_a_vector_in_an_objective() -> None:
    model = compiled("x : real[8]\nnet enc = Linear(4)\nze = enc(x)\nl = sum(ze^2)\nminimize l\n").Model()
    x = torch.randn(5, 8)
    torch.testing.assert_close(model.l(x=x), model.enc(x).square().sum(-1))
    assert not hasattr(model, "ze")


def test_a_number_stays_an_objective() -> None:
    model = compiled("x : real[8]\nnet enc = Linear(4)\nr = sum(enc(x)^2)\nl = 2 * r\nminimize l\n").Model()
    x = torch.randn(5, 8)
    torch.testing.assert_close(model.l(x=x), 2 * model.r(x=x))


def test_denoising() -> None:
    """Ho, Jain & Abbeel 2020, with a net of the noisy data and the time."""
    program = compiled(
        "x : real[4]\nt : real[1]\ne : real[4]\nnet eps = Linear(4)\np(t) = Uniform(0, 1)\np(e) = Normal(0, 1)\n"
        "y = sqrt(1 - t[0]) * x + sqrt(t[0]) * e\nl = E_{p(e) p(t)}[sum((e - eps(y, t))^2)]\nminimize l\n"
    )
    model, x = program.Model(), torch.randn(5, 4)
    torch.manual_seed(0)
    found = model.l(x=x)
    torch.manual_seed(0)
    draws = {tuple(s): torch.randn(5, 4) if s == (5, 4) else torch.rand(5, 1) for s in _order(program.source)}
    t, e = draws[(5, 1)], draws[(5, 4)]
    noisy = (1 - t).sqrt() * x + t.sqrt() * e
    torch.testing.assert_close(found, (e - model.eps(torch.cat((noisy, t), -1))).square().sum(-1))
    assert all(check.passed for check in program.verify())


def _order(source: str) -> list[tuple[int, int]]:
    """The shapes of the two draws in the order of the module."""
    body = source[source.index("def l(") :]
    return [(5, 4), (5, 1)] if body.index("randn_like") < body.index("rand_like") else [(5, 1), (5, 4)]


def test_parts_and_where() -> None:
    program = compiled(
        "x : real[4]\nz : real[3]\nnet f = Linear(8) >> Tanh\nnet enc = Linear(6)\np(z) = Normal(0, 1)\n"
        "(m, s) = enc(x)\nq(z|m, s) = Normal(m, exp(s))\n"
        "l = KL[q(z|m, s) || p(z)] + r where h = f(x), r = sum(h^2)\n"
        "k = sum(h) + mean(a) where h = exp(f(x)), (a, b) = f(x)\nmaximize l\n"
    )
    model, x = program.Model(), torch.randn(5, 4)
    m, s = model.enc(x).chunk(2, -1)
    divergence = (0.5 * (m.square() + (2 * s).exp() - 1) - s).sum(-1)
    torch.testing.assert_close(model.l(x=x), divergence + model.f(x).square().sum(-1))
    torch.testing.assert_close(model.k(x=x), model.f(x).exp().sum(-1) + model.f(x)[:, :4].mean(-1))
    assert all(check.passed for check in program.verify())


def test_an_unused_vector_is_pointed_out() -> None:
    found = pgc.check("x, h : real[3]\nnet f = Linear(3)\nh = f(x)\nl = sum(f(x))\nminimize l\n")
    assert [d.code for d in found] == ["W130"]


@pytest.mark.parametrize("count", [30, 48])
def test_doubling_is_shared(count: int) -> None:
    names = "".join(f"a{i} = a{i - 1} + a{i - 1}\n" for i in range(1, count))
    model = compiled(f"x : real[3]\nnet f = Linear(3)\na0 = f(x)\n{names}l = sum(a{count - 1})\nminimize l\n").Model()
    x = torch.randn(2, 3)
    torch.testing.assert_close(model.l(x=x), 2.0 ** (count - 1) * model.f(x).sum(-1))


def test_the_free_energy_is_minus_the_bound() -> None:
    text = """
    x : boolean[4]
    z : real[2]
    net d = Linear(4)
    net e = Linear(2)
    p(x|z) = Bernoulli(logits = d(z))
    p(z) = Normal(0, 1)
    q(z|x) = Normal(e(x), 0.5)
    free = KL[q(z|x) || p(x,z)]
    bound = ELBO[p || q]
    minimize free using Adam(lr = 1e-3)
    """
    program = pgc.compile(text)
    assert [check for check in program.verify(runs=400) if not check.passed] == []
    model = program.Model()
    x = torch.ones(3, 4)
    torch.manual_seed(0)
    free = model.free(x=x)
    torch.manual_seed(0)
    torch.testing.assert_close(free, -model.bound(x=x))
