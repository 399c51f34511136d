"""`grad` and `jacobian` in objectives: score matching, gradient penalties, divergences of nets."""

import pytest
import torch
import torch.distributions as D
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

SCORE = """
x : real[3]
param m : real[3] = normal(1)
param s : positive[3]
p(x) = Normal(m, s)
o = trace(jacobian(grad(log p(x), x), x)) + 0.5 * sum(grad(log p(x), x)^2)
minimize o using Adam(lr = 0.05)
"""


def test_score_matching_of_a_gaussian() -> None:
    """Hyvärinen 2005: the score of a Gaussian is -(x - m) / s^2, its divergence -sum 1 / s^2."""
    model = compiled(SCORE).Model().double()
    x = torch.randn(5, 3, dtype=torch.float64)
    scale = torch.nn.functional.softplus(model.free_s)
    expected = -scale.pow(-2).sum() + 0.5 * ((x - model.m) / scale.square()).square().sum(-1)
    torch.testing.assert_close(model.o(x=x), expected)
    own = torch.autograd.grad(model.o(x=x).sum(), list(model.parameters()))
    theirs = torch.autograd.grad(expected.sum(), list(model.parameters()))
    torch.testing.assert_close(own, theirs)


def test_score_matching_finds_mean_and_deviation() -> None:
    torch.manual_seed(0)
    model = compiled(SCORE).Model()
    data = torch.tensor([1.0, -2.0, 0.5]) + torch.tensor([0.5, 1.5, 1.0]) * torch.randn(4000, 3)
    optimizers = model.optimizers()
    for _ in range(600):
        model.train_step(optimizers, x=data)
    torch.testing.assert_close(model.m.detach(), data.mean(0), atol=0.03, rtol=0)
    scale = torch.nn.functional.softplus(model.free_s).detach()
    torch.testing.assert_close(scale, data.std(0, correction=0), atol=0.03, rtol=0)


NETS = """
x : real[3]
t : real
z : real[2]
k : category[2]
net f = Linear(5) >> Tanh >> Linear(3)
net g = Linear(4) >> Tanh >> Linear(1)
net h = Linear(2)
net d = Linear(3)
latent(k) = Categorical(logits = [0.1, 0.7])
r(x|k) = Normal([[0, 1, 2], [3, 1, 0]][k], 1)
r(x) = sum_k r(x|k) latent(k)
q(z|x) = Normal(h(x), 1)
p(z) = Normal(0, 1)
p(x|z) = Normal(d(z), 1)
"""


W = "w = f(x) * x\n"


def _slope(value: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(value.sum(), at, create_graph=True)[0]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("sum(grad(g(x)[0], x)^2)", lambda m, x: _slope(m.g(x), x).square().sum(-1)),
        ("(norm(grad(g(x)[0], x)) - 1)^2", lambda m, x: (_slope(m.g(x), x).norm(dim=-1) - 1).square()),
        ("trace(jacobian(f(x), x))", lambda m, x: sum(_slope(m.f(x)[:, i], x)[:, i] for i in range(3))),
        ("sum(grad(sum(w^2), x)^2)", lambda m, x: _slope((m.f(x) * x).square(), x).square().sum(-1)),
        (
            "sum(grad(log r(x), x)^2)",
            lambda m, x: (
                _slope(
                    D.MixtureSameFamily(
                        D.Categorical(logits=torch.tensor([0.1, 0.7], dtype=x.dtype)),
                        D.Independent(D.Normal(torch.tensor([[0.0, 1, 2], [3, 1, 0]], dtype=x.dtype), 1.0), 1),
                    ).log_prob(x),
                    x,
                )
                .square()
                .sum(-1)
            ),
        ),
    ],
)
def test_a_derivative(formula: str, expected: object) -> None:
    program = compiled(f"{NETS}{W if 'w^' in formula else ''}o = {formula}\n")
    model = program.Model().double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(model.o(x=x), expected(model, x))  # type: ignore[operator]
    with torch.no_grad():
        torch.testing.assert_close(model.o(x=x.detach()), expected_without_graph(model, x, expected))
    assert all(check.passed for check in program.verify())


def expected_without_graph(model: torch.nn.Module, x: Tensor, expected: object) -> Tensor:
    with torch.enable_grad():
        found: Tensor = expected(model, x)  # type: ignore[operator]
    return found.detach()


@pytest.mark.parametrize(
    "formula",
    [
        "E_{q(z|x)}[sum(grad(log p(x|z), z)^2)]",
        "E_{q(z|x); samples=3}[dot(grad(log p(x|z) p(z), z), z)]",
        "E_{q(z|x)}[sum(grad(log p(x|z), x)^2)]",
        "E_{latent(k)}[sum(grad(log r(x|k), x)^2)]",
        "E_{q(z|x)}[log p(x|z)] - 0.1 * norm(grad(g(x)[0], x))",
        "sum(grad(t^3, t) + x)",
    ],
)
def test_inside_expectations(formula: str) -> None:
    """Draws, and values that are all taken at once, keep their slopes apart: the judge takes one at a time."""
    assert all(check.passed for check in compiled(f"{NETS}{W if 'w^' in formula else ''}o = {formula}\n").verify())


def test_it_compiles_in_one_graph() -> None:
    model = compiled(NETS + "o = sum(grad(g(x)[0], x)^2)\nminimize o\n").Model()
    x = torch.randn(4, 3)
    step = torch.compile(model.loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(step(x=x), model.loss(x=x))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("sum(grad(f(x), x))", "grad takes a number, and `f(x)` is"),
        ("grad(t, k)", "there is no slope between its values"),
        ("grad(t, 3)", "`3` is no variable of"),
        ("grad(t)", "takes a formula and a variable, not 1 arguments"),
        ("sum(jacobian(t, x))", "jacobian takes two vectors"),
    ],
)
def test_what_is_said(formula: str, message: str) -> None:
    with pytest.raises(pgc.CompileError) as error:
        pgc.compile(f"{NETS}o = {formula}\n")
    assert message in str(error.value)
