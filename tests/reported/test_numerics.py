"""Heads at the ends of single precision: values and gradients against mpmath, wherever those are finite."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch

import pgcompile as pgc

mp = mpmath.mp.clone()
mp.dps = 400
log = mp.log

HEADS: dict[str, Callable[[Any], Any]] = {
    "softplus": lambda r: mp.log1p(mp.exp(r)),
    "exp": mp.exp,
    "sigmoid": lambda r: 1 / (1 + mp.exp(-r)),
}
RAW = [-300.0, -110.0, -95.0, -50.0, -20.0, -1.0, 0.0, 1.0, 20.0, 50.0, 95.0, 110.0, 300.0]
LARGEST = {torch.float32: 1e36, torch.float64: 1e200, torch.bfloat16: 1e36}
STEEPEST = {torch.float32: 1e18, torch.float64: 1e100}  # the slope of a quotient is made of the divisor's square
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-8}


def logistic_tail(z: Any) -> Any:
    """log of the sigmoid."""
    return -mp.log1p(mp.exp(-z))


# Space, heads, family, log-density at x of the head's value, points.
FAMILIES: dict[str, tuple[str, str, str, Callable[[Any, Any], Any], list[float]]] = {
    "Normal": (
        "real",
        "softplus exp",
        "Normal(0, h)",
        lambda x, h: -((x / h) ** 2) / 2 - log(h) - log(2 * mp.pi) / 2,
        [0.0, 1.0],
    ),
    "Laplace": ("real", "softplus exp", "Laplace(0, h)", lambda x, h: -abs(x) / h - log(2 * h), [0.0, 1.0]),
    "Cauchy": (
        "real",
        "softplus exp",
        "Cauchy(0, h)",
        lambda x, h: -log(mp.pi * h) - mp.log1p((x / h) ** 2),
        [0.0, 1.0],
    ),
    "StudentT": (
        "real",
        "softplus exp",
        "StudentT(3, 0, h)",
        lambda x, h: mp.loggamma(2) - mp.loggamma(1.5) - log(3 * mp.pi) / 2 - log(h) - 2 * mp.log1p((x / h) ** 2 / 3),
        [0.0, 1.0],
    ),
    "Gumbel": ("real", "softplus exp", "Gumbel(0, h)", lambda x, h: -x / h - mp.exp(-x / h) - log(h), [0.0]),
    "Logistic": (
        "real",
        "softplus exp",
        "Logistic(0, h)",
        lambda x, h: -x / h - log(h) - 2 * mp.log1p(mp.exp(-x / h)),
        [0.0],
    ),
    "Exponential": ("nonnegative", "softplus", "Exponential(h)", lambda x, h: log(h) - h * x, [0.0, 1.0]),
    "HalfNormal": (
        "nonnegative",
        "softplus exp",
        "HalfNormal(h)",
        lambda x, h: log(2 / mp.pi) / 2 - log(h) - (x / h) ** 2 / 2,
        [0.0, 1.0],
    ),
    "LogNormal": (
        "positive",
        "softplus exp",
        "LogNormal(0, h)",
        lambda x, h: -((log(x) / h) ** 2) / 2 - log(h) - log(2 * mp.pi) / 2 - log(x),
        [1.0, 2.0],
    ),
    "Gamma's rate": (
        "positive",
        "softplus exp",
        "Gamma(2, h)",
        lambda x, h: 2 * log(h) + log(x) - h * x,
        [1.0, 3.0],
    ),
    "Gamma's concentration": (
        "positive",
        "softplus exp",
        "Gamma(h, 2)",
        lambda x, h: h * log(2) + (h - 1) * log(x) - 2 * x - mp.loggamma(h),
        [1.0, 3.0],
    ),
    "InverseGamma": (
        "positive",
        "softplus exp",
        "InverseGamma(2, h)",
        lambda x, h: 2 * log(h) - 3 * log(x) - h / x,
        [1.0],
    ),
    "Weibull": (
        "positive",
        "softplus exp",
        "Weibull(h, 2)",
        lambda x, h: log(2 / h) + log(x) - log(h) - (x / h) ** 2,
        [1.0],
    ),
    "Pareto": ("positive", "softplus exp", "Pareto(1, h)", lambda x, h: log(h) - (h + 1) * log(x), [2.0]),
    "Poisson": (
        "nonnegative_integer",
        "softplus exp",
        "Poisson(h)",
        lambda x, h: x * log(h) - h - mp.loggamma(x + 1),
        [0.0, 3.0],
    ),
    "Beta": (
        "unit_interval",
        "softplus exp",
        "Beta(h, 2)",
        lambda x, h: (h - 1) * log(x) + log(1 - x) + log(h) + log(h + 1),
        [0.5],
    ),
    "Bernoulli": ("boolean", "sigmoid", "Bernoulli(h)", lambda x, h: log(h) if x else log(1 - h), [0.0, 1.0]),
    "Geometric": (
        "nonnegative_integer",
        "sigmoid",
        "Geometric(h)",
        lambda x, h: x * log(1 - h) + log(h),
        [0.0, 3.0],
    ),
    "Binomial": (
        "nonnegative_integer",
        "sigmoid",
        "Binomial(5, h)",
        lambda x, h: log(mp.binomial(5, x)) + x * log(h) + (5 - x) * log(1 - h),
        [0.0, 2.0, 5.0],
    ),
    "GeneralizedPareto": (
        "real",
        "softplus exp",
        "GeneralizedPareto(0, h, 0.3)",
        lambda x, h: -log(h) - (1 / mp.mpf(0.3) + 1) * mp.log1p(mp.mpf(0.3) * x / h),
        [0.0, 1.0],
    ),
    "GeneralizedPareto's concentration": (
        "real",
        "softplus",
        "GeneralizedPareto(0, 1, h)",
        lambda x, h: -(1 / h + 1) * mp.log1p(h * x),
        [0.0, 1.0, 5.0],
    ),
    "DiscretizedLogistic": (
        "real",
        "softplus",
        "DiscretizedLogistic(0, h)",
        lambda x, h: (
            logistic_tail((x + mp.mpf(1) / 255) / h)
            if x == -1
            else mp.log(1 / (1 + mp.exp((x - mp.mpf(1) / 255) / h)) - 1 / (1 + mp.exp((x + mp.mpf(1) / 255) / h)))
        ),
        [-1.0, 0.2],
    ),
    "ZeroInflatedPoisson": (
        "nonnegative_integer",
        "softplus",
        "ZeroInflatedPoisson(h, 0.3)",
        lambda x, h: log(0.3 + 0.7 * mp.exp(-h)) if x == 0 else log(0.7) + log(h) - h,
        [0.0, 1.0],
    ),
    "ZeroInflatedPoisson's gate": (
        "nonnegative_integer",
        "sigmoid",
        "ZeroInflatedPoisson(2, h)",
        lambda x, h: log(h + (1 - h) * mp.exp(-2)) if x == 0 else log(1 - h) + log(2) - 2,
        [0.0, 1.0],
    ),
}
CASES = [(family, head) for family, row in FAMILIES.items() for head in row[1].split()]


def model_of(family: str, head: str) -> Any:
    space, _, text, _, _ = FAMILIES[family]
    written = text.replace("(h", f"({head}(r)").replace(", h", f", {head}(r)")
    return pgc.compile(f"x : {space}\nparam r : real = 0\np(x) = {written}\no = log p(x)\n").Model()


def close(value: float, true: Any, tolerance: float) -> bool:
    return math.isfinite(value) and abs(value - true) <= tolerance * (1 + abs(true))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("family", "head"), CASES)
def test_values_and_gradients_are_right_wherever_they_are_finite(family: str, head: str, dtype: torch.dtype) -> None:
    density, points = FAMILIES[family][3:]
    model = model_of(family, head).to(dtype)
    faults = []
    for raw, x in itertools.product(RAW, points):
        with torch.no_grad():
            model.r.fill_(raw)
        value = model.o(x=torch.tensor(x, dtype=dtype))
        (slope,) = torch.autograd.grad(value, model.r)
        true = density(mp.mpf(x), HEADS[head](mp.mpf(raw)))
        true_slope = mp.diff(lambda r, x=x: density(mp.mpf(x), HEADS[head](r)), mp.mpf(raw))
        if abs(true) < LARGEST[dtype] and not close(value.item(), true, TOLERANCE[dtype]):
            faults.append((raw, x, "value", value.item(), float(true)))
        steep = max(abs(true), abs(true_slope)) > STEEPEST[dtype]
        if not steep and not close(slope.item(), true_slope, 10 * TOLERANCE[dtype]):
            faults.append((raw, x, "gradient", slope.item(), float(true_slope)))
    assert not faults


@pytest.mark.parametrize(("family", "head"), CASES)
def test_bf16_is_finite_wherever_the_value_is(family: str, head: str) -> None:
    density, points = FAMILIES[family][3:]
    model = model_of(family, head).to(torch.bfloat16)
    for raw, x in itertools.product(RAW, points):
        if abs(raw) > 90 and family == "Gamma's concentration":
            continue  # there lgamma of a large number in bf16 is off by more than the largest
        with torch.no_grad():
            model.r.fill_(raw)
        value = model.o(x=torch.tensor(x, dtype=torch.bfloat16))
        true = abs(density(mp.mpf(x), HEADS[head](mp.mpf(raw))))
        if true < LARGEST[torch.bfloat16]:
            assert value.isfinite(), (raw, x)
        if true < STEEPEST[torch.float32]:
            assert torch.autograd.grad(value, model.r)[0].isfinite(), (raw, x)


@pytest.mark.parametrize("ending", ["Softplus", "softplus", "exp"])
def test_the_divergence_of_a_head_that_underflows(ending: str) -> None:
    """0.5 (loc^2 + 0 - 1) + 300 for the first entry: log softplus(-300) is -300."""
    model = pgc.compile(
        "x : real[3]\nz : real[2]\nnet a = Linear(2)\n"
        f"net b = Linear(2) >> {ending}\np(z) = Normal(0, 1)\nq(z|x) = Normal(a(x), b(x))\n"
        "kl = KL[q(z|x) || p(z)]\nelbo = E_{q(z|x)}[log p(z)] + H[q(z|x)]\nminimize kl\n"
    ).Model()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("b"):
                parameter.copy_(torch.tensor([-300.0, -80.0]) if parameter.ndim == 1 else 0 * parameter)
    x = torch.randn(8, 3)
    expected = 0.5 * (model.a(x).square() - 1).sum(-1) + 380
    torch.testing.assert_close(model.kl(x=x), expected)
    torch.testing.assert_close(model.elbo(x=x), -expected)
    model.loss(x=x).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    bias = next(p for n, p in model.named_parameters() if n.startswith("b") and p.ndim == 1)
    torch.testing.assert_close(bias.grad, torch.tensor([-1.0, -1.0]))


@pytest.mark.parametrize("raw", [-400.0, -120.0, -90.0, 0.0, 90.0])
@pytest.mark.parametrize("head", ["softplus", "exp"])
def test_the_divergence_of_two_heads(head: str, raw: float) -> None:
    model = pgc.compile(
        f"z : real\nparam r, s : real = 0\nq(z) = Normal(0, {head}(r))\np(z) = Normal(0, {head}(s))\n"
        "kl = KL[q(z) || p(z)]\n"
    ).Model()
    with torch.no_grad():
        model.r.fill_(raw)
        model.s.fill_(raw - 1)
    a, b = HEADS[head](mp.mpf(raw)), HEADS[head](mp.mpf(raw - 1))
    value = model.kl()
    if head == "exp" or raw > -80:
        assert close(value.item(), log(b / a) + (a / b) ** 2 / 2 - mp.mpf(1) / 2, 1e-4)
    assert value.isfinite()
    assert all(g.isfinite() for g in torch.autograd.grad(value, (model.r, model.s)))


@pytest.mark.parametrize("ending", ["Softmax", "softmax"])
def test_probabilities_that_underflow(ending: str) -> None:
    model = pgc.compile(
        f"k : category[3]\nx : real[2]\nnet f = Linear(3) >> {ending}\np(k|x) = Categorical(probs = f(x))\n"
        "o = log p(k|x)\nh = H[p(k|x)]\n"
    ).Model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor([0.0, -200.0, 300.0]) if parameter.ndim == 1 else 0 * parameter)
    value = model.o(x=torch.zeros(3, 2), k=torch.tensor([0, 1, 2]))
    torch.testing.assert_close(value, torch.tensor([-300.0, -500.0, 0.0]))
    value.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    torch.testing.assert_close(model.h(x=torch.zeros(1, 2)), torch.zeros(1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("ending", ["Sigmoid", "sigmoid"])
def test_pixels_that_underflow(ending: str) -> None:
    model = pgc.compile(
        f"x : boolean[2]\nz : real[2]\nnet f = Linear(2) >> {ending}\np(x|z) = Bernoulli(f(z))\no = log p(x|z)\n"
    ).Model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor([-200.0, 300.0]) if parameter.ndim == 1 else 0 * parameter)
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    value = model.o(x=x, z=torch.zeros(2, 2))
    torch.testing.assert_close(value, torch.tensor([0.0, -500.0]))
    value.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_detached_head_keeps_its_log_form() -> None:
    """The doubly reparameterised gradient scores draws under parameters that are held fixed."""
    model = pgc.compile(
        "x, z : real\nparam r : real = -300\np(z) = Normal(0, 1)\np(x|z) = Normal(0, 1)\n"
        "q(z|x) = Normal(0, softplus(r))\n"
        "o = log q(z|x)\nd = E_{detach q(z|x)}[log p(x|z) - log q(z|x)]\nbound = IWAE[p || q; samples=4, grad=dreg]\n"
    ).Model()
    x = torch.zeros(2)
    assert close(model.o(x=x, z=x)[0].item(), 300 - mp.log(2 * mp.pi) / 2, 1e-5)
    for value in (model.d(x=x), model.bound(x=x)):
        assert value.isfinite().all()
        assert torch.autograd.grad(value.sum(), model.r)[0].isfinite()


def _truncated_mean(loc: float) -> float:
    """The mean of a Normal(loc, 1) between -2 and 2, by mpmath, from the tail that it lies in."""
    with mpmath.workdps(80):
        a, b = mpmath.mpf(-2 - loc), mpmath.mpf(2 - loc)
        low, high = (-b, -a) if a > 0 else (a, b)
        mass = (mpmath.erfc(-high / mpmath.sqrt(2)) - mpmath.erfc(-low / mpmath.sqrt(2))) / 2
        return float(loc + (mpmath.npdf(a) - mpmath.npdf(b)) / mass)


TRUNCATED = "t, l : real\np(t|l) = TruncatedNormal(l, 1, -2, 2)\nm = E_{p(t|l)}[t]\nmaximize m"


@pytest.mark.parametrize("loc", [0.0, 1.0, -3.0, 6.0, 16.0, -20.0, 100.0, -1000.0])
def test_draws_between_bounds_far_from_the_mean(loc: float) -> None:
    model = pgc.compile(TRUNCATED).Model()
    given = torch.full((20_000,), loc)
    torch.manual_seed(0)
    drawn = model.sample((20_000,), given={"l": torch.tensor(loc)})["t"]
    expected = _truncated_mean(loc)
    spread = max(2 - abs(expected), 1e-3)  # an exponential's deviation is its mean, and here it is one nearly
    assert abs(float(drawn.mean()) - expected) < 6 * spread / 20_000**0.5 + 1e-6
    assert abs(float(model.m(l=given).mean()) - expected) < 6 * spread / 20_000**0.5 + 1e-6
    assert drawn.min() >= -2
    assert drawn.max() <= 2


def test_the_slope_of_draws_between_bounds_far_from_the_mean() -> None:
    model = pgc.compile(TRUNCATED).Model().double()
    for loc in (0.5, 6.0, -20.0):
        given = torch.full((200_000,), loc, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(0)
        model.m(l=given).sum().backward()
        assert given.grad is not None
        step = 1e-4
        expected = (_truncated_mean(loc + step) - _truncated_mean(loc - step)) / (2 * step)
        assert math.isclose(float(given.grad.mean()), expected, rel_tol=0.02)


def test_a_truncated_normal_of_numbers_far_from_its_mean() -> None:
    model = pgc.compile("t : real\np(t) = TruncatedNormal(40, 1, -2, 2)\no = log p(t)").Model()
    with mpmath.workdps(80):
        mass = (mpmath.erfc(38 / mpmath.sqrt(2)) - mpmath.erfc(42 / mpmath.sqrt(2))) / 2
        expected = float(mpmath.log(mpmath.npdf(mpmath.mpf("1.9") - 40) / mass))
    assert math.isclose(float(model.o(t=torch.tensor(1.9))), expected, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("family", "value", "below"),
    [
        ("Uniform(0, 1)", 1.5, 1.0),
        ("Uniform(0, 1)", -0.5, 0.0),
        ("Uniform(0, 1)", 0.25, 0.25),
        ("TruncatedNormal(0, 1, -2, 2)", 3.0, 1.0),
        ("TruncatedNormal(0, 1, -2, 2)", -3.0, 0.0),
        ("Pareto(1, 2)", 0.5, 0.0),
        ("Pareto(1, 2)", 2.0, 0.75),
        ("Gumbel(0, 1)", 100.0, 1.0),
        ("Weibull(1, 2)", 100.0, 1.0),
    ],
)
def test_tails_outside_of_where_a_factor_lies(family: str, value: float, below: float) -> None:
    text = f"t : real\np(t) = {family}\nc = log cdf(p(t))\ns = log survival(p(t))"
    model = pgc.compile(text).Model()
    t = torch.tensor(value)
    torch.testing.assert_close(model.c(t=t).exp(), torch.tensor(below))
    torch.testing.assert_close(model.s(t=t).exp(), torch.tensor(1 - below))


@pytest.mark.parametrize(
    ("which", "family", "value", "slope"),
    [
        ("survival", "Gumbel(0, 1)", 100.0, -1.0),
        ("cdf", "Weibull(1, 2)", 1e-25, 2e25),
        ("survival", "Gumbel(0, 1)", -99.0, 0.0),
    ],
)
def test_the_slope_of_a_tail_that_underflows(which: str, family: str, value: float, slope: float) -> None:
    model = pgc.compile(f"t : real\np(t) = {family}\no = log {which}(p(t))").Model()
    t = torch.tensor(value, requires_grad=True)
    model.o(t=t).backward()
    assert t.grad is not None
    torch.testing.assert_close(t.grad, torch.tensor(slope))


def test_a_mixture_gated_by_a_softmax_keeps_its_logarithms() -> None:
    text = """
x : real[2]
y : real
net gate = Linear(2) >> Softmax
p_0(y) = Normal(0, 1)
p_1(y) = Uniform(5, 6)
p(y|x) = gate(x)[0] p_0(y) + gate(x)[1] p_1(y)
l = log p(y|x)
"""
    model = pgc.compile(text).Model()
    with torch.no_grad():
        model.gate[0].weight.zero_()
        model.gate[0].bias.copy_(torch.tensor([-100.0, 100.0]))
    for y, value, slopes in ((2.0, -200 - 2 - 0.5 * math.log(2 * math.pi), [1.0, -1.0]), (5.5, 0.0, [0.0, 0.0])):
        model.zero_grad()
        found = model.l(x=torch.zeros(1, 2), y=torch.tensor([y]))
        found.sum().backward()
        torch.testing.assert_close(found, torch.tensor([value]))
        torch.testing.assert_close(model.gate[0].bias.grad, torch.tensor(slopes))
