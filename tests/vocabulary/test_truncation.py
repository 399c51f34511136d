"""Truncated families: densities, draws and gradients against mpmath and scipy, in the middle and far in both tails."""

import math

import mpmath
import pytest
import scipy.stats as st
import torch

import pgcompile as pgc

# Each: the family as a program writes it, the space, its distribution function and density in mpmath, scipy's law.
ONE = mpmath.mpf(1)


def _normal(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.ncdf(x)


FAMILIES = {
    "Normal(1, 2)": ("real", st.norm(1, 2), lambda x: _normal((x - 1) / 2)),
    "Logistic(1, 2)": ("real", st.logistic(1, 2), lambda x: 1 / (1 + mpmath.exp(-(x - 1) / 2))),
    "Laplace(1, 2)": (
        "real",
        st.laplace(1, 2),
        lambda x: mpmath.exp((x - 1) / 2) / 2 if x < 1 else 1 - mpmath.exp(-(x - 1) / 2) / 2,
    ),
    "Cauchy(1, 2)": ("real", st.cauchy(1, 2), lambda x: ONE / 2 + mpmath.atan((x - 1) / 2) / mpmath.pi),
    "Gumbel(1, 2)": ("real", st.gumbel_r(1, 2), lambda x: mpmath.exp(-mpmath.exp(-(x - 1) / 2))),
    "Exponential(0.5)": ("nonnegative", st.expon(0, 2), lambda x: 1 - mpmath.exp(-x / 2)),
    "HalfNormal(2)": ("nonnegative", st.halfnorm(0, 2), lambda x: 2 * _normal(x / 2) - 1),
    "LogNormal(1, 0.5)": ("positive", st.lognorm(0.5, 0, math.e), lambda x: _normal((mpmath.log(x) - 1) * 2)),
    "LogitNormal(0.5, 2)": ("unit_interval", None, lambda x: _normal((mpmath.log(x / (1 - x)) - ONE / 2) / 2)),
    "Weibull(2, 1.5)": (
        "positive",
        st.weibull_min(1.5, 0, 2),
        lambda x: 1 - mpmath.exp(-((x / 2) ** mpmath.mpf(1.5))),
    ),
    "Pareto(0.25, 3)": ("positive", st.pareto(3, 0, 0.25), lambda x: 1 - (ONE / 4 / x) ** 3),
    "Kumaraswamy(2, 3)": ("unit_interval", None, lambda x: 1 - (1 - x**2) ** 3),
    "GeneralizedPareto(0, 2, 0.25)": ("real", st.genpareto(0.25, 0, 2), lambda x: 1 - (1 + x / 8) ** -4),
    "GeneralizedPareto(0, 2, 0)": ("real", st.genpareto(0, 0, 2), lambda x: 1 - mpmath.exp(-x / 2)),
    "GeneralizedPareto(0, 2, -0.5)": ("real", st.genpareto(-0.5, 0, 2), lambda x: 1 - (1 - x / 4) ** 2),
}
REAL = [(-40.0, -38.0), (-3.0, -1.0), (0.5, 4.0), (30.0, 33.0), (60.0, 61.5)]
INTERVALS = {
    "real": REAL,
    "nonnegative": [(0.125, 0.25), (0.5, 3.0), (12.0, 14.0)],
    "positive": [(0.5, 1.0), (1.0, 4.0), (12.0, 14.0)],
    "unit_interval": [(0.0009765625, 0.001953125), (0.25, 0.75), (0.96875, 0.9921875)],
}
CASES = [
    (family, bounds)
    for family, (space, _, _) in FAMILIES.items()
    for bounds in (INTERVALS["nonnegative"] if family.startswith("Gen") else INTERVALS[space])
    if not (family.startswith("Gumbel") and bounds[1] < -30)  # no mass that a number of double precision holds
    and not (family.endswith("-0.5)") and bounds[1] > 4)  # above its end
    and not (family.startswith("Normal") and bounds[0] >= 60)
]


def _model(family: str, space: str, bounds: str, dtype: torch.dtype) -> torch.nn.Module:
    text = f"x : {space}\np(x) = truncate({family}, {bounds})\nl = log p(x)\nc = log cdf(p(x))\nr = log survival(p(x))"
    return pgc.compile(text).Model().to(dtype)


@pytest.mark.parametrize(("family", "bounds"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_densities_and_tails_are_those_of_many_digits(
    family: str, bounds: tuple[float, float], dtype: torch.dtype
) -> None:
    space, _, cdf = FAMILIES[family]
    low, high = bounds
    model = _model(family, space, f"{low}, {high}", dtype)
    law = model.factor("p(x)")()
    relative = 2e-4 if dtype == torch.float32 else 1e-8  # torch's softplus is no better
    with mpmath.workdps(120):
        a, b = cdf(mpmath.mpf(low)), cdf(mpmath.mpf(high))
        for share in (0.125, 0.5, 0.75):
            point = low + share * (high - low)
            x = torch.tensor([point], dtype=dtype)
            at = cdf(mpmath.mpf(point))
            exact = float(mpmath.log(mpmath.diff(cdf, mpmath.mpf(point)) / (b - a)))
            assert model.l(x=x).item() == pytest.approx(exact, rel=relative, abs=relative)
            assert law.log_prob(x).item() == pytest.approx(exact, rel=relative, abs=relative)
            below, above = (float(mpmath.log(part / (b - a))) for part in (at - a, b - at))
            assert model.c(x=x).item() == pytest.approx(below, rel=relative, abs=relative)
            assert model.r(x=x).item() == pytest.approx(above, rel=relative, abs=relative)
            level = torch.tensor(float((at - a) / (b - a)), dtype=dtype)
            assert law.cdf(x).item() == pytest.approx(level.item(), rel=relative)
            if below > -10 and above > -10:  # else too near to 0 or 1 for a level of single precision
                assert law.icdf(level).item() == pytest.approx(point, rel=relative)


@pytest.mark.parametrize(("family", "bounds"), CASES)
def test_values_outside_have_no_density_and_finite_slopes(family: str, bounds: tuple[float, float]) -> None:
    space, _, _ = FAMILIES[family]
    low, high = bounds
    name, given = family[:-1].split("(")
    numbers = [float(v) for v in given.split(",")]
    params = "\n".join(f"param a_{i} : {'real' if v <= 0 else 'positive'}" for i, v in enumerate(numbers))
    use = f"{name}({', '.join(f'a_{i}' for i in range(len(numbers)))})"
    text = f"{params}\ninput low, high : real\nx : {space}\np(x) = truncate({use}, low, high)\nl = log p(x)"
    model = pgc.compile(text).Model()
    for i, v in enumerate(numbers):
        model.set(f"a_{i}", v)
    x = torch.tensor([low - 0.5, low - 1e-3, high + 1e-3, high + 100.0], requires_grad=True)
    ends = (torch.full((4,), low).requires_grad_(), torch.full((4,), high).requires_grad_())
    found = model.l(x=x, low=ends[0], high=ends[1])
    assert found.tolist() == [-torch.inf] * 4
    found.sum().backward()
    slopes = [x.grad, ends[0].grad, ends[1].grad, *(p.grad for p in model.parameters())]
    assert all(bool(s.isfinite().all()) for s in slopes)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["low", "high", "both"])
def test_draws_follow_the_distribution(family: str, side: str) -> None:
    space, _, cdf = FAMILIES[family]
    low, high = (0.3, 0.6) if space == "unit_interval" else (0.5, 3.0)
    bounds = {"low": f"low = {low}", "high": f"high = {high}", "both": f"{low}, {high}"}[side]
    model = _model(family, space, bounds, torch.float32)
    torch.manual_seed(3)
    drawn = model.sample((20000,))["x"]
    least = {"real": -mpmath.inf}.get(space, mpmath.mpf(0.25) if family.startswith("Pareto") else mpmath.mpf(0))
    start = low if side != "high" else (0.0 if family.startswith("Gen") else least)
    with mpmath.workdps(30):
        a = mpmath.mpf(0) if start in (-mpmath.inf, 0.0, least) else cdf(mpmath.mpf(start))
        b = ONE if side == "low" else cdf(mpmath.mpf(high))
        levels = [float((cdf(mpmath.mpf(v)) - a) / (b - a)) for v in drawn[:2000].tolist()]
    # 2000 draws: a right distribution is further off than this once in 10^5 runs.
    assert st.kstest(levels, "uniform").pvalue > 1e-5
    if side != "high":
        assert drawn.min() >= low
    if side != "low":
        assert drawn.max() <= high


MEANS = ["Normal(1, 2)", "HalfNormal(2)", "Exponential(0.5)", "LogNormal(1, 0.5)"]


@pytest.mark.parametrize("family", MEANS)
@pytest.mark.parametrize("bounds", [(0.5, 3.0), (0.5, 0.5078125), (0.5, None), (None, 3.0)])
def test_means_are_integrals(family: str, bounds: tuple[float | None, float | None]) -> None:
    space, law, _ = FAMILIES[family]
    low, high = bounds
    written = ", ".join(f"{n} = {v}" for n, v in (("low", low), ("high", high)) if v is not None)
    model = _model(family, space, written, torch.float64)
    ends = {"lb": low, "ub": high}
    expected = law.expect(conditional=True, **{n: v for n, v in ends.items() if v is not None})
    assert model.sample_mean((1,))["x"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("family", ["Logistic(1, 2)", "Gumbel(1, 2)", "Weibull(2, 1.5)", "Pareto(0.25, 3)"])
def test_where_the_mean_has_no_formula_the_median_stands_for_it(family: str) -> None:
    space, law, _ = FAMILIES[family]
    model = _model(family, space, "0.5, 3", torch.float64)
    a, b = law.cdf(0.5), law.cdf(3.0)
    assert model.sample_mean((1,))["x"].item() == pytest.approx(law.ppf((a + b) / 2), rel=1e-9)


@pytest.mark.parametrize(
    "family", ["Weibull(s, 1.5)", "Gumbel(0, s)", "Laplace(0, s)", "Cauchy(0, s)", "Logistic(0, s)"]
)
def test_draws_have_the_gradient_of_the_mean(family: str) -> None:
    """The mean of the slopes of draws is the slope of the mean, by differences of scipy's integrals."""
    laws = {
        "W": lambda s: st.weibull_min(1.5, 0, s),
        "G": lambda s: st.gumbel_r(0, s),
        "La": lambda s: st.laplace(0, s),
        "C": lambda s: st.cauchy(0, s),
        "Lo": lambda s: st.logistic(0, s),
    }
    law = next(made for start, made in laws.items() if family.startswith(start))
    space = "positive" if family.startswith("W") else "real"
    text = f"x : {space}\nparam s : positive\np(x) = truncate({family}, 0.5, 3)\nm = E_{{p(x); samples=20000}}[x]"
    model = pgc.compile(text).Model().double()
    model.set("s", 1.25)
    torch.manual_seed(0)
    found = model.m()
    found.backward()
    slope = model.free_s.grad.item() / torch.autograd.grad(torch.nn.functional.softplus(model.free_s), model.free_s)[0]
    up, down = (law(s).expect(lb=0.5, ub=3, conditional=True) for s in (1.26, 1.24))
    assert found.item() == pytest.approx(law(1.25).expect(lb=0.5, ub=3, conditional=True), abs=0.03)
    assert slope.item() == pytest.approx((up - down) / 0.02, abs=0.02)


PROGRAMS = {
    "bounds of parents": """
x : real[3]
t : positive
net f = Linear(2)
p(t|x) = truncate(Weibull(exp(f(x)[0]), 1.5), low = exp(f(x)[1]))
l = log p(t|x)
maximize l
""",
    "a factor, and its clauses": """
x : real[3]
z : real[2]
net f = Linear(4)
q_0(z|x) = Laplace(m, exp(s)) where (m, s) = f(x)
q(z|x) = truncate(q_0(z|x), -1, inf)
p(z) = Normal(0, 1)
p(x|z) = Normal(z[0], 1)
elbo = E_{q(z|x)}[log p(x|z) + log p(z) - log q(z|x)]
maximize elbo
""",
    "an index": """
index t in 1..5
y_t, z_t : real
param a, low : real
param z_0 : real
p(z_t|z_{t-1}) = truncate(Logistic(a * z_{t-1}, 1), low = low)
p(y_t|z_t) = Normal(z_t, 1)
q(z_t|y_t) = truncate(Cauchy(y_t, 1), low, low + 2)
elbo = ELBO[p || q]
maximize elbo
""",
    "a truncation of a truncation": """
x : nonnegative
param a : positive
q(x) = truncate(Exponential(a), low = 0.2)
p(x) = truncate(q(x), 0.1, high = 2)
l = log p(x) + log q(x)
maximize l
""",
    "a censored count of an input": """
input c : positive
x : positive
param s, k : positive
p(x) = truncate(GeneralizedPareto(0, s, k), high = c)
l = log p(x)
maximize l
""",
    "a uniform": "x : real\nparam a : positive\np(x) = truncate(Uniform(0, a + 1), 0.25, a)\nl = log p(x)\nmaximize l",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_verifies_and_trains(name: str) -> None:
    program = pgc.compile(PROGRAMS[name])
    assert [c.what for c in program.verify() if not c.passed] == []


WRONG = {
    "truncate(Gamma(1, 1), 0, 1)": "Gamma cannot be truncated",
    "truncate(StudentT(3, 0, 1), 0, 1)": "StudentT cannot be truncated",
    "truncate(Poisson(3), 0, 1)": "Poisson cannot be truncated",
    "truncate(Normal(0, 1), lo = 1)": "truncate has no bound lo",
    "truncate(Normal(0, 1), 0, 1, 2)": "truncate takes two bounds at most",
    "truncate(Normal(0, 1))": "truncate takes a bound, and here is none",
    "truncate(Normal(0, 1), -inf, inf)": "truncate takes a bound, and here is none",
    "truncate(Normal(0, 1), inf)": "nothing is above this bound",
    "truncate(q, 0, 1)": "truncate takes a family, or a factor of one, and bounds",
    "truncate(p(z), 0, 1)": "truncate takes a family, or a factor of one, and bounds",
    "truncate(Gumbel(0, 1), 2, 1)": "the interval of p(z) is empty: low is 2 and high is 1",
    "truncate(Uniform(0, 1), 2, 3)": "the interval of p(z) is empty: low is 2 and high is 1",
}


@pytest.mark.parametrize("written", WRONG)
def test_what_cannot_be_truncated(written: str) -> None:
    space = "nonnegative_integer" if "Poisson" in written else "positive" if "Gamma" in written else "real"
    found = pgc.check(f"z : {space}\np(z) = {written}\nl = log p(z)")
    assert [d.message for d in found] == [WRONG[written]]


def test_what_can_be_truncated_is_said() -> None:
    (found,) = pgc.check("z : positive\np(z) = truncate(Gamma(1, 1), 0, 1)\nl = log p(z)")
    assert "Weibull" in found.reasons[-1]
