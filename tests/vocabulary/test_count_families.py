"""Counts with more zeros, ordered categories, levels and exceedances: densities by scipy and mpmath."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

import pgcompile as pgc
from tests.conftest import compiled

NET = "z : real[2]\np(z) = Normal(0, 1)\n"
MODELS = {
    "zero-inflated Poisson": "x : nonnegative_integer[3]\nnet f = Linear(6)\n"
    "p(x|z) = ZeroInflatedPoisson(exp(r), gate = sigmoid(g)) where (r, g) = f(z)\n"
    "net h = Linear(4)\nq(z|x) = Normal(m, exp(s)) where (m, s) = h(x)\n"
    "elbo = E_q[log p(x|z)] - KL[q || p(z)]\nmean = E_{p(x|z)}[sum(x)]\nmaximize elbo\n",
    "zero-inflated negative binomial": "x : nonnegative_integer[3]\nnet f = Linear(3)\nparam n : positive[3]\n"
    "param g : unit_interval[3]\np(x|z) = ZeroInflatedNegativeBinomial(n, logits = f(z), gate = g)\n"
    "fit = log p(x|z)\nsecond = E_{p(x|z)}[sum(x^2)]\nmaximize fit\n",
    "ordered": "x : category[5][3]\nnet f = Linear(3)\np(x|z) = OrderedLogistic(f(z), [-1, 0, 1, 2.5])\n"
    "r(x) = Categorical(logits = [0, 0, 0, 0, 0])\nfit = log p(x|z)\nd = KL[p(x|z) || r(x)]\nmaximize fit\n",
    "ordered choice": "k : category[4]\nx : real[2]\nnet f = Linear(1)\nnet g = Linear(2)\nparam w : real[3]\n"
    "p(k|z) = OrderedLogistic(f(z)[0], cumsum(softplus(w)))\np(x|k) = Normal(g(one_hot(k)), 1)\n"
    "p(x|z) = sum_k p(x|k) p(k|z)\nfit = log p(x|z)\nmaximize fit\n",
    "exceedance": "x : real[3]\nnet f = Linear(9)\np(x|z) = GeneralizedPareto(l, exp(s), k) where (l, s, k) = f(z)\n"
    "fit = log p(x|z)\ne = H[p(x|z)]\nm = E_{p(x|z)}[cos(sum(x))]\nmaximize fit\n",
    "levels": "x : real[3, 4]\nnet a = Linear(12) >> Unflatten((3, 4))\np(x|z) = DiscretizedLogistic(a(z), 0.1)\n"
    "fit = log p(x|z)\nmaximize fit\n",
    "mixture of levels": "x : real[3]\nk : category[4]\nnet a = Linear(3)\nnet s = Linear(3) >> Softplus\n"
    "param w : real[4]\np(k) = Categorical(logits = w)\n"
    "p(x|k,z) = DiscretizedLogistic(a(h), s(h), levels = 16, low = 0, high = 15) where h = cat(one_hot(k), z)\n"
    "p(x|z) = sum_k p(x|k,z) p(k)\nfit = log p(x|z)\nmaximize fit\n",
    "experts of levels": "x : real[3]\nnet a = Linear(3)\nnet b = Linear(3)\nparam w : simplex[2]\n"
    "p_1(x|z) = DiscretizedLogistic(a(z), 0.1)\np_2(x|z) = DiscretizedLogistic(b(z), 0.2)\n"
    "p(x|z) = w[0] p_1(x|z) + w[1] p_2(x|z)\nfit = log p(x|z)\nmaximize fit\n",
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_models_are_verified(text: str) -> None:
    faults = [check for check in compiled(NET + text).verify() if not check.passed]
    assert not faults


def test_zero_inflated_counts_are_the_mixture() -> None:
    model = compiled(
        "x : nonnegative_integer\nrate, n : positive\ng, p : unit_interval\nl : real\n"
        "a(x|rate,g) = ZeroInflatedPoisson(rate, g)\nb(x|rate,l) = ZeroInflatedPoisson(rate, gate_logits = l)\n"
        "c(x|n,p,g) = ZeroInflatedNegativeBinomial(n, p, g)\n"
        "s = log a(x|rate,g)\nt = log b(x|rate,l)\nu = log c(x|n,p,g)\n"
    ).Model()
    model.double()
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, 200)
    rate, n, g, p = rng.gamma(2, 2, 200), rng.gamma(2, 2, 200), rng.uniform(size=200), rng.uniform(size=200)
    given = {k: torch.as_tensor(v).double() for k, v in {"x": x, "rate": rate, "n": n, "g": g, "p": p}.items()}
    poisson = np.log(g * (x == 0) + (1 - g) * scipy.stats.poisson.pmf(x, rate))
    negative = np.log(g * (x == 0) + (1 - g) * scipy.stats.nbinom.pmf(x, n, 1 - p))
    found = model.s(x=given["x"], rate=given["rate"], g=given["g"])
    np.testing.assert_allclose(found.numpy(), poisson, rtol=1e-10)
    found = model.t(x=given["x"], rate=given["rate"], l=torch.logit(given["g"]))
    np.testing.assert_allclose(found.numpy(), poisson, rtol=1e-10)
    found = model.u(x=given["x"], n=given["n"], p=given["p"], g=given["g"])
    np.testing.assert_allclose(found.numpy(), negative, rtol=1e-10)


@pytest.mark.parametrize("rate", [1e-3, 1.0, 60.0, 300.0])
@pytest.mark.parametrize("gate", [0.0, 1e-30, 0.3, 1.0])
def test_a_zero_at_the_ends_of_the_gate(rate: float, gate: float) -> None:
    model = compiled(
        "x : nonnegative_integer\ng : unit_interval\nr : positive\n"
        "p(x|g,r) = ZeroInflatedPoisson(r, g)\ns = log p(x|g,r)\n"
    ).Model()
    g, r = (torch.tensor(v, requires_grad=True) for v in (gate, rate))
    value = model.s(x=torch.tensor(0.0), g=g, r=r)
    value.backward()
    mp = mpmath.mp.clone()
    mp.dps = 200
    exact = mp.mpf(float(g)) + (1 - mp.mpf(float(g))) * mp.exp(-mp.mpf(float(r)))
    assert float(value) == pytest.approx(float(mp.log(exact)), rel=1e-5, abs=1e-7)
    assert g.grad.isfinite() and r.grad.isfinite()
    slope = (1 - mp.exp(-mp.mpf(float(r)))) / exact
    if slope < 1e20:
        assert float(g.grad) == pytest.approx(float(slope), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("predictor", [-200.0, -30.0, -1.0, 0.0, 0.7, 30.0, 200.0])
def test_ordered_categories_far_out(predictor: float, dtype: torch.dtype) -> None:
    model = compiled("k : category[4]\nz : real\np(k|z) = OrderedLogistic(z, [-1, -0.9, 2])\ns = log p(k|z)\n").Model()
    z = torch.tensor(predictor, dtype=dtype, requires_grad=True)
    mp = mpmath.mp.clone()
    mp.dps = 300

    def tail(c: float, at: mpmath.mpf) -> mpmath.mpf:
        return 1 / (1 + mp.exp(at - mp.mpf(c)))

    def exact(k: int, at: mpmath.mpf) -> mpmath.mpf:
        table = model.table_1.tolist() if hasattr(model, "table_1") else [-1, -0.9, 2]
        ends = [0, *(tail(c, at) for c in table), 1]
        return mp.log(ends[k + 1] - ends[k])

    for k in range(4):
        value = model.to(dtype).s(k=torch.tensor(k), z=z)
        (slope,) = torch.autograd.grad(value, z)
        assert float(value) == pytest.approx(float(exact(k, mp.mpf(predictor))), rel=1e-5)
        wanted = mp.diff(lambda at, k=k: exact(k, at), mp.mpf(predictor))
        assert float(slope) == pytest.approx(float(wanted), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("shape", [-1.5, -0.4, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.3, 2.0])
def test_generalized_pareto_is_scipys(shape: float) -> None:
    model = (
        compiled("x, k : real\np(x|k) = GeneralizedPareto(0.5, 2, k)\ns = log p(x|k)\nh = H[p(x|k)]\n").Model().double()
    )
    x = torch.linspace(-1, 30, 400, dtype=torch.float64)
    k = torch.full_like(x, shape).requires_grad_()
    found = model.s(x=x, k=k)
    law = scipy.stats.genpareto(shape, 0.5, 2)
    with np.errstate(divide="ignore"):
        wanted = law.logpdf(x.numpy())
    inside = np.isfinite(wanted)
    assert (np.isneginf(found.detach().numpy()) == ~inside).all()
    np.testing.assert_allclose(found.detach().numpy()[inside], wanted[inside], rtol=1e-7, atol=1e-9)
    (slope,) = torch.autograd.grad(found[torch.as_tensor(inside)].sum(), k)
    assert slope.isfinite().all()
    step = 1e-5
    z = (x.numpy()[inside] - 0.5) / 2
    z = z[1 + (shape - step) * z > 1e-3]

    def density(at: float) -> np.ndarray:
        exact = [mpmath.mpf(at) for _ in z]
        return np.array([float(-(1 / a + 1) * mpmath.log1p(a * w)) if a else -w for a, w in zip(exact, z, strict=True)])

    with mpmath.workdps(40):
        wanted_slope = (density(shape + step) - density(shape - step)) / (2 * step)
    np.testing.assert_allclose(slope.numpy()[inside][: len(z)], wanted_slope, rtol=1e-4, atol=1e-4)
    assert float(model.h(k=torch.tensor(shape, dtype=torch.float64))) == pytest.approx(float(law.entropy()), rel=1e-9)


def test_levels_sum_to_one_and_are_scipys() -> None:
    model = compiled("x : real\nm : real\np(x|m) = DiscretizedLogistic(m, 0.05)\ns = log p(x|m)\n").Model().double()
    x = torch.linspace(-1, 1, 256, dtype=torch.float64)
    for m in (-3.0, -1.0, -0.2, 0.0, 0.71, 5.0):
        found = model.s(x=x, m=torch.full_like(x, m)).exp()
        assert float(found.sum()) == pytest.approx(1, abs=1e-12)
        edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]).numpy() / 2, [np.inf]])
        law = scipy.stats.logistic(m, 0.05)
        left, right = np.diff(law.cdf(edges)), -np.diff(law.sf(edges))
        wanted = np.where(edges[1:] > m, right, left)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-9, atol=1e-300)


def test_levels_far_from_the_location_in_single_precision() -> None:
    model = compiled("x, m, s : real\np(x|m,s) = DiscretizedLogistic(m, exp(s))\nf = log p(x|m,s)\n").Model()
    for s in (-12.0, -7.0, 0.0, 9.0, 20.0):
        x = torch.tensor([-1.0, 0.2, 1.0])
        m, scale = torch.zeros(3, requires_grad=True), torch.full((3,), s, requires_grad=True)
        value = model.f(x=x, m=m, s=scale)
        value.sum().backward()
        assert value.isfinite().all() and m.grad.isfinite().all() and scale.grad.isfinite().all()
        mp = mpmath.mp.clone()
        mp.dps = 60
        near = 1 / (1 + mp.exp((mp.mpf(0.2) - mp.mpf(1) / 255) / mp.exp(s)))
        far = 1 / (1 + mp.exp((mp.mpf(0.2) + mp.mpf(1) / 255) / mp.exp(s)))
        if s > -12:
            assert float(value[1]) == pytest.approx(float(mp.log(near - far)), rel=1e-4)


def test_drawn_levels_lie_on_the_grid() -> None:
    program = compiled(
        "x : real[2]\np(x) = DiscretizedLogistic(0.3, 0.4, levels = 5, low = -2, high = 2)\nf = log p(x)\n"
    )
    x = program.Model().sample((500,))["x"]
    assert set(x.flatten().tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    made = program.Model().factor("p(x)")()
    law = scipy.stats.logistic(0.3, 0.4)
    masses = np.diff(law.cdf([-np.inf, -1.5, -0.5, 0.5, 1.5, np.inf]))
    assert made.mean[0].item() == pytest.approx(float(masses @ np.arange(-2, 3)), rel=1e-5)


def test_objects_agree_with_the_model() -> None:
    program = compiled(
        "x : nonnegative_integer[3]\ny : category[4]\nz : real[2]\nnet f = Linear(3)\n"
        "p(x|z) = ZeroInflatedPoisson(exp(f(z)), 0.25)\nq(y|z) = OrderedLogistic(z[0], [-1, 0, 2])\n"
        "s = log p(x|z)\nt = log q(y|z)\n"
    )
    model = program.Model()
    z, x, y = torch.randn(7, 2), torch.randint(0, 3, (7, 3)).float(), torch.randint(0, 4, (7,))
    counts, index = model.factor("p(x|z)")(z), model.factor("q(y|z)")(z)
    torch.testing.assert_close(counts.log_prob(x), model.s(x=x, z=z))
    torch.testing.assert_close(index.log_prob(y), model.t(y=y, z=z))
    draws = counts.sample((4000,))
    torch.testing.assert_close(draws.mean(0), counts.mean, rtol=0.2, atol=0.2)
    torch.testing.assert_close(draws.var(0), counts.variance, rtol=0.3, atol=0.4)
    assert index.expand((5, 7)).sample().shape == (5, 7)


@pytest.mark.parametrize(
    ("factor", "code", "message"),
    [
        ("ZeroInflatedPoisson(2)", "PGC312", "needs gate or gate_logits"),
        ("ZeroInflatedPoisson(2, gate = 0.1, gate_logits = 1)", "PGC313", "one of gate and gate_logits"),
        ("ZeroInflatedNegativeBinomial(2, gate = 0.1)", "PGC312", "needs probs or logits"),
        ("ZeroInflatedPoisson(2, 1.5)", "PGC306", "between 0 and 1"),
        ("DiscretizedLogistic(0, 1, levels = 1)", "PGC306", "needs two or more"),
        ("DiscretizedLogistic(0, 1, low = 1, high = -1)", "PGC306", "is empty"),
        ("DiscretizedLogistic(0, 1, levels = z)", "PGC305", "known at compile time"),
    ],
)
def test_what_is_said_of_wrong_parameters(factor: str, code: str, message: str) -> None:
    kind = "real" if factor.startswith("D") else "nonnegative_integer"
    found = pgc.check(f"x : {kind}\nz : real\np(x|z) = {factor}\ns = log p(x|z)\n")
    assert any(d.code == code and message in d.message for d in found), found


def test_cutpoints_are_one_less_than_the_categories() -> None:
    found = pgc.check("x : category[3]\nz : real\np(x|z) = OrderedLogistic(z, [-1, 0, 1])\ns = log p(x|z)\n")
    assert any(d.code == "PGC305" and "needs [2]" in d.message for d in found), found
    found = pgc.check("x : category[3][2]\nz : real\np(x|z) = OrderedLogistic(z, [-1, 0])\ns = log p(x|z)\n")
    assert any(d.code == "PGC305" and "predictor" in d.message for d in found), found
    inferred = compiled("z : real\np(x|z) = OrderedLogistic(z, [-1, 0, 1])\ns = log p(x|z)\n")
    assert str(inferred.analysis.model.spaces["x"]) == "category[4]"
    assert math.isfinite(float(inferred.Model().s(x=torch.tensor(3), z=torch.tensor(0.0))))
