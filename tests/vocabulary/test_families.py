"""Every family against torch.distributions in float64, over parameters that hypothesis draws, extremes included."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
import torch
import torch.distributions as D
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.closed_forms import rows
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.spaces import contains, covers_support
from tests.conftest import compiled

K = 5


@dataclass(frozen=True)
class Case:
    """One parameterisation of a family.

    Args:
        family: its name.
        parameters: kinds of its parameters (`real`, `positive`, ...), by name.
        space: space of the variable.
        literals: parameters written as numbers.
        vectors: parameters of length K.
        kl: whether a closed-form divergence exists.
        entropy: whether a closed-form entropy exists.
    """

    family: str
    parameters: dict[str, str]
    space: str
    literals: tuple[tuple[str, float], ...] = ()
    kl: bool = True
    entropy: bool = True

    @property
    def name(self) -> str:
        return f"{self.family}({','.join(self.parameters)})"


CASES = [
    Case("Normal", {"loc": "real", "scale": "positive"}, "real"),
    Case("Laplace", {"loc": "real", "scale": "positive"}, "real"),
    Case("StudentT", {"df": "positive", "loc": "real", "scale": "positive"}, "real", kl=False),
    Case("Cauchy", {"loc": "real", "scale": "positive"}, "real"),
    Case("Gumbel", {"loc": "real", "scale": "positive"}, "real"),
    Case("Weibull", {"scale": "positive", "concentration": "positive"}, "positive", kl=False),
    Case("Pareto", {"scale": "positive", "alpha": "positive"}, "positive", kl=False),
    Case("Kumaraswamy", {"concentration1": "positive", "concentration0": "positive"}, "unit_interval", kl=False),
    Case("LogNormal", {"loc": "real", "scale": "positive"}, "positive"),
    Case("Gamma", {"concentration": "positive", "rate": "positive"}, "positive"),
    Case("InverseGamma", {"concentration": "positive", "rate": "positive"}, "positive"),
    Case("Exponential", {"rate": "positive"}, "nonnegative"),
    Case("Beta", {"concentration1": "positive", "concentration0": "positive"}, "unit_interval"),
    Case("HalfNormal", {"scale": "positive"}, "nonnegative"),
    Case("VonMises", {"loc": "real", "concentration": "positive"}, "real"),
    Case("Poisson", {"rate": "positive"}, "nonnegative_integer", entropy=False),
    Case("Dirichlet", {"concentration": "positive_vector"}, f"simplex[{K}]"),
    *(
        Case(family, {form: kind}, space, literals, entropy=entropy)
        for form, kind in (("probs", "unit_interval"), ("logits", "real"))
        for family, space, literals, entropy in (
            ("Bernoulli", "boolean", (), True),
            ("ContinuousBernoulli", "unit_interval", (), True),
            ("Geometric", "nonnegative_integer", (), True),
            ("Binomial", "nonnegative_integer", (("total_count", 7),), False),
            ("NegativeBinomial", "nonnegative_integer", (("total_count", 7),), False),
        )
    ),
    *(
        Case(family, {form: kind}, space, literals, entropy=entropy)
        for form, kind in (("probs", "simplex_vector"), ("logits", "real_vector"))
        for family, space, literals, entropy in (
            ("Categorical", f"category[{K}]", (), True),
            ("OneHotCategorical", f"one_hot[{K}]", (), True),
            ("Multinomial", f"nonnegative_integer[{K}]", (("total_count", 7),), False),
        )
    ),
    Case("RelaxedBernoulli", {"logits": "real"}, "unit_interval", (("temperature", 0.5),), False, False),
    Case("RelaxedBernoulli", {"probs": "unit_interval"}, "unit_interval", (("temperature", 0.5),), False, False),
    Case("RelaxedOneHotCategorical", {"logits": "real_vector"}, f"simplex[{K}]", (("temperature", 0.5),), False, False),
    Case(
        "RelaxedOneHotCategorical", {"probs": "simplex_vector"}, f"simplex[{K}]", (("temperature", 0.5),), False, False
    ),
]
SPACES = {"real_vector": f"real[{K}]", "positive_vector": f"positive[{K}]", "simplex_vector": f"simplex[{K}]"}


def program(case: Case) -> str:
    """A program whose factors p and q have all their parameters observed."""
    lines = [f"x : {case.space}"]
    for side in "pq":
        names = [f"{side}{name}" for name in case.parameters]
        lines += [f"{n} : {SPACES.get(k, k)}" for n, k in zip(names, case.parameters.values(), strict=True)]
        given_ = [f"{name} = {side}{name}" for name in case.parameters]
        given_ += [f"{name} = {value}" for name, value in case.literals]
        lines.append(f"{side}(x|{','.join(names)}) = {case.family}({', '.join(given_)})")
    p = f"p(x|{','.join('p' + n for n in case.parameters)})"
    q = f"q(x|{','.join('q' + n for n in case.parameters)})"
    lines.append(f"score = log {p}")
    if case.kl:
        lines.append(f"divergence = KL[{q} || {p}]")
    if case.entropy:
        lines.append(f"uncertainty = H[{q}]")
    return "\n".join(lines)


def draw_parameter(kind: str, rng: np.random.Generator, spread: float) -> torch.Tensor:
    """Parameters of many sizes: `spread` decades around one."""
    n = 64
    shape = (n, K) if kind.endswith("_vector") else (n,)
    match kind.removesuffix("_vector"):
        case "positive":
            value = 10.0 ** rng.uniform(-spread, spread, shape)
        case "unit_interval":
            logits = rng.normal(0, 1 + 2 * spread, shape)
            value = np.clip(1 / (1 + np.exp(-logits)), 1e-9, 1 - 1e-9)
        case "simplex":
            raw = rng.normal(0, spread, shape)
            value = np.exp(raw - raw.max(-1, keepdims=True))
            value /= value.sum(-1, keepdims=True)
        case _:
            value = rng.normal(0, 1 + 2 * spread, shape)
    return torch.as_tensor(value, dtype=torch.float64)


def reference(case: Case, values: dict[str, torch.Tensor]) -> D.Distribution:
    """torch's own distribution of these parameters."""
    literals: dict[str, object] = {k: int(v) if k == "total_count" else torch.tensor(v) for k, v in case.literals}
    return getattr(D, case.family)(**values, **literals, validate_args=False)


