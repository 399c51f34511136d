"""Energies and derivatives as papers write them: `p(x) ∝ exp(-E(x))`, a formula of its own under `grad`."""

import pytest
import torch
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

NET = "x : real[2]\nnet e = Linear(8) >> Tanh >> Linear(1)\n"
SCORE = "o = 0.5 * norm(grad(log p(x), x))^2 + trace(jacobian(grad(log p(x), x), x))\nminimize o"


def energy(model: torch.nn.Module, x: Tensor) -> Tensor:
    """The net's number, by its own layers."""
    value: Tensor = model.e(x)
    return value[..., 0]


def slope(model: torch.nn.Module, x: Tensor) -> Tensor:
    """Its gradient, by autograd."""
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(energy(model, x).sum(), x, create_graph=True)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "p(x) ∝ exp(-e(x)[0])",
        "p(x) propto exp(-e(x)[0])",
        "p(x) \\propto \\exp(-e(x)[0])",
        "p(x) ∝ exp(-u) where u = e(x)[0]",
        "p(x) = exp(-e(x)[0]) / Z",
        "p(x) = exp(-e(x)[0])",
        "p(x) = LogDensity(-e(x)[0])",
    ],
)
def test_an_energy(line: str) -> None:
    """Its density up to the constant, and the score matching of Hyvarinen (2005) by autograd alone."""
    program = compiled(f"{NET}{line}\nd = log p(x)\n{SCORE}")
    model, x = program.Model().double(), torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(model.d(x=x), -energy(model, x))
    score = -slope(model, x)
    traces = []
    for point in x:
        jacobian = torch.autograd.functional.jacobian(lambda v: -slope_at(model, v), point)
        traces.append(jacobian.trace())
    torch.testing.assert_close(model.o(x=x), 0.5 * score.square().sum(-1) + torch.stack(traces))
    assert all(check.passed for check in program.verify(runs=50))


