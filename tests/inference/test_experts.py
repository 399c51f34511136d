"""Products of experts against the normalised product of torch's densities."""

import pytest
import torch
import torch.distributions as D
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

GRIDS = {
    "real": torch.linspace(-30, 30, 60001, dtype=torch.float64),
    "positive": torch.linspace(-30, 12, 200001, dtype=torch.float64).exp(),
    "unit_interval": torch.sigmoid(torch.linspace(-40, 36, 200001, dtype=torch.float64)),
}
CONTINUOUS = [
    ("Normal(a, 0.7)", "Normal(b, 1.5)", "real", lambda a, b: (D.Normal(a, 0.7), D.Normal(b, 1.5))),
    ("Gamma(3, 2)", "Gamma(a * a + 1, 1)", "positive", lambda a, b: (D.Gamma(3.0, 2.0), D.Gamma(a * a + 1, 1.0))),
    (
        "Exponential(2)",
        "Exponential(a * a + 1)",
        "positive",
        lambda a, b: (D.Exponential(2.0), D.Exponential(a * a + 1)),
    ),
    ("Beta(2, 3)", "Beta(1.5, b * b + 1)", "unit_interval", lambda a, b: (D.Beta(2.0, 3.0), D.Beta(1.5, b * b + 1))),
]


@pytest.mark.parametrize("power", [None, 0.5, 2])
@pytest.mark.parametrize(("first", "second", "space", "made"), CONTINUOUS)
def test_a_product_is_normalised(first: str, second: str, space: str, made, power: float | None) -> None:  # type: ignore[no-untyped-def]
    raised = "" if power is None else f"^{power}"
    model = (
        compiled(
            f"z : {space}\na, b : real\nq_1(z|a) = {first.replace('b', 'a')}\nq_2(z|a,b) = {second}\n"
            f"q(z|a,b) ∝ q_1(z|a){raised} q_2(z|a,b)  # pgc: allow W102\ne = log q(z|a,b)"
        )
        .Model()
        .double()
    )
    a, b = torch.tensor(0.6, dtype=torch.float64), torch.tensor(-0.8, dtype=torch.float64)
    one, other = made(a, b)
    grid = GRIDS[space]
    log_product = (power or 1) * one.log_prob(grid) + other.log_prob(grid)
    usable = log_product.isfinite()
    normaliser = torch.trapezoid(log_product[usable].exp(), grid[usable]).log()
    at = grid[usable][:: len(grid) // 7]
    found = model.e(z=at, a=a.expand_as(at), b=b.expand_as(at))
    torch.testing.assert_close(found, log_product[usable][:: len(grid) // 7] - normaliser, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["Bernoulli", "Categorical", "OneHotCategorical"])
@pytest.mark.parametrize("form", ["logits", "probs"])
def test_products_of_discrete_experts(family: str, form: str) -> None:
    space = {"Bernoulli": "boolean", "Categorical": "category[3]", "OneHotCategorical": "one_hot[3]"}[family]
    size = "" if family == "Bernoulli" else "[3]"
    second = {"Bernoulli": "0.3", "Categorical": "[0.2, 0.3, 0.5]", "OneHotCategorical": "[0.2, 0.3, 0.5]"}[family]
    if form == "logits":
        second = f"logits = {second}"
    model = (
        compiled(
            f"z : {space}\na : real{size}\nq_1(z|a) = {family}(logits = a)\nq_2(z) = {family}({second})\n"
            "q(z|a) ∝ q_1(z|a) q_2(z)^2\ne = log q(z|a)"
        )
        .Model()
        .double()
    )
    torch.manual_seed(0)
    a = torch.randn(() if family == "Bernoulli" else (3,), dtype=torch.float64)
    numbers = torch.tensor(0.3 if family == "Bernoulli" else [0.2, 0.3, 0.5], dtype=torch.float64)
    one = getattr(D, family)(logits=a)
    other = getattr(D, family)(**{form: numbers})
    values: Tensor = one.enumerate_support()
    log_product = one.log_prob(values) + 2 * other.log_prob(values)
    found = torch.stack([model.e(z=v, a=a) for v in values])
    torch.testing.assert_close(found, log_product - log_product.logsumexp(0))


def test_a_product_is_a_factor_like_any_other() -> None:
    """It is drawn from, handed out and compared in closed form; `where` names of two experts do not meet."""
    text = """
x, y : real[2]
z : real[3]
net ex = Linear(4) >> Tanh
net ey = Linear(4) >> Tanh
net f = Linear(3)
net g = Linear(3) >> Softplus
p(z) = Normal(0, 1)
q_1(z|x) = Normal(f(h), g(h)) where h = ex(x)
q_2(z|y) = Normal(f(h), g(h)) where h = ey(y)
q(z|x,y) ∝ q_1(z|x) q_2(z|y) p(z)
e = KL[q(z|x,y) || p(z)]
minimize e
"""
    program = pgc.compile(text)
    assert [str(c) for c in program.verify() if not c.passed] == []
    model = program.Model().double()
    x, y = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    hs = (model.ex(x), model.ey(y))
    precision = 1 + sum(model.g(h) ** -2 for h in hs)
    mean = sum(model.f(h) * model.g(h) ** -2 for h in hs) / precision
    expected = D.Independent(D.Normal(mean, precision**-0.5), 1)
    found = model.factor("q(z|x,y)")(x, y)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.stddev, expected.stddev)
    prior = D.Independent(D.Normal(torch.zeros_like(mean), 1.0), 1)
    torch.testing.assert_close(model.e(x=x, y=y), D.kl_divergence(expected, prior))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("q(z|x,y) ∝ q_1(z|x) q_3(z|y)", "PGC215"),
        ("q(z|x,y) ∝ q_3(z|y) q_4(z|x)", "PGC215"),
        ("q(z|x,y) ∝ q_1(z|x) r(x)", "PGC215"),
        ("q(z|x,y) ∝ q_1(z|x) q_5(z|y)", "PGC108"),
        ("q(z|x) ∝ q_1(z|x) q_2(z|y)", "PGC208"),
        ("z ∝ q_1(z|x) q_2(z|y)", "PGC212"),
        ("q(z|x,y) ∝ q_1(z|x) + q_2(z|y)", "PGC212"),
    ],
)
def test_products_that_are_none(line: str, code: str) -> None:
    text = "x, y, z : real\nq_1(z|x) = Normal(x, 1)\nq_2(z|y) = Normal(y, 1)\nq_3(z|y) = Laplace(y, 1)\n"
    text += f"q_4(z|x) = Laplace(x, 1)\nr(x) = Normal(0, 1)\n{line}"
    assert [d.code for d in pgc.check(text) if d.code.startswith("PGC")] == [code]