def values_of(case: Case, seed: int, spread: float, side: str) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng([seed, side == "q"])
    return {name: draw_parameter(kind, rng, spread) for name, kind in case.parameters.items()}


def prefixed(values: dict[str, torch.Tensor], side: str) -> dict[str, torch.Tensor]:
    return {side + name: value for name, value in values.items()}


def close(found: torch.Tensor, wanted: torch.Tensor, scale: torch.Tensor | float = 1.0) -> None:
    """Equal to 1e-9 of the size of what was added up; where torch itself overflows there is nothing to compare."""
    finite = wanted.isfinite()
    error = (found - wanted).abs()[finite]
    bound = 1e-9 * torch.maximum(wanted.abs(), torch.as_tensor(scale).expand_as(wanted))[finite] + 1e-12
    assert (error <= bound).all(), f"worst deviation {float((error / bound).max()):.3g} times the bound"


SPREADS = st.sampled_from([0.3, 1.0, 2.0])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), spread=SPREADS)
def test_log_density(case: Case, seed: int, spread: float) -> None:
    model = compiled(program(case)).Model().double()
    values = values_of(case, seed, spread, "p")
    distribution = reference(case, values)
    torch.manual_seed(seed)
    x = distribution.sample()
    if case.space == "unit_interval" or case.space.startswith("simplex"):
        x = x.clamp(1e-12, 1 - 1e-12)
    if case.space == "positive":
        x = x.clamp(min=1e-300)
    inside = distribution.log_prob(x).abs() < 1e200
    found = model.score(x=x.long() if case.family == "Categorical" else x, **prefixed(values, "p"))
    assert found.shape == (64,)
    # torch clamps probabilities (and relaxed values) away from 0 and 1, which moves logs of tiny numbers.
    tolerance = 100.0 if "probs" in case.parameters or case.family.startswith("Relaxed") else 1.0
    wanted = distribution.log_prob(x)
    if case.family == "VonMises":
        # torch's own Bessel functions have an error of 1e-7.
        wanted = torch.as_tensor(scipy.stats.vonmises.logpdf(x, values["concentration"], values["loc"]))
    if case.family == "Kumaraswamy":
        # torch takes 1 - x^a as a difference, of which few digits are left near 1.
        a, b = (values[f"concentration{i}"] for i in (1, 0))
        wanted = a.log() + b.log() + (a - 1) * x.log() + (b - 1) * (-torch.expm1(a * x.log())).log()
    close(found[inside], wanted[inside], tolerance * (1 + x.double().reshape(64, -1).abs().amax(-1))[inside])


