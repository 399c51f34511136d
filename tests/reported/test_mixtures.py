"""Expectations under marginal mixtures, and point masses in mixtures of counts."""

import math

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled

MIXTURE = """
z : real
k : category[2]
p(k) = Categorical([0.3, 0.7])
p(z) = Normal(0, 1)
n(z|k) = Normal([0, 2][k], 1)
n(z) = sum_k n(z|k) p(k)
"""


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("z", 1.4),
        ("z^2", 1 + 0.7 * 4),
        ("exp(z)", 0.3 * math.exp(0.5) + 0.7 * math.exp(2.5)),
        ("log p(z)", -0.5 * math.log(2 * math.pi) - 0.5 * (1 + 0.7 * 4)),
        ("3 * z - 1", 3.2),
    ],
)
def test_moments_of_a_marginal_mixture(formula: str, expected: float) -> None:
    assert compiled(f"{MIXTURE}o = E_{{n(z)}}[{formula}]").Model().o().item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_of_a_mixture_from_a_normal() -> None:
    """By 20,000 draws; the truth by quadrature."""
    grid = torch.linspace(-12, 14, 200_001, dtype=torch.float64)
    log_n = torch.stack([0.3 * D.Normal(0.0, 1.0).log_prob(grid).exp(), 0.7 * D.Normal(2.0, 1.0).log_prob(grid).exp()])
    log_n = log_n.sum(0).log()
    exact = torch.trapezoid(log_n.exp() * (log_n - D.Normal(0.0, 1.0).log_prob(grid)), grid).item()
    model = compiled(MIXTURE + "o = KL[n(z) || p(z)]").Model()
    torch.manual_seed(0)
    found = torch.stack([model.o() for _ in range(4000)])
    assert found.mean().item() == pytest.approx(exact, abs=5 * found.std().item() / 4000**0.5)


ZERO_INFLATED = """
x : nonnegative_integer
param r : positive = 3
param w : simplex[2] = [0.5, 0.5]
a(x) = Poisson(r)
z(x) = Delta(0)
p(x) = w[0] a(x) + w[1] z(x)
ll = log p(x)
maximize ll using Adam(lr=1e-2)
"""


def test_a_zero_inflated_poisson() -> None:
    program = compiled(ZERO_INFLATED)
    model, x = program.Model(), torch.tensor([0.0, 1.0, 4.0])
    poisson = D.Poisson(3.0).log_prob(x)
    expected = torch.where(x == 0, torch.log(0.5 + 0.5 * poisson.exp()), math.log(0.5) + poisson)
    torch.testing.assert_close(model.ll(x=x), expected)
    torch.testing.assert_close(model.factor("p(x)")().log_prob(x), expected)
    model.ll(x=x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    torch.manual_seed(0)
    drawn = model.sample((20000,))["x"]
    assert (drawn == 0).float().mean().item() == pytest.approx(0.5 + 0.5 * math.exp(-3), abs=0.02)
    assert all(check.passed for check in program.verify())


def test_a_point_mass_beside_a_density_is_refused() -> None:
    with pytest.raises(pgc.CompileError, match="is a probability and the densities beside it are not"):
        pgc.compile("x : real\na(x) = Normal(0, 1)\nz(x) = Delta(0)\np(x) = 0.5 a(x) + 0.5 z(x)\nl = log p(x)")
