"""Every gradient estimator against exact gradients, by enumeration or integrals written here."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
import torch.distributions as D
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

COPIES = 4000
GROUPS = 20
BOUND = 5.0  # standard errors; each test looks at the worst of a few dozen numbers
DISCRETE = """
x : real[2]
b : boolean[3]
net enc = Linear(3)
net dec = Linear(2)
p(b) = Bernoulli(0.3)
p(x|b) = Normal(dec(b), 0.5)
q(b|x) = Bernoulli(logits = enc(x))
"""
CATEGORY = """
x : real[2]
k : category[5]
param m : real[5, 2] = normal(1)
net enc = Linear(5)
p(k) = Categorical([0.1, 0.2, 0.3, 0.2, 0.2])
p(x|k) = Normal(m[k], 0.5)
q(k|x) = Categorical(logits = enc(x))
"""


def _bits() -> Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)), dtype=torch.float64)


def _exact_discrete(model: torch.nn.Module, x: Tensor) -> Tensor:
    """The ELBO as a sum over all states."""
    b = _bits()
    log_q = D.Bernoulli(logits=model.enc(x)).log_prob(b).sum(-1)
    log_p = D.Bernoulli(torch.tensor(0.3, dtype=torch.float64)).log_prob(b).sum(-1)
    log_x = D.Normal(model.dec(b), 0.5).log_prob(x).sum(-1)
    return (log_q.exp() * (log_x + log_p - log_q)).sum()


def _exact_category(model: torch.nn.Module, x: Tensor) -> Tensor:
    log_q = model.enc(x).log_softmax(-1)
    log_p = torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2], dtype=torch.float64).log()
    log_x = D.Normal(model.m, 0.5).log_prob(x).sum(-1)
    return (log_q.exp() * (log_x + log_p - log_q)).sum()


def _gradients(value: Tensor, model: torch.nn.Module) -> Tensor:
    named = [p for n, p in model.named_parameters() if not n.startswith("base")]
    found = torch.autograd.grad(value, named, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in zip(found, named, strict=True)])


def _agrees(text: str, exact: Callable[[torch.nn.Module, Tensor], Tensor], *, certain: bool = False) -> None:
    torch.manual_seed(0)
    model = compiled(text).Model().double()
    x = torch.tensor([0.4, -1.1], dtype=torch.float64)
    expected = _gradients(exact(model, x), model)
    if certain:
        torch.testing.assert_close(model.e(x=x), exact(model, x))
        torch.testing.assert_close(_gradients(model.e(x=x), model), expected)
        return
    groups = torch.stack([_gradients(model.e(x=x.expand(COPIES, 2)).mean(), model) for _ in range(GROUPS)])
    error = groups.std(0) / math.sqrt(GROUPS)
    assert ((groups.mean(0) - expected).abs() <= BOUND * error + 1e-9).all()
    assert expected.abs().max() > 0.1, "the test must be able to fail"


@pytest.mark.parametrize("form", ["ELBO[p || q{}]", "E_{{q(b|x){}}}[log p(x,b) - log q(b|x)]"])
@pytest.mark.parametrize("options", ["", "; grad=enumerate"])
def test_enumeration_is_exact(form: str, options: str) -> None:
    _agrees(DISCRETE + "e = " + form.format(options), _exact_discrete, certain=True)


@pytest.mark.parametrize(
    "options",
    [
        "samples=2",
        "samples=5",
        "grad=score, samples=3",
        "samples=1",
        "samples=1, baseline=2",
        "samples=2, baseline=base(x)[0]",
        "baseline=base(x)[0]",
    ],
)
def test_score_functions_are_unbiased(options: str) -> None:
    base = "net base = Linear(1)\n" if "base(" in options else ""
    text = DISCRETE + base + f"e = E_{{q(b|x); {options}}}[log p(x,b) - log q(b|x)]\nmaximize e"
    _agrees(text, _exact_discrete)


@pytest.mark.parametrize("options", ["; samples=2", "; samples=3, grad=score"])
def test_score_functions_of_categories(options: str) -> None:
    _agrees(CATEGORY + f"e = ELBO[p || q{options}]", _exact_category)


def test_categories_are_enumerated() -> None:
    _agrees(CATEGORY + "e = ELBO[p || q]", _exact_category, certain=True)


def test_one_hot_vectors_are_enumerated() -> None:
    text = CATEGORY.replace("k : category[5]", "k : one_hot[5]").replace("Categorical", "OneHotCategorical")
    _agrees(text.replace("m[k]", "k @ m") + "e = ELBO[p || q]", _exact_category, certain=True)


def _exact_mixed(model: torch.nn.Module, x: Tensor) -> Tensor:
    """q(k) enumerated, E over z|k of -(z - x)^2 in closed form: -(m_k - x)^2 - s_k^2."""
    probs = model.enc(x).softmax(-1)
    return (probs * -((model.m - x).square() + model.s.exp().square()).sum(-1)).sum()


@pytest.mark.parametrize("options", ["", "; samples=3", "; samples=2, grad=score"])
def test_pathwise_draws_below_discrete_ones(options: str) -> None:
    """z is drawn for every value of k, or for every draw of it."""
    text = """