@pytest.mark.parametrize("case", [c for c in CASES if c.kl], ids=lambda c: c.name)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.3, 1.0]))
def test_divergence(case: Case, seed: int, spread: float) -> None:
    model = compiled(program(case)).Model().double()
    p, q = values_of(case, seed, spread, "p"), values_of(case, seed, spread, "q")
    found = model.divergence(**prefixed(p, "p"), **prefixed(q, "q"))
    assert found.shape == (64,)
    assert (found > -1e-6 * (1 + found.abs())).all()
    try:
        wanted = D.kl_divergence(reference(case, q), reference(case, p))
    except NotImplementedError:
        wanted = quadrature_divergence(case, p, q)
        close(found, wanted, 1e4 * (1 + wanted.abs()))
        return
    close(found, wanted, 1e3 * (1 + wanted.abs()))


def quadrature_divergence(case: Case, p: dict[str, torch.Tensor], q: dict[str, torch.Tensor]) -> torch.Tensor:
    """KL by summing or integrating torch's own log-densities, for pairs torch has no formula for."""
    first, second = reference(case, q), reference(case, p)
    if case.family == "VonMises":
        grid = torch.linspace(-torch.pi, torch.pi, 20_001, dtype=torch.float64)[:-1].unsqueeze(-1)
        weight = 2 * torch.pi / 20_000
    elif case.family == "InverseGamma":
        return D.kl_divergence(D.Gamma(q["concentration"], q["rate"]), D.Gamma(p["concentration"], p["rate"]))
    elif case.family == "NegativeBinomial":
        grid, weight = torch.arange(0, 60_000, dtype=torch.float64).unsqueeze(-1), 1.0
    elif case.family == "Multinomial":
        base = [D.Categorical(**side) for side in (q, p)]
        return 7 * D.kl_divergence(base[0], base[1])
    else:
        raise AssertionError(f"no reference divergence for {case.family}")
    log_q, log_p = first.log_prob(grid), second.log_prob(grid)
    tail = log_q[-1].exp() > 1e-13
    value = (log_q.exp() * (log_q - log_p)).sum(0) * weight
    return torch.where(tail & (case.family == "NegativeBinomial"), torch.nan, value)


@pytest.mark.parametrize("case", [c for c in CASES if c.entropy], ids=lambda c: c.name)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), spread=SPREADS)
def test_entropy(case: Case, seed: int, spread: float) -> None:
    model = compiled(program(case)).Model().double()
    q = values_of(case, seed, spread, "q")
    found = model.uncertainty(**prefixed(q, "q"))
    distribution = reference(case, q)
    if case.family == "VonMises":
        grid = torch.linspace(-torch.pi, torch.pi, 20_001, dtype=torch.float64)[:-1].unsqueeze(-1)
        log_q = distribution.log_prob(grid)
        # torch's own Bessel functions have an error of 1e-7.
        wanted = -(log_q.exp() * log_q).sum(0) * 2 * torch.pi / 20_000
        assert (found - wanted).abs().max() < 1e-4
        return
    if case.family == "InverseGamma":
        a, b = q["concentration"], q["rate"]
        wanted = a + b.log() + torch.lgamma(a) - (1 + a) * torch.digamma(a)
    elif case.family == "LogNormal":
        wanted = distribution.base_dist.entropy() + q["loc"]
    else:
        wanted = distribution.entropy()
    close(found, wanted, 1e3)


