"""Expectations taken from moments, against quadrature and sums written here."""

import math

import numpy as np
import pytest
import torch
import torch.distributions as D
from torch import Tensor

from tests.conftest import compiled

NORMAL = """
x, y, z : real[3]
n : nonnegative_integer[3]
param a : real[3] = normal(1)
param w : real = 0.3
q(z|x) = Normal(x, 0.7)
"""
GRID = torch.linspace(-12, 12, 20001, dtype=torch.float64)


def _mean(function, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """E of an elementwise function under Normal(x, 0.7), by quadrature: `[..., 3]`."""
    z = x.unsqueeze(-1) + 0.7 * GRID
    weight = D.Normal(0.0, 1.0).log_prob(GRID).exp() * (GRID[1] - GRID[0])
    return (function(z) * weight).sum(-1)


CASES = [
    ("E_q[sum((z - 1)^2)]", lambda m, x: _mean(lambda z: (z - 1) ** 2, x).sum(-1)),
    ("E_q[sum((2 * z - x)^3)]", lambda m, x: _mean(lambda z: (2 * z - x.unsqueeze(-1)) ** 3, x).sum(-1)),
    ("E_q[mean((w * z + a)^4)]", lambda m, x: _mean(lambda z: (m.w * z + m.a.unsqueeze(-1)) ** 4, x).mean(-1)),
    ("E_q[sum(abs(z - a))]", lambda m, x: _mean(lambda z: (z - m.a.unsqueeze(-1)).abs(), x).sum(-1)),
    ("E_q[sum(exp(w * z)) / 3 - w]", lambda m, x: _mean(lambda z: (m.w * z).exp(), x).sum(-1) / 3 - m.w),
    ("E_q[sum(y^2)]", lambda m, x: _mean(lambda z: (m.w * z - 1) ** 2, x).sum(-1)),
    ("E_q[x[0] * sum(z) - 2]", lambda m, x: x[..., 0] * x.sum(-1) - 2),
    (
        "E_q[log p(x|z)]",
        lambda m, x: _mean(lambda z: D.Normal(m.a.unsqueeze(-1) * z + 1, m.w.exp()).log_prob(x.unsqueeze(-1)), x).sum(
            -1
        ),
    ),
    (
        "E_q[log p(n|z)]",
        lambda m, x: _mean(
            lambda z: D.Poisson((m.w * z + m.a.unsqueeze(-1)).exp()).log_prob(torch.full_like(z, 2)), x
        ).sum(-1),
    ),
]


@pytest.mark.parametrize(("formula", "exact"), CASES, ids=[c[0] for c in CASES])
def test_expectations_under_a_normal(formula: str, exact) -> None:  # type: ignore[no-untyped-def]
    factors = "y = w * z - 1\np(x|z) = Normal(a * z + 1, exp(w))\np(n|z) = Poisson(exp(w * z + a))\n"
    torch.manual_seed(0)
    program = compiled(NORMAL + factors + f"e = {formula}")
    assert "randn" not in program.source.split("def e(")[1].split("def ")[0], "it must not be sampled"
    model = program.Model().double()
    x = torch.randn(4, 3, dtype=torch.float64)
    given = {"x": x, "n": torch.full((4, 3), 2.0, dtype=torch.float64)} if "n|z" in formula else {"x": x}
    found, wanted = model.e(**given), exact(model, x)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)
    if not found.requires_grad:
        return
    sides = [torch.autograd.grad(v.sum(), list(model.parameters()), allow_unused=True) for v in (found, wanted)]
    for mine, theirs in zip(*sides, strict=True):
        if theirs is not None and theirs.abs().max() > 0 and "abs" not in formula:  # a kink spoils the quadrature
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("slope", [0.0, 1e-30, 1e8])
def test_a_slope_of_any_size_divides_nothing(slope: float) -> None:
    text = f"x, z : real\nparam a : real = {slope}\np(x|z) = Normal(a * z, 1)\nq(z|x) = Normal(x, 0.5)\n"
    text += "e = E_q[log p(x|z)]"
    model = compiled(text).Model().double()
    x = torch.tensor(1.5, dtype=torch.float64)
    expected = -0.5 * math.log(2 * math.pi) - 0.5 * ((1.5 - slope * 1.5) ** 2 + (slope * 0.5) ** 2)
    assert float(model.e(x=x)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("family", "moments"),
    [
        ("Gamma(3, 2)", (1.5, 3.0)),
        ("Beta(2, 3)", (0.4, 0.2)),
        ("Exponential(2)", (0.5, 0.5)),
        ("Laplace(1, 2)", (1.0, 9.0)),
        ("Uniform(0, 3)", (1.5, 3.0)),
        ("LogNormal(0.2, 0.5)", (math.exp(0.325), math.exp(0.9))),
        ("Gumbel(0, 1)", (0.5772156649015329, 0.5772156649015329**2 + math.pi**2 / 6)),
        ("Poisson(2)", (2.0, 6.0)),
        ("Binomial(4, 0.25)", (1.0, 1.75)),
        ("Geometric(0.5)", (1.0, 3.0)),
        ("NegativeBinomial(2, 0.5)", (2.0, 8.0)),
        ("ContinuousBernoulli(logits = 0)", (0.5, 1 / 3)),
        ("HalfNormal(2)", (2 * math.sqrt(2 / math.pi), 4.0)),
    ],
)
def test_first_and_second_moments(family: str, moments: tuple[float, float]) -> None:
    space = (
        "nonnegative_integer"
        if family.split("(")[0] in ("Poisson", "Binomial", "Geometric", "NegativeBinomial")
        else "real"
    )
    model = (
        compiled(f"z : {space}\nq(z) = {family}\nm = E_q[z]\ns = E_q[z^2]\nt = E_q[3 * (2 * z - 1)^2]").Model().double()
    )
    assert float(model.m()) == pytest.approx(moments[0], rel=1e-6)
    assert float(model.s()) == pytest.approx(moments[1], rel=1e-6)
    assert float(model.t()) == pytest.approx(3 * (4 * moments[1] - 4 * moments[0] + 1), rel=1e-6)


def test_what_is_not_elementwise_is_sampled() -> None:
    text = NORMAL + "net f = Linear(3)\ne = E_q[sum(f(z))]\ng = E_q[sum(tanh(z))]\nh = E_q[sum(z) * sum(z^2)]"
    source = compiled(text).source
    for name in "egh":
        assert "randn_like" in source.split(f"def {name}(")[1].split("def ")[0]


def test_moments_are_not_used_where_the_formula_descends_from_the_variable() -> None:
    """E[z tanh(w)] with w drawn from z is not E[z] tanh(w)."""
    model = compiled(
        """
        x, z, w : real
        param a : real = 2
        q(z|x) = Normal(x, 1)
        q(w|z) = Normal(a * z, 0.1)
        e = E_{q(z|x) q(w|z); samples = 4000}[z * tanh(w)]
        """
    ).Model()
    torch.manual_seed(0)
    found = model.double().e(x=torch.zeros(1).double())
    # Over z of N(0, 1) and w of N(2 z, 0.1), by Gauss-Hermite quadrature.
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z, w = nodes[:, None], 2 * nodes[:, None] + 0.1 * nodes[None, :]
    exact = (weights[:, None] * weights[None, :] * z * np.tanh(w)).sum() / (2 * np.pi)
    assert float(found.detach()) == pytest.approx(exact, abs=0.06)