MISSING = """x, y : real
z : {space}
q_1(z|x) = {first}
q_2(z|y) = {second}
p(z) = {prior}
q(z|x,y) ∝ q_1(z|x)^0.5 q_2(z|y) p(z)  # pgc: allow W102
q_x(z|x) ∝ q_1(z|x)^0.5 p(z)  # pgc: allow W102
q_y(z|y) ∝ q_2(z|y) p(z)  # pgc: allow W102
e = log q(z|x,y)
"""
FAMILIES = [
    ("real[2]", "Normal(x, 0.5)", "Normal(y, 2)", "Normal(0, 1)"),
    ("positive", "Gamma(x^2 + 1, 2)", "Gamma(3, y^2 + 1)", "Gamma(2, 1)"),
    ("nonnegative", "Exponential(x^2 + 1)", "Exponential(y^2 + 1)", "Exponential(2)"),
    ("unit_interval[3]", "Beta(x^2 + 1, 2)", "Beta(3, y^2 + 1)", "Beta(2, 2)"),
    ("boolean[2]", "Bernoulli(logits = x)", "Bernoulli(logits = y)", "Bernoulli(0.3)"),
    (
        "real[2]",
        "MultivariateNormal(x * [1, 2], covariance_matrix = [[2, 0.5], [0.5, 1]])",
        "MultivariateNormal(y * [1, 1], precision_matrix = [[1, 0.25], [0.25, 1]])",
        "MultivariateNormal([0, 0], scale_tril = [[1, 0], [0.5, 2]])",
    ),
]