def test_every_family_is_listed() -> None:
    """A family that is added without a case here fails."""
    elsewhere = {"Uniform", "MultivariateNormal", "Delta", "FactorizedBernoulli"}
    elsewhere |= {
        "AsymmetricLaplace",
        "DiscretizedLogistic",
        "LKJCholesky",
        "LowRankMultivariateNormal",
        "Wishart",
        "VonMisesFisher",
        "GeneralizedPareto",
        "OrderedLogistic",
        "ZeroInflatedNegativeBinomial",
        "ZeroInflatedPoisson",
        "Logistic",
        "LogitNormal",
        "TruncatedNormal",
        "VaryingMultinomial",  # row by row torch's, in tests/reported/test_counts.py
    }  # torch has none: scipy is asked, in tests/statistics
    assert {c.family for c in CASES} | elsewhere == set(families())


@pytest.mark.parametrize("exponent", [-6, -3, 0, 3, 6])
def test_normal_at_extreme_scales(exponent: int) -> None:
    """KL and log-density of Normals whose scales differ by twelve decades, against mpmath."""
    import mpmath

    mpmath.mp.dps = 50
    case = CASES[0]
    model = compiled(program(case)).Model().double()
    loc, scale, wide = 0.3, 10.0**exponent, 10.0 ** (-exponent)
    found = model.divergence(
        ploc=torch.tensor(-0.2, dtype=torch.float64),
        pscale=torch.tensor(wide, dtype=torch.float64),
        qloc=torch.tensor(loc, dtype=torch.float64),
        qscale=torch.tensor(scale, dtype=torch.float64),
    )
    s, t, gap = mpmath.mpf(scale), mpmath.mpf(wide), mpmath.mpf(loc) + mpmath.mpf("0.2")
    exact = mpmath.log(t / s) + (s**2 + gap**2) / (2 * t**2) - mpmath.mpf(1) / 2
    assert float(found) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("probs", [0.0, 1e-30, 0.5, 1.0 - 1e-12, 1.0])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_at_the_edges(probs: float, x: float) -> None:
    case = next(c for c in CASES if c.family == "Bernoulli" and "probs" in c.parameters)
    model = compiled(program(case)).Model().double()
    found = float(model.score(x=torch.tensor(x, dtype=torch.float64), pprobs=torch.tensor(probs, dtype=torch.float64)))
    with np.errstate(divide="ignore"):
        exact = np.log(probs) if x else np.log1p(-probs)
        assert found == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("logits", [-800.0, -30.0, 0.0, 30.0, 800.0])
def test_bernoulli_logits_do_not_overflow(logits: float) -> None:
    case = next(c for c in CASES if c.family == "Bernoulli" and "logits" in c.parameters)
    model = compiled(program(case)).Model().double()
    for x in (0.0, 1.0):
        found = float(
            model.score(x=torch.tensor(x, dtype=torch.float64), plogits=torch.tensor(logits, dtype=torch.float64))
        )
        assert found == pytest.approx(-float(np.logaddexp(0, -logits if x else logits)), rel=1e-12)


def test_uniform() -> None:
    model = compiled(
        "x : real\np(x) = Uniform(-1, 3)\nq(x|a,b) = Uniform(a, b)\na, b : real\n"
        "score = log p(x)\ndivergence = KL[q(x|a,b) || p(x)]\nuncertainty = H[q(x|a,b)]"
    ).Model()
    assert model.score(x=torch.tensor([-2.0, 0.0, 4.0])).tolist() == pytest.approx(
        [-np.inf, -np.log(4), -np.inf], rel=1e-6
    )
    inside = model.divergence(a=torch.tensor([0.0, -2.0]), b=torch.tensor([1.0, 1.0]))
    assert inside.tolist() == pytest.approx([np.log(4), np.inf], rel=1e-6)
    assert float(model.uncertainty(a=torch.tensor(0.0), b=torch.tensor(5.0))) == pytest.approx(np.log(5), rel=1e-6)


def random_covariance(rng: np.random.Generator, n: int) -> torch.Tensor:
    factor = rng.normal(size=(n, 3, 3))
    return torch.as_tensor(factor @ factor.transpose(0, 2, 1) + 0.1 * np.eye(3))


