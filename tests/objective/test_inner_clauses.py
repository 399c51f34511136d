"""`where` inside brackets: what it means, how it is written back, and what is said of what it is not."""

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from pgcompile.diagnostics import Sink, Source
from pgcompile.syntax.format import format_program
from pgcompile.syntax.parse import parse

MODEL = """
x : real[3]
z : real[2]
h : real[4]
net f = Linear(4)
net e = Linear(2)
net d = Linear(3)
q(z|x) = Normal(e(x), 1)
p(z) = Normal(0, 1)
p(x|h) = Normal(d(h), 1)
"""


def _verified(text: str) -> torch.nn.Module:
    program = pgc.compile(text)
    assert [c.what for c in program.verify() if not c.passed] == []
    return program.Model().double()


def test_a_factor_at_what_is_bound() -> None:
    model = _verified(MODEL + "l = E_{q(z|x); samples=4}[log p(x|h) where h = f(z)]\nmaximize l")
    x = torch.randn(2, 3, dtype=torch.float64)
    torch.manual_seed(5)
    found = model.l(x=x)
    torch.manual_seed(5)
    z = model.e(x) + torch.randn(4, 2, 2, dtype=torch.float64)
    expected = D.Normal(model.d(model.f(z)), 1.0).log_prob(x).sum(-1).mean(0)
    torch.testing.assert_close(found, expected)


def test_two_clauses_of_one_name_are_apart() -> None:
    twice = "(log p(x|h) where h = f(e(x))) - 2 * (log p(x|h) where h = 2 * f(e(x)))"
    model = _verified(f"{MODEL}l = log p(x|h)\na = {twice}")
    x = torch.randn(2, 3, dtype=torch.float64)
    h = model.f(model.e(x))
    torch.testing.assert_close(model.a(x=x), model.l(x=x, h=h) - 2 * model.l(x=x, h=2 * h))


PLAIN = """
x : real[3]
z : real[3]
net e = Linear(3)
net g = Linear(6)
q(z|x) = Normal(e(x), 1)
p(z) = Normal(0, 1)
p(x|z) = Normal(z, 1)
"""


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("E_{q(z|x)}[sum(square(x - y)) where y = tanh(z)]", "E_{q(z|x)}[sum(square(x - tanh(z)))]"),
        ("sum((y * y where y = tanh(x)))", "sum(tanh(x) * tanh(x))"),
        ("sum((x * x where x = tanh(x)))", "sum(tanh(x) * tanh(x))"),
        ("sum((u * y where y = tanh(x), u = 2 * y))", "sum(2 * tanh(x) * tanh(x))"),
        ("sum((a * a where a = 3 * (b where b = tanh(x))))", "sum(9 * tanh(x) * tanh(x))"),
        ("E_{q(z|x)}[w * log p(x|z) where w = 0.5]", "E_{q(z|x)}[0.5 * log p(x|z)]"),
        ("E_{q(z|x)}[log p(x|z) - b where b = sum(x)]", "E_{q(z|x)}[log p(x|z) - sum(x)]"),
    ],
)
def test_it_is_what_it_would_be_written_out(inside: str, outside: str) -> None:
    model = _verified(f"{PLAIN}l = {inside}\nm = {outside}")
    x = torch.randn(4, 3, dtype=torch.float64)
    values = []
    for name in ("l", "m"):
        torch.manual_seed(1)
        values.append(getattr(model, name)(x=x))
    torch.testing.assert_close(*values)


def test_several_results_of_a_net() -> None:
    model = _verified(f"{PLAIN}l = E_{{q(z|x)}}[sum(m * s) where (m, s) = g(z)]\nmaximize l")
    assert model.l(x=torch.zeros(2, 3, dtype=torch.float64)).shape == (2,)


def test_an_index() -> None:
    _verified("""
index t in 1..4
x_t, z_t, h_t : real[2]
net f = Linear(2)
net e = Linear(2)
q(z_t|x_t) = Normal(e(x_t), 1)
p(x_t|h_t) = Normal(h_t, 1)
l = sum_t E_{q(z_t|x_t)}[log p(x_t|h_t) where h_t = f(z_t)]
maximize l
""")


def test_it_trains() -> None:
    program = pgc.compile(MODEL + "l = E_{q(z|x)}[log p(x|h) where h = f(z)] - KL[q(z|x) || p(z)]\nmaximize l")
    torch.manual_seed(0)
    model = program.Model()
    (optimizer,) = model.optimizers()
    x = torch.randn(64, 3)
    losses = [model.train_step([optimizer], x)["loss"].item() for _ in range(200)]
    assert sum(losses[-20:]) < sum(losses[:20])


@pytest.mark.parametrize(
    "line",
    [
        "l = E_{q(z|x)}[log p(x|z) - b where b = sum(x), c = 2]",
        "l = sum((x where x = tanh(x)))",
        "l = 2 * (b where b = sum(x))",
        "l = log((b where b = exp(sum(x))))",
    ],
)
def test_it_is_written_back_as_it_was(line: str) -> None:
    source = Source(f"{line}\n")
    assert format_program(parse(Sink(source)), source) == f"{line}\n"


def test_latex_has_it() -> None:
    assert "h = f" in pgc.compile(MODEL + "l = E_{q(z|x)}[log p(x|h) where h = f(z)]\nmaximize l").latex()


WRONG = {
    "l = E_{q(z|x)}[sum(y) where w = z]": ["y is not declared"],
    "l = E_{q(z|x)}[sum(y) where y = z] + sum(y)": ["y is not declared"],
    "l = log p(x|y) where y = e(x)": ["there is no factor p(x|y)"],
    "l = E_{q(z|x)}[sum(y) where y = sum(y)]": ["y is not declared"],
}


@pytest.mark.parametrize("line", WRONG)
def test_what_it_is_not(line: str) -> None:
    assert [d.message for d in pgc.check(f"{PLAIN}{line}") if d.severity.name == "ERROR"] == WRONG[line]