@pytest.mark.parametrize(("space", "first", "second", "prior"), FAMILIES)
def test_experts_of_missing_evidence_are_left_out(space: str, first: str, second: str, prior: str) -> None:
    torch.manual_seed(0)
    program = compiled(MISSING.format(space=space, first=first, second=second, prior=prior))
    model = program.Model().double()
    x, y = torch.randn(6).double(), torch.randn(6).double()
    q = model.factor("q(z|x,y)")
    z = q(x, y).sample()
    whole, only_x, only_y = q(x, y), model.factor("q_x(z|x)")(x), model.factor("q_y(z|y)")(y)
    torch.testing.assert_close(q(x=x).log_prob(z), only_x.log_prob(z))
    torch.testing.assert_close(q(y=y).log_prob(z), only_y.log_prob(z))
    torch.testing.assert_close(q().log_prob(z), model.factor("p(z)")().log_prob(z).expand(6))
    mask = torch.tensor([1.0, 0, 1, 0, 1, 0]).double()
    mixed = q(x=x, y=y, present={"y": mask}).log_prob(z)
    torch.testing.assert_close(mixed, torch.where(mask == 1, whole.log_prob(z), only_x.log_prob(z)))
    torch.testing.assert_close(model.e(x=x, y=y, z=z), whole.log_prob(z))


def test_full_gaussians_multiply() -> None:
    program = compiled(
        MISSING.format(space="real[2]", first=FAMILIES[-1][1], second=FAMILIES[-1][2], prior=FAMILIES[-1][3])
    )
    model = program.Model().double()
    x, y = torch.tensor(0.75).double(), torch.tensor(-1.5).double()
    a, b, c = (model.factor(n)(*v) for n, v in (("q_1(z|x)", (x,)), ("q_2(z|y)", (y,)), ("p(z)", ())))
    ends = torch.linspace(-12, 12, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(ends, ends)
    log_product = 0.5 * a.log_prob(grid) + b.log_prob(grid) + c.log_prob(grid)
    normaliser = log_product.logsumexp(0) + 2 * torch.log(ends[1] - ends[0])
    found = model.e(x=x.expand(len(grid)), y=y.expand(len(grid)), z=grid)
    torch.testing.assert_close(found, log_product - normaliser, rtol=1e-6, atol=1e-6)


def test_a_power_may_be_data() -> None:
    """A mask of each row, in the formula itself."""
    model = (
        compiled(
            "x, y, z : real\nm : boolean\nq_1(z|x) = Normal(x, 0.5)\nq_2(z|y) = Normal(y, 2)\np(z) = Normal(0, 1)\n"
            "q(z|x,y,m) ∝ q_1(z|x) q_2(z|y)^m p(z)\nq_x(z|x) ∝ q_1(z|x) p(z)\n"
            "q_b(z|x,y) ∝ q_1(z|x) q_2(z|y) p(z)\nkl = KL[q(z|x,y,m) || p(z)]\n"
            "kx = KL[q_x(z|x) || p(z)]\nkb = KL[q_b(z|x,y) || p(z)]"
        )
        .Model()
        .double()
    )
    x, y = torch.randn(2, 5).double()
    m = torch.tensor([0.0, 1, 0, 1, 1]).double()
    expected = torch.where(m == 1, model.kb(x=x, y=y), model.kx(x=x))
    torch.testing.assert_close(model.kl(x=x, y=y, m=m), expected)