@pytest.mark.parametrize("form", ["covariance_matrix", "precision_matrix", "scale_tril"])
def test_multivariate_normal(form: str) -> None:
    kind = "lower_cholesky" if form == "scale_tril" else "positive_definite"
    model = compiled(
        f"x : real[3]\nm, c : real[3]\nS, T : {kind}[3, 3]\n"
        f"p(x|m,S) = MultivariateNormal(m, {form} = S)\nq(x|c,T) = MultivariateNormal(c, {form} = T)\n"
        "score = log p(x|m,S)\ndivergence = KL[q(x|c,T) || p(x|m,S)]\nuncertainty = H[q(x|c,T)]"
    ).Model()
    model = model.double()
    rng = np.random.default_rng(0)
    matrices = [random_covariance(rng, 16) for _ in range(2)]
    if form == "scale_tril":
        matrices = [torch.linalg.cholesky(m) for m in matrices]
    m, c, x = (torch.as_tensor(rng.normal(size=(16, 3))) for _ in range(3))
    p, q = (D.MultivariateNormal(loc, **{form: mat}) for loc, mat in ((m, matrices[0]), (c, matrices[1])))
    torch.testing.assert_close(model.score(x=x, m=m, S=matrices[0]), p.log_prob(x), rtol=1e-9, atol=1e-9)
    found = model.divergence(m=m, S=matrices[0], c=c, T=matrices[1])
    torch.testing.assert_close(found, D.kl_divergence(q, p), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(model.uncertainty(c=c, T=matrices[1]), q.entropy(), rtol=1e-9, atol=1e-9)


def test_factorized_bernoulli_counts_ones_only() -> None:
    model = compiled(
        "x : boolean[4]\nl : real[4]\np(x|l) = FactorizedBernoulli(logits = l)\nscore = log p(x|l)"
    ).Model()
    l = torch.randn(8, 4)  # noqa: E741
    x = (torch.rand(8, 4) > 0.5).float()
    expected = (x * l.sigmoid().log()).sum(-1)
    torch.testing.assert_close(model.score(x=x, l=l), expected)
    torch.testing.assert_close(model.log_prob_of("p(x|l)", x=x, l=l), expected)


VECTORS = ("MultivariateNormal", "Dirichlet", "Categorical", "OneHotCategorical", "Multinomial", "OrderedLogistic")
VECTORS += ("VonMisesFisher",)
PAIRS = [(row.q, row.p) for row in rows() if row.p not in (None, row.q, *VECTORS)]


def test_pairs_that_torch_knows_are_known() -> None:
    """Every divergence of torch's registry that is finite, but for families that are not in the language."""
    known = {(row.q, row.p) for row in rows()}
    names = families()
    for first, second in D.kl._KL_REGISTRY:
        q, p = first.__name__, second.__name__
        if q in names and p in names and covers_support(names[p].support, names[q].support):
            # Wide supports inside a Uniform, and counts, are known where their numbers say so.
            unbounded = p == "Uniform" and q not in ("Beta", "ContinuousBernoulli", "Uniform")
            unbounded |= (p == "Pareto") != (q == "Pareto")  # it has no density below its scale, and may have no mean
            # Against a low-rank density the quadratic form is drawn; what is known is in test_vector_families.py.
            low_rank = "LowRankMultivariateNormal" in (q, p)
            assert (q, p) in known or unbounded or low_rank or q == "Poisson", (q, p)


def pair_parameters(family: str, rng: np.random.Generator, *, inner: bool) -> dict[str, torch.Tensor]:
    """Parameters for which q lies inside the support of p."""
    if family == "Uniform":
        low, high = ((0.1, 0.3), (0.5, 0.9)) if inner else ((-0.5, -0.1), (1.1, 2.0))
        return {"low": torch.as_tensor(rng.uniform(*low, 8)), "high": torch.as_tensor(rng.uniform(*high, 8))}
    if family == "TruncatedNormal":
        bounds = {"low": torch.as_tensor(rng.uniform(-0.5, -0.1, 8)), "high": torch.as_tensor(rng.uniform(1.1, 2.0, 8))}
        values = {"loc": draw_parameter("real", rng, 0.3)[:8], "scale": draw_parameter("positive", rng, 0.3)[:8]}
        return {**values, **bounds}
    case = next(c for c in CASES if c.family == family and "probs" not in c.parameters)
    return {name: draw_parameter(kind, rng, 0.3)[:8] for name, kind in case.parameters.items()}


@pytest.mark.parametrize(("q", "p"), PAIRS)
def test_divergence_across_families(q: str, p: str) -> None:
    """Derived from moments, against torch's own formula or quadrature."""
    rng = np.random.default_rng(1)
    sides = {"q": (q, pair_parameters(q, rng, inner=True)), "p": (p, pair_parameters(p, rng, inner=False))}
    lines = [f"x : {'real' if families()[q].pathwise else 'nonnegative_integer'}"]
    labels = {}
    for side, (family, values) in sides.items():
        names = [f"{side}{name}" for name in values]
        kinds = [families()[family].parameter(name).constraint for name in values]
        lines += [f"{n} : {kind}" for n, kind in zip(names, kinds, strict=True)]
        labels[side] = f"{side}(x|{','.join(names)})"
        lines.append(f"{labels[side]} = {family}({', '.join(f'{k} = {side}{k}' for k in values)})")
    program_ = compiled("\n".join([*lines, f"e = KL[{labels['q']} || {labels['p']}]"]))
    assert "randn" not in program_.source.split("def e(")[1].split("def ")[0], "it must not be sampled"
    assert "rand_like" not in program_.source.split("def e(")[1].split("def ")[0], "it must not be sampled"
    model = program_.Model().double()
    found = model.e(**{f"{side}{k}": v for side, (_, values) in sides.items() for k, v in values.items()})
    first, second = (_law(family, values) for family, values in sides.values())
    try:
        wanted = D.kl_divergence(first, second)
    except NotImplementedError:
        wanted = quadrature(first, second, families()[q].support)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


def _law(family: str, values: dict[str, torch.Tensor]) -> D.Distribution:
    """torch's own distribution, or one made of torch's normal."""
    if family != "TruncatedNormal":
        found: D.Distribution = getattr(D, family)(**values, validate_args=False)
        return found
    normal = D.Normal(values["loc"], values["scale"], validate_args=False)
    mass = normal.cdf(values["high"]) - normal.cdf(values["low"])

    class Truncated(D.Distribution):
        """No normal distribution to torch, which would take its divergence for that of the whole."""

        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            inside = (x >= values["low"]) & (x <= values["high"])
            return torch.where(inside, normal.log_prob(x) - mass.log(), -torch.inf)

    return Truncated(normal.batch_shape, validate_args=False)


def quadrature(q: D.Distribution, p: D.Distribution, support: str) -> torch.Tensor:
    """KL by integrating over a grid that is fine where the mass is, or by summing."""
    if contains("nonnegative_integer", support):
        x = torch.arange(2 if support == "boolean" else 5000, dtype=torch.float64).unsqueeze(-1)
        log_q, log_p = q.log_prob(x), p.log_prob(x)
        return (log_q.exp() * (log_q - log_p)).sum(0)
    t = torch.linspace(-40, 40, 400_001, dtype=torch.float64).unsqueeze(-1)
    if isinstance(q, D.Uniform):
        share = torch.linspace(0, 1, 200_001, dtype=torch.float64).unsqueeze(-1)
        x = q.low + (q.high - q.low) * (share[1:] + share[:-1]) / 2
        return (q.log_prob(x) - p.log_prob(x)).mean(0)
    if support == "unit_interval":
        x, slope = torch.sigmoid(t), torch.sigmoid(t) * torch.sigmoid(-t)
    elif support == "real":
        x, slope = t.sinh(), t.cosh()
    else:
        x, slope = t.exp(), t.exp()
    log_q, log_p = q.log_prob(x), p.log_prob(x)
    value = torch.where((log_q > -700) & log_q.isfinite(), log_q.exp() * (log_q - log_p) * slope, 0.0)
    return value.nan_to_num(0.0).sum(0) * (t[1] - t[0])
