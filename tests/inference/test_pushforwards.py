"""Densities of deterministic variables against torch's transformed distributions."""

import pytest
import torch
import torch.distributions as D
from torch import Tensor
from torch.distributions import transforms as T

import pgcompile as pgc
from tests.conftest import compiled

CASES = [
    ("2 * x + 1", T.AffineTransform(1.0, 2.0)),
    ("1 - x / 4", T.AffineTransform(1.0, -0.25)),
    ("exp(x)", T.ExpTransform()),
    ("sigmoid(3 * x - c)", None),
    ("tanh(x)", T.TanhTransform()),
    ("softplus(x)", T.SoftplusTransform()),
    (
        "5 * tanh(x / 2) + 1",
        T.ComposeTransform([T.AffineTransform(0.0, 0.5), T.TanhTransform(), T.AffineTransform(1.0, 5.0)]),
    ),
    ("expm1(x)", T.ComposeTransform([T.ExpTransform(), T.AffineTransform(-1.0, 1.0)])),
]


@pytest.mark.parametrize("shape", ["", "[3]"])
@pytest.mark.parametrize(("formula", "transform"), CASES)
def test_a_change_of_variables(formula: str, transform: T.Transform | None, shape: str) -> None:
    torch.manual_seed(0)
    text = f"x : real{shape}\nc : real\np(x|c) = Normal(c, 1.5)\ny = {formula}\ne = log p(y|c)\n"
    model = compiled(text).Model().double()
    c = torch.randn(6).double()
    wide: Tensor = c.unsqueeze(-1) if shape else c
    if transform is None:
        transform = T.ComposeTransform([T.AffineTransform(-wide, 3.0), T.SigmoidTransform()])
    base = D.Normal(wide, torch.tensor(1.5).double())
    base = base.expand((6, 3)) if shape else base
    pushed = D.TransformedDistribution(base, transform)
    y = pushed.sample()
    expected = pushed.log_prob(y)
    found = model.e(y=y, c=c)
    torch.testing.assert_close(found, expected.sum(-1) if shape else expected, rtol=1e-8, atol=1e-8)


def test_learned_scales_get_the_gradient_of_the_log_determinant() -> None:
    model = (
        compiled("x : real[2]\nparam a : real = 0.75\np(x) = Normal(0, 1)\ny = exp(a * x)\ne = log p(y)")
        .Model()
        .double()
    )
    y = torch.tensor([[0.5, 2.0]]).double()
    found = torch.autograd.grad(model.e(y=y).sum(), model.a)[0]
    a = torch.tensor(0.75, dtype=torch.float64, requires_grad=True)
    expected = D.LogNormal(torch.zeros(()).double(), a.abs()).log_prob(y).sum()
    torch.testing.assert_close(model.e(y=y).sum(), expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected, a)[0])


def test_a_drawn_variable_is_scored_where_it_is() -> None:
    """The entropy of tanh(x) by its density at the draw."""
    torch.manual_seed(0)
    program = compiled("x, c : real\nq(x|c) = Normal(c, 0.5)\ny = tanh(x)\nh = -E_{q(x|c)}[log q(y|c)]\n")
    model = program.Model().double()
    c = torch.full((100_000,), 0.25).double()
    grid = torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    base = D.Normal(torch.tensor(0.25).double(), 0.5)
    log_slope = 2 * (torch.log(torch.tensor(2.0).double()) - grid - torch.nn.functional.softplus(-2 * grid))
    exact = torch.trapezoid(base.log_prob(grid).exp() * (log_slope - base.log_prob(grid)), grid)
    values = model.h(c=c)
    assert abs(values.mean() - exact) < 5 * values.std() / 100_000**0.5


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("x^2", "power"),
        ("x + exp(x)", "more than once"),
        ("relu(x)", "relu has no inverse"),
        ("sin(x)", "sin has no inverse"),
    ],
)
def test_what_cannot_be_inverted_says_why(formula: str, says: str) -> None:
    found = pgc.check(f"x : real\np(x) = Normal(0, 1)\ny = {formula}\ne = log p(y)")
    (error,) = [d for d in found if d.code == "PGC108"]
    assert says in " ".join(error.reasons)


def test_the_variables_that_it_is_conditioned_on_are_named() -> None:
    found = pgc.check("x, c : real\np(x|c) = Normal(c, 1)\ny = 2 * x\ne = log p(y)")
    (error,) = [d for d in found if d.code == "PGC108"]
    assert error.help == "write p(y|c)"
