"""Nets whose bodies are expressions: of other nets, with their arguments in the order that is written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import pgcompile as pgc
from tests.conftest import compiled

HEAD = """
a, b, y : real[4]
net f = Linear(4)
net g = Linear(4)
net two(u, v) = u - 2 * v
"""
BODIES: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "f(g(2 * x))": lambda m, x: m.f(m.g(2 * x)),
    "f(2 * x)": lambda m, x: m.f(2 * x),
    "f(x)": lambda m, x: m.f(x),
    "f(tanh(x)) >> Identity": lambda m, x: m.f(x.tanh()),
    "f(x) >> tanh >> g": lambda m, x: m.g(m.f(x).tanh()),
    "f(x) + g(x)": lambda m, x: m.f(x) + m.g(x),
    "two(g(x), x)": lambda m, x: m.g(x) - 2 * x,
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_computes_what_it_says(body: str) -> None:
    program = compiled(
        f"{HEAD}net r(x) = {body}\np(y|a) = Normal(r(a), 1)\nl = log p(y|a)\nk = l + 0 * sum(f(a) + g(a))"
    )
    model = program.Model()
    a, y = torch.randn(3, 4), torch.randn(3, 4)
    expected = torch.distributions.Normal(BODIES[body](model, a), 1.0).log_prob(y).sum(-1)
    torch.testing.assert_close(model.l(a=a, y=y), expected)
    assert all(check.passed for check in program.verify())


def test_inputs_keep_their_places() -> None:
    model = compiled(f"{HEAD}net r(s, t) = two(t, s)\np(y|a,b) = Normal(r(a, b), 1)\nl = log p(y|a,b)").Model()
    a, b, y = torch.randn(3, 3, 4)
    torch.testing.assert_close(model.l(a=a, b=b, y=y), torch.distributions.Normal(b - 2 * a, 1.0).log_prob(y).sum(-1))


@pytest.mark.parametrize("stage", ["f(2 * x)", "tanh(x)"])
def test_a_later_stage_takes_what_comes_before_it(stage: str) -> None:
    found = pgc.check(f"{HEAD}net r(x) = Linear(4) >> {stage}\np(y|a) = Normal(r(a), 1)\nl = log p(y|a)")
    assert [d.code for d in found if d.code.startswith("PGC")] == ["PGC311"]
