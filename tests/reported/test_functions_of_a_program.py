"""Functions with arguments, as papers define them on the way: `s(x, y) = f(x)^T f(y)`."""

import time

import pytest
import torch
from torch import nn

import pgcompile as pgc
from tests.conftest import compiled

HEAD = "x, y : real[2]\nnet f = Linear(8) >> Tanh >> Linear(2)\n"


def model_of(text: str) -> nn.Module:
    program = compiled(HEAD + text)
    assert all(check.passed for check in program.verify(runs=60))
    model: nn.Module = program.Model().double()
    return model


def points() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.randn(2, 5, 2, dtype=torch.float64)
    return x, y


def test_called_with_its_own_arguments_and_with_others() -> None:
    model, (x, y) = model_of("s(x,y) = dot(f(x), f(y)) / 2\no = s(x,y) - s(x,x) - s(y,2*x)\nmaximize o"), points()

    def s(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (model.f(a) * model.f(b)).sum(-1) / 2

    torch.testing.assert_close(model.o(x=x, y=y), s(x, y) - s(x, x) - s(y, 2 * x))


def test_over_the_rows_of_the_batch() -> None:
    """The contrastive loss of van den Oord et al. (2018)."""
    model, (x, y) = model_of("s(x,y) = dot(f(x), f(y))\no = s(x,y) - log mean_{y'} exp(s(x,y'))\nmaximize o"), points()
    every = model.f(x) @ model.f(y).mT
    torch.testing.assert_close(model.o(x=x, y=y), every.diagonal() - every.exp().mean(-1).log())


def test_functions_of_functions() -> None:
    model, (x, y) = model_of("r(x) = sum((f(x) - x)^2)\nt(x) = r(x) + r(f(x))\no = t(x) + t(y)\nminimize o"), points()

    def r(a: torch.Tensor) -> torch.Tensor:
        return (model.f(a) - a).square().sum(-1)

    torch.testing.assert_close(model.o(x=x, y=y), r(x) + r(model.f(x)) + r(y) + r(model.f(y)))


def test_other_arguments_reach_what_is_called_inside() -> None:
    model = model_of("r(x) = sum(f(x))\nt(x,y) = r(x) * r(y)\no = t(y,x) + t(y,y) + t(x,y)\nminimize o")
    x, y = points()
    r, s = model.f(x).sum(-1), model.f(y).sum(-1)
    torch.testing.assert_close(model.o(x=x, y=y), 2 * r * s + s.square())


def test_in_a_factor() -> None:
    model, (x, _) = (
        model_of("z : real\ng(x) = f(x)[0]^2\np(z|x) = Normal(g(x), 1)\no = log p(z|x)\nmaximize o"),
        points(),
    )
    z = torch.randn(5, dtype=torch.float64)
    wanted = torch.distributions.Normal(model.f(x)[:, 0].square(), 1.0).log_prob(z)
    torch.testing.assert_close(model.o(x=x, z=z), wanted)


def test_an_energy_by_its_name() -> None:
    model, (x, _) = model_of("E(x) = 0.5 * sum(x^2) + sum(f(x))\np(x) ∝ exp(-E(x))\no = log p(x)\nmaximize o"), points()
    torch.testing.assert_close(model.o(x=x), -0.5 * x.square().sum(-1) - model.f(x).sum(-1))


def test_a_gradient_penalty() -> None:
    """Gulrajani et al. (2017), under an expectation over generated points."""
    text = (
        "z : real[4]\nnet G = Linear(2)\nnet D = Linear(1)\np(z) = Normal(0, 1)\np(x|z) = Delta(G(z))\n"
        "p(x) = ∫ p(x|z) p(z) dz\ngp(x) = (norm(grad(D(x)[0], x)) - 1)^2\n"
        "o = E_{data(x)}[D(x)] - E_{p(x)}[D(x)] - 10 * E_{p(x)}[gp(x)]\nmaximize o wrt D"
    )
    assert all(check.passed for check in compiled(HEAD.replace(", y", "") + text).verify(runs=60))


@pytest.mark.parametrize(
    "line",
    ["p(x) = f(x)", "q(x|y) = f(y)", "s(x) = sum(f(x))\ns(x) = sum(x)", "s(x) = s(x) + sum(x)"],
)
def test_what_is_no_function(line: str) -> None:
    """A name that a reader takes for a distribution, two of one name, one of itself: refused as before."""
    assert "ERROR" in {d.severity.name for d in pgc.check(f"{HEAD}{line}\no = s(x)")}


def test_doubling_functions_end() -> None:
    lines = "\n".join(f"s_{i}(x) = s_{i - 1}(f(x)) + s_{i - 1}(2 * x)" for i in range(1, 40))
    start = time.monotonic()
    found = pgc.check(f"{HEAD}s_0(x) = sum(f(x))\n{lines}\no = s_39(y)\nminimize o")
    assert "ERROR" in {d.severity.name for d in found}
    assert time.monotonic() - start < 60  # it would take for ever
