"""`where` in every statement that has a formula, and functions of names of their own."""

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from pgcompile.syntax.format import format_program

TEXT = """
x, y : real[3]
z : real[2]
net g = Linear(4)
net h = Linear(1)
net f(x) = (a + c) >> Tanh >> Linear(2) where (a, b) = g(x), c = b * 2
sim(u, v) = dot(a, b) / (norm(a) * norm(b)) where a = f(u), b = f(v)
part(x) = a * b where (a, b) = g(x)
p_0(z) = Normal(0, 1)
p_1(z|x) = Normal(f(x), 1)
p(z|x) = w p_0(z) + (1 - w) p_1(z|x) where w = sigmoid(k), k = h(x)[0]
q_1(z|x) = Normal(f(x), 1)
q_2(z|y) = Normal(f(y), 0.5)
q(z|x,y) ∝ q_1(z|x) q_2(z|y)^a where a = 0.5
mixture = log p(z|x)
likeness = sim(x, y)
parts = sum(part(x)) + sum(part(y))
expert = H[q(z|x,y)]
maximize mixture
"""


def test_clauses_stand_wherever_a_formula_does() -> None:
    program = pgc.compile(TEXT)
    assert [str(check) for check in program.verify(runs=100) if not check.passed] == []
    model = program.Model().double()
    x, y, z = (torch.randn(5, n, dtype=torch.float64) for n in (3, 3, 2))

    def f(value: torch.Tensor) -> torch.Tensor:
        a, b = model.g(value).chunk(2, -1)
        return model.f(a + 2 * b)

    w = model.h(x)[:, 0].sigmoid()
    densities = [D.Normal(loc, 1.0).log_prob(z).sum(-1).exp() for loc in (torch.zeros_like(z), f(x))]
    torch.testing.assert_close(model.mixture(x=x, z=z), (w * densities[0] + (1 - w) * densities[1]).log())
    torch.testing.assert_close(model.likeness(x=x, y=y), torch.cosine_similarity(f(x), f(y)))
    halves = [model.g(value).chunk(2, -1) for value in (x, y)]
    torch.testing.assert_close(model.parts(x=x, y=y), sum((a * b).sum(-1) for a, b in halves))
    precision = 1 + 0.5 / 0.5**2
    entropy = D.Normal(0.0, precision**-0.5).entropy() * 2
    torch.testing.assert_close(model.expert(x=x, y=y), entropy.double().expand(5))


def test_a_program_with_clauses_is_formatted_as_it_is_written() -> None:
    program = pgc.compile(TEXT)
    text = format_program(program.analysis.tree, program.analysis.source)
    assert "where (a, b) = g(x), c = b * 2" in text
    assert pgc.compile(text).source == program.source


def test_a_function_of_names_of_its_own_is_no_term() -> None:
    model = pgc.compile("x, y : real[3]\nnet f = Linear(2)\ns(u, v) = dot(f(u), f(v))\no = s(x, y) - s(x, x)").Model()
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    expected = (model.f(x) * (model.f(y) - model.f(x))).sum(-1)
    torch.testing.assert_close(model.o(x=x, y=y), expected)
    assert set(model.terms(x=x, y=y)) == {"o"}


DOUBLED = ", ".join(f"a{i + 1} = a{i} + a{i}" for i in range(40))


@pytest.mark.parametrize(
    "text",
    [
        "x : real[3]\nnet g = Linear(4)\nnet f(x) = a + b where a = b + g(x), b = a",
        f"x : real[3]\nnet f(x) = a40 where a0 = x, {DOUBLED}",
    ],
)
def test_rings_and_doublings_are_refused(text: str) -> None:
    assert any(d.code.startswith("PGC") for d in pgc.check(f"{text}\no = sum(f(x))"))
