"""Params and buffers by value: what is set is what the formulas see."""

import math

import pytest
import torch

import pgcompile as pgc

PROGRAM = """
x : real[2]
param loc : real[2] = normal(1)
param s : positive[2] = 0.5
param u : unit_interval
param w : simplex[3]
param C : positive_definite[2,2]
param L : lower_cholesky[2,2]
param T : lower_triangular[2,2]
buffer b : real = 2
p(x) = Normal(b * loc + u + w[0] + T[1,0], s)
q(x) = MultivariateNormal(loc, C)
r(x) = MultivariateNormal(loc, scale_tril = L)
l = log p(x)
m = log q(x)
n = log r(x)
"""
VALUES = {
    "loc": [0.3, -0.2],
    "s": [1e-3, 30.0],
    "u": 0.25,
    "w": [0.2, 0.3, 0.5],
    "C": [[2.0, 0.5], [0.5, 1.0]],
    "L": [[1.5, 0.0], [0.7, 0.2]],
    "T": [[1.0, 0.0], [-3.0, 0.0]],
    "b": -1.0,
}


def test_what_is_set_is_what_the_formulas_see() -> None:
    model = pgc.compile(PROGRAM).Model().double()
    for name, value in VALUES.items():
        model.set(name, value)
        torch.testing.assert_close(model.get(name), torch.tensor(value, dtype=torch.float64))
    x = torch.randn(4, 2, dtype=torch.float64)
    loc = torch.tensor(VALUES["loc"], dtype=torch.float64)
    scale = torch.tensor(VALUES["s"], dtype=torch.float64)
    normal = torch.distributions.Normal(-loc + 0.25 + 0.2 - 3.0, scale)
    torch.testing.assert_close(model.l(x=x), normal.log_prob(x).sum(-1))
    covariance = torch.tensor(VALUES["C"], dtype=torch.float64)
    torch.testing.assert_close(model.m(x=x), torch.distributions.MultivariateNormal(loc, covariance).log_prob(x))
    tril = torch.tensor(VALUES["L"], dtype=torch.float64)
    torch.testing.assert_close(model.n(x=x), torch.distributions.MultivariateNormal(loc, scale_tril=tril).log_prob(x))


def test_a_number_fills_a_vector_and_gradients_go_on() -> None:
    model = pgc.compile(PROGRAM).Model()
    model.set("s", 2)
    assert model.get("s").tolist() == pytest.approx([2, 2])
    model.get("s").sum().backward()
    assert math.isclose(model.free_s.grad.sum().item(), 2 * (1 - math.exp(-2)), rel_tol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("s", [1.0, -1.0], ValueError, "s must lie inside its space"),
        ("s", 0, ValueError, "s must lie inside its space"),
        ("u", 1, ValueError, "u must lie inside its space"),
        ("w", [1.0, 0.0, 0.0], ValueError, "w must lie inside its space"),
        ("C", [[1.0, 2.0], [2.0, 1.0]], ValueError, "C must lie inside its space"),
        ("loc", [1.0, 2.0, 3.0], ValueError, r"loc has shape \[2\], not \[3\]"),
        ("loc", [1.0, math.nan], ValueError, "loc must lie inside"),
        ("locc", 1, KeyError, "locc is not one of"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    name: str, value: object, error: type[Exception], message: str
) -> None:
    model = pgc.compile(PROGRAM).Model()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    with pytest.raises(error, match=message):
        model.set(name, value)
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