def slope_at(model: torch.nn.Module, point: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(energy(model, point), point, create_graph=True)
    return found


def test_a_normaliser_that_is_a_param_is_a_quotient() -> None:
    found = pgc.check(f"{NET}param Z : positive\np(x) = exp(-e(x)[0]) / Z\no = log p(x)")
    assert "ERROR" in {d.severity.name for d in found}


def test_what_is_no_factor_is_told_of_exp() -> None:
    found = pgc.check(f"{NET}p(x) ∝ e(x)[0]^2\no = log p(x)")
    assert any("p(x) ∝ exp(...)" in (d.help or "") for d in found)


def test_the_word_of_a_product_of_experts() -> None:
    """`propto` is the same as its sign."""
    text = (
        "x, y, z : real[2]\nq_1(z|x) = Normal(x, 1)\nq_2(z|y) = Normal(y, 2)\n"
        "q(z|x,y) {} q_1(z|x) q_2(z|y)\no = log q(z|x,y)"
    )
    models = [compiled(text.format(sign)).Model().double() for sign in ("∝", "propto", "\\propto")]
    x, y, z = torch.randn(3, 4, 2, dtype=torch.float64)
    # Precisions add: 1 + 1/4.
    wanted = torch.distributions.Normal((x + y / 4) / 1.25, 1.25**-0.5).log_prob(z).sum(-1)
    for model in models:
        torch.testing.assert_close(model.o(x=x, y=y, z=z), wanted)


FORMULAS = {
    "sum(grad(f, x)^2)": lambda f, g, x: g.square().sum(-1),
    "(norm(grad(f, x)) - 1)^2": lambda f, g, x: (g.norm(dim=-1) - 1).square(),
    "dot(grad(f, x), x) + f": lambda f, g, x: (g * x).sum(-1) + f,
    "cos(f) * grad(f, x)[1]": lambda f, g, x: f.cos() * g[..., 1],
    "norm(grad(h, x)) + h": lambda f, g, x: (2 * f[..., None] * g).norm(dim=-1) + f.square(),
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_an_objective_inside_a_formula_of_values(formula: str) -> None:
    """`f` is a number, and an objective of its own too: written out where only a value may stand."""
    program = compiled(f"{NET}f = e(x)[0]\nh = f^2\no = {formula}\nminimize o\nmaximize f wrt e")
    model, x = program.Model().double(), torch.randn(5, 2, dtype=torch.float64)
    wanted = FORMULAS[formula](energy(model, x), slope(model, x), x)
    torch.testing.assert_close(model.o(x=x), wanted)
    torch.testing.assert_close(model.f(x=x), energy(model, x))
    assert all(check.passed for check in program.verify(runs=50))


def test_a_log_density_by_a_name() -> None:
    program = compiled(
        "x : real[2]\nparam m : real[2]\np(x) = Normal(m, 2)\nl = log p(x)\no = norm(grad(l, x))^2 + l\nmaximize l"
    )
    model, x = program.Model().double(), torch.randn(5, 2, dtype=torch.float64)
    normal = torch.distributions.Normal(model.m, 2.0)
    torch.testing.assert_close(model.o(x=x), ((model.m - x) / 4).square().sum(-1) + normal.log_prob(x).sum(-1))


def test_doubled_names_are_not_written_out_for_ever() -> None:
    lines = "\n".join(f"f_{i} = f_{i - 1} * f_{i - 1}" for i in range(1, 40))
    found = pgc.check(f"{NET}f_0 = e(x)[0]\n{lines}\no = norm(grad(f_39, x))\nminimize o")
    assert "ERROR" in {d.severity.name for d in found}


SUPPORTS = {
    "a truncated normal": "x : real\nparam m : real\np(x) = TruncatedNormal(m, 1, 0, 1)",
    "a truncation": "x : real\nparam m : real\nq(x) = Normal(m, 1)\np(x) = truncate(q(x), 0, 1)",
    "bounds that are learned": "x : real\nparam m, a : real\np(x) = TruncatedNormal(m, 1, a, a + 1)",
    "a uniform": "x : real\nparam m : positive\np(x) = Uniform(0, m)",
    "a narrower family": "x : real\nparam m : positive\np(x) = Kumaraswamy(m, 1)",
    "an excess": "x : real\nparam m : positive\np(x) = Pareto(3, m)",
    "cutpoints of a param": "x : category[4]\nparam c : real[3]\np(x) = OrderedLogistic(0, c)",
    "cutpoints of a net": "x : category[4]\ny : real[2]\nnet f = Linear(3)\np(x|y) = OrderedLogistic(y[0], f(y))",
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_data_lie_where_the_family_has_them(name: str) -> None:
    """Outside a support both densities are minus infinity, and their gradients are nothing that could be compared."""
    over = "x|y" if "x|y" in SUPPORTS[name] else "x"
    program = compiled(f"{SUPPORTS[name]}\no = log p({over})\nmaximize o")
    assert [(c.what, c.deviation) for c in program.verify(runs=100) if not c.passed] == []


def test_cutpoints_start_apart_and_are_taken_in_order() -> None:
    program = compiled("x : category[4]\nparam c : real[3]\np(x) = OrderedLogistic(0, c)\no = log p(x)\nmaximize o")
    model, x = program.Model().double(), torch.arange(4)
    torch.testing.assert_close(model.o(x=x).exp(), torch.full((4,), 0.25, dtype=torch.float64), atol=1e-4, rtol=0)
    with torch.no_grad():
        model.c.copy_(torch.tensor([1.0, -2.0, 0.5]))
    below = torch.sigmoid(torch.tensor([-2.0, 0.5, 1.0], dtype=torch.float64))
    shares = torch.cat((below[:1], below.diff(), 1 - below[-1:]))
    torch.testing.assert_close(model.o(x=x).exp(), shares)
    (gradient,) = torch.autograd.grad(model.o(x=x).sum(), model.c)
    assert gradient.isfinite().all()