x, z : real[2]
k : category[3]
param m : real[3, 2] = normal(1)
param s : real[3, 2] = normal(0.3)
net enc = Linear(3)
q(k|x) = Categorical(logits = enc(x))
q(z|k) = Normal(m[k], exp(s[k]))
"""
    _agrees(text + f"e = E_{{q(k|x) q(z|k){options}}}[-sum(square(z - x))]", _exact_mixed)


def test_discrete_draws_below_pathwise_ones() -> None:
    """z is pathwise, and reaches the objective through the probabilities of k only."""
    text = """
x, z : real[2]
k : category[2]
param m : real[2] = normal(1)
q(z|x) = Normal(m + x, 1)
q(k|z) = Categorical(logits = z)
buffer reward : real[2] = [1, 4]
"""

    def exact(model: torch.nn.Module, x: Tensor) -> Tensor:
        # z_2 - z_1 is Normal(m_2 + x_2 - m_1 - x_1, sqrt 2): the mean of a sigmoid, by quadrature.
        d = torch.linspace(-14, 14, 4001, dtype=torch.float64)
        loc = (model.m + x)[1] - (model.m + x)[0]
        weight = D.Normal(0.0, math.sqrt(2.0)).log_prob(d).exp() * (d[1] - d[0])
        return 1 + 3 * (weight * torch.sigmoid(d + loc)).sum()

    _agrees(text + "e = E_{q(z|x) q(k|z)}[reward[k]]", exact)
    _agrees(text + "e = E_{q(z|x) q(k|z); samples=2}[reward[k]]", exact)


def _exact_normal(model: torch.nn.Module, x: Tensor) -> Tensor:
    """E of -(z - x)^4 under Normal(a, b): -(d^4 + 6 d^2 b^2 + 3 b^4), d = a - x."""
    d, b = model.a - x, model.b.exp()
    return -(d**4 + 6 * d.square() * b.square() + 3 * b**4).sum()


@pytest.mark.parametrize("options", ["", "; grad=score, samples=4", "; grad=score, samples=1", "; grad=stl"])
def test_a_score_function_of_a_pathwise_family_counts_the_gradient_once(options: str) -> None:
    text = """
x, z : real[2]
param a : real[2] = normal(0.3)
param b : real[2] = normal(0.3)
q(z|x) = Normal(a, exp(b))
"""
    _agrees(text + f"e = E_{{q(z|x){options}}}[-sum((z - x)^4)]", _exact_normal)


def test_a_score_function_of_counts() -> None:
    """Poisson, whose values are infinitely many: d/d rate E[n^2] = 2 rate + 1."""
    text = "x : real[2]\nn : nonnegative_integer\nparam r : positive = 2\nq(n|x) = Poisson(r + 0 * x[0])\n"

    def exact(model: torch.nn.Module, x: Tensor) -> Tensor:
        rate = torch.nn.functional.softplus(model.free_r)
        return rate.square() + rate

    _agrees(text + "e = E_{q(n|x)}[n^2]", exact)


def test_sticking_the_landing_has_no_variance_at_the_optimum() -> None:
    """q is the posterior: every single gradient of the bound is zero (Roeder et al. 2017)."""
    text = """
x, z : real[2]
param a : real = 0.5
param b : real = -0.34657359027997264
p(z) = Normal(0, 1)
p(x|z) = Normal(z, 1)
q(z|x) = Normal(a * x, exp(b))
e = ELBO[p || q{}]
"""
    x = torch.randn(7, 2)
    for options, size in (("; grad=stl", 0.0), ("; grad=pathwise", None)):
        model = compiled(text.replace("{}", options)).Model()
        gradients = _gradients(model.e(x=x).sum(), model)
        assert (gradients.abs().max() < 1e-4) == (size == 0.0)


def test_a_baseline_learns_what_it_stands_for() -> None:
    text = DISCRETE + "param base : real = 0\ne = E_{q(b|x); samples=1, baseline=base}[log p(x|b)]\n"
    for line, sign in (("maximize e", 1), ("l = -e\nminimize l", -1), ("minimize e", 1)):
        torch.manual_seed(0)
        model = compiled(text + line).Model()
        optimiser = torch.optim.SGD([model.base], lr=0.05)
        x = torch.randn(1, 2).expand(500, 2)
        for _ in range(200):
            optimiser.zero_grad()
            model.loss(x=x).backward()
            optimiser.step()
        with torch.no_grad():
            cost = model.e(x=x).mean()
        assert (model.base - sign * cost).abs() < 0.2, line


@pytest.mark.parametrize("relax", ["gumbel", "gumbel(temperature=0.3)", "straight_through"])
@pytest.mark.parametrize(
    "text",
    [
        DISCRETE,
        DISCRETE.replace("boolean", "one_hot")
        .replace("Bernoulli(0.3)", "OneHotCategorical([1, 1, 1])")
        .replace("Bernoulli", "OneHotCategorical"),
    ],
)
def test_relaxed_draws_are_those_of_the_reference(text: str, relax: str) -> None:
    program = pgc.compile(text + f"e = E_{{q(b|x); relax={relax}, samples=2}}[log p(x|b)] - KL[q || p]\nmaximize e")
    assert all(check.passed for check in program.verify())
    if relax == "straight_through":
        model = program.Model()
        torch.manual_seed(0)
        assert "hard_" in program.source
        assert model.e(x=torch.zeros(2, 2)).isfinite().all()


def test_a_draw_with_nothing_learned_above_it_needs_no_score_function() -> None:
    text = DISCRETE + "e = E_{p(b); samples=3}[sum(dec(b))]\nmaximize e"
    assert "advantage" not in compiled(text).source


NONLINEAR = """
x : real[2]
k : category[3]
net enc = Linear(3)
param w : real[3] = [0.2, 1, 3]
q(k|x) = Categorical(logits = enc(x))
p(k) = Categorical([0.2, 0.3, 0.5])
"""
PRIOR = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("exp(E_{q(k|x); samples=2}[w[k]])", lambda w, q, i, j: ((w[i] + w[j]) / 2).exp()),
        ("log E_{q(k|x); samples=2}[exp(w[k])]", lambda w, q, i, j: ((w[i].exp() + w[j].exp()) / 2).log()),
        ("log E_{q(k|x); samples=2}[p(k) / q(k|x)]", lambda w, q, i, j: ((PRIOR / q)[i] + (PRIOR / q)[j]).log()),
        ("IWAE[p(k) || q(k|x); samples=2]", lambda w, q, i, j: ((PRIOR / q)[i] + (PRIOR / q)[j]).log()),
        ("square(E_{q(k|x); samples=2}[w[k]]) - 3", lambda w, q, i, j: ((w[i] + w[j]) / 2) ** 2),
        ("square(E_{q(k|x); samples=2, baseline=1}[w[k]])", lambda w, q, i, j: ((w[i] + w[j]) / 2) ** 2),
        ("abs(E_{q(k|x); samples=2}[w[k]] - 1)", lambda w, q, i, j: ((w[i] + w[j]) / 2 - 1).abs()),
        ("E_{q(k|x); samples=2}[w[k]]^2", lambda w, q, i, j: w[i] * w[j]),
        ("named * named", lambda w, q, i, j: w[i] * w[j]),
        ("exp(named)", lambda w, q, i, j: ((w[i] + w[j]) / 2).exp()),
        ("-E_{q(k|x); samples=2}[w[k]] / E_{q(k|x); samples=1, baseline=0}[w[k]]", lambda w, q, i, j: -w[i] / w[j]),
    ],
)
def test_score_functions_inside_nonlinear_functions(formula: str, value) -> None:  # type: ignore[no-untyped-def]
    """The gradient is that of the mean of what is computed, over all pairs of draws."""

    def exact(model: torch.nn.Module, x: Tensor) -> Tensor:
        q = model.enc(x).softmax(-1)
        w = getattr(model, "w", torch.zeros(3))
        return sum(q[i] * q[j] * value(w, q, i, j) for i in range(3) for j in range(3))

    text = NONLINEAR + "named = E_{q(k|x); samples=2}[w[k]]\n" * ("named" in formula) + f"e = {formula}"
    _agrees(text, exact)


def test_a_learned_baseline_of_a_bound_is_fitted_to_the_bound() -> None:
    text = DISCRETE + "param base : real = 0\ne = IWAE[p || q; samples=4, baseline=base]\nmaximize e"
    torch.manual_seed(0)
    model = compiled(text).Model()
    optimiser = torch.optim.SGD([model.base], lr=0.1)
    x = torch.randn(1, 2).expand(500, 2)
    for _ in range(200):
        optimiser.zero_grad()
        model.loss(x=x).backward()
        optimiser.step()
    with torch.no_grad():
        assert (model.base - model.e(x=x).mean()).abs() < 0.2


def test_the_logarithm_of_a_ratio_underflows_nowhere() -> None:
    text = "x : boolean[784]\nz : real[64]\nnet d = Linear(784)\nnet e = Linear(64)\np(z) = Normal(0, 1)\n"
    text += "p(x|z) = Bernoulli(logits = d(z))\nq(z|x) = Normal(e(x), 1)\n"
    text += "b = log E_{q; samples=5}[p(x,z) / q(z|x)]\nc = log E_{q; samples=5}[p(x|z) p(z) / q(z|x)]"
    model = compiled(text).Model()
    for value in (model.b(x=torch.ones(2, 784)), model.c(x=torch.ones(2, 784))):
        assert value.isfinite().all()


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("E_{q(b|x); baseline=w}[sum(b) * w]", "PGC408"),
        ("IWAE[p || q; samples=5, grad=enumerate]", "PGC408"),
        ("ELBO[p || q; grad=dreg]", "PGC408"),
        ("E_{q(b|x); samples=5, samples=6}[sum(b)]", "PGC313"),
        ("E_{q(b|x); grad=enumerate, samples=4}[sum(b)]", "PGC409"),
        ("E_{q(b|x); grad=score, relax=gumbel}[sum(b)]", "PGC409"),
        ("E_{r(z|x); grad=enumerate}[sum(z)]", "PGC409"),
        ("E_{r(z|x); relax=gumbel}[sum(z)]", "PGC409"),
        ("E_{r(z|x); baseline=1}[sum(z)]", "PGC409"),
        ("MMD[r(z|x) || r(z); samples=4]", "PGC408"),
        ("TC[r(z)]", "PGC405"),
        ("MMD[r(z|x) || r(z); bandwidth=4]", "PGC106"),
        ("E_{q(b|x); samples=2, baseline=net_b(x)}[sum(b)]", "PGC408"),
    ],
)
def test_options_that_cannot_have_an_effect_are_errors(formula: str, code: str) -> None:
    text = DISCRETE + "z : real[3]\nparam w : real = 1\nr(z|x) = Normal(enc(x), 1)\nr(z) = Normal(0, 1)\n"
    text += f"net net_b = Linear(2)\ne = {formula}"
    assert [d.code for d in pgc.check(text) if d.code.startswith("PGC")] == [code]
