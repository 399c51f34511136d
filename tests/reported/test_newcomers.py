"""What newcomers wrote, and stumbled over."""

import pytest
import torch

import pgcompile as pgc
from tests.conftest import compiled

HEAD = "x : real[4]\ny : real\nz : real[4]\nnet f = Linear(2)\nnet g = Linear(12)\n"
ADVICE = {
    "a slice": (
        HEAD + "p(y|x) = Normal(h[0:1], 1) where h = f(x)",
        "PGC006",
        "cut a vector in equal parts by `(a, b) = f(x)`, or give each part a net of its own",
    ),
    "a part that is a vector of one": (
        HEAD + "p(y|x) = Normal(exp(a), 1) where (a, b) = f(x)",
        "PGC305",
        "`exp(a)[0]`",
    ),
    "a sum that is a vector of one": (
        HEAD + "net k = Linear(1)\np(y|x) = Normal(k(x) + 1, 1)",
        "PGC305",
        "write `(k(x) + 1)[0]`",
    ),
    "a net that ends in one": (HEAD + "net k = Linear(1)\np(y|x) = Normal(k(x), 1)", "PGC305", "write `k(x)[0]`"),
    "a choice between terms": (
        HEAD + "p(y|x) = Normal(f(x)[0], 1)\no = where(less_equal(y, 0), log cdf(p(y|x)), log p(y|x))",
        "PGC103",
        "multiply: `less_equal(y, 0) * (...)",
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_the_advice(name: str) -> None:
    text, code, advice = ADVICE[name]
    assert any(d.code == code and advice in (d.help or "") for d in pgc.check(text)), pgc.check(text)


def test_the_variable_of_a_flow_is_shown_where_it_is_declared() -> None:
    text = (
        HEAD
        + "flow h(c) = InverseAutoregressive\nq(z|x) = Flow(Normal(m, 1), h(k)) where (m, k) = g(x)\no = log q(z|x)"
    )
    (found,) = (d for d in pgc.check(text) if d.code == "PGC305")
    assert [text[span.start : span.end] for span, _ in found.related] == ["z"]


@pytest.mark.parametrize(
    "factor",
    [
        "x : real\np(x|y) = Normal(y, 1)",
        "x : real[3]\np(x|y) = Laplace(y, 2)",
        "x : nonnegative_integer\np(x|y) = Poisson(y)",
    ],
)
def test_a_category_as_a_parameter_is_its_number(factor: str) -> None:
    """With the warning that its number has no size; torch draws nothing around integers."""
    text = f"y : category[4]\np(y) = Categorical(probs = [0.1, 0.2, 0.3, 0.4])\n{factor}\no = log p(x|y) + log p(y)"
    program = compiled(text)
    assert any(d.code == "W115" for d in pgc.check(text))
    drawn = program.Model().sample((20_000,))
    # E[y] = 2; the deviation of the mean of 20,000 draws of variance 1 + 8 at most is 0.03.
    assert drawn["x"].float().mean() == pytest.approx(2, abs=0.15)
    assert all(check.passed for check in program.verify(runs=200))


@pytest.mark.parametrize("seed", range(4))
def test_data_that_may_be_missing_are_left_as_they_are(seed: int) -> None:
    text = "x : real[3]\ny : category[4]\nnet f = Linear(4)\np(y|x) = Categorical(logits = f(x))\n"
    text += "o = observed(y) * log p(y|x)"
    assert all(check.passed for check in compiled(text).verify(runs=100, seed=seed))


def test_a_censored_likelihood() -> None:
    """Tobin (1958): the mass below the threshold, the density above it."""
    program = compiled(
        "x : real[3]\ny : real\nparam w : real[3]\np(y|x) = Normal(dot(w, x), 2)\n"
        "o = less_equal(y, 0) * log cdf(p(y|x)) + greater(y, 0) * log p(y|x)"
    )
    model, x, y = program.Model().double(), torch.randn(6, 3).double(), torch.randn(6).double().clamp(min=0)
    normal = torch.distributions.Normal(x @ model.w, 2.0)
    wanted = torch.where(y <= 0, normal.cdf(y).log(), normal.log_prob(y))
    torch.testing.assert_close(model.o(x=x, y=y), wanted)


CAPACITY = """
x : boolean[9]
z : real[3]
net m = Linear(3)
net s = Linear(3) >> Softplus
net d = Linear(9)
p(z) = Normal(0, 1)
p(x|z) = Bernoulli(logits = d(z))
q(z|x) = Normal(m(x), s(x))
o = E_q[log p(x|z)] - 4 * {}
maximize o
"""


@pytest.mark.parametrize("term", ["|KL[q(z|x) || p(z)] - 3|", "(KL[q(z|x) || p(z)] - 3)^2", "exp(-KL[q(z|x) || p(z)])"])
def test_a_capacity_is_verified_exactly(term: str) -> None:
    """Something nonlinear of a divergence: an average over draws has a bias, the integral has none."""
    found = compiled(CAPACITY.format(term)).verify(runs=200)
    assert [(c.what, c.deviation) for c in found if not c.passed] == []
    assert all(c.deviation < 1e-6 for c in found if c.what in ("o", "loss"))


def test_a_baseline_may_be_a_net_of_one_unit() -> None:
    text = (
        "x : boolean[6]\nz : boolean[3]\nnet l = Linear(3)\nnet d = Linear(6)\nnet b = Linear(4) >> ReLU >> Linear(1)\n"
        "p(z) = Bernoulli(0.5)\np(x|z) = Bernoulli(logits = d(z))\nq(z|x) = Bernoulli(logits = l(x))\n"
        "o = E_{q(z|x); samples = 2, grad = score, baseline = BASE}[log p(x|z)] - KL[q(z|x) || p(z)]\nmaximize o"
    )
    gradients = []
    for base in ("b(x)", "b(x)[0]"):
        program = compiled(text.replace("BASE", base))
        torch.manual_seed(0)
        model = program.Model()
        torch.manual_seed(1)
        model.loss(x=torch.ones(4, 6)).backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(check.passed for check in compiled(text.replace("BASE", "b(x)")).verify(runs=300))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_the_tail_of_a_mixture_is_that_of_its_parts() -> None:
    text = """
t : positive
param a : simplex[2]
p_1(t) = Exponential(1)
p_2(t) = Weibull(2, 3)
p(t) = a[0] p_1(t) + a[1] p_2(t)
o = log survival(p(t))
c = cdf(p(t))
maximize o
"""
    program = pgc.compile(text)
    assert [str(check) for check in program.verify(runs=100) if not check.passed] == []
    model = program.Model().double()
    model.set("a", [0.25, 0.75])
    t = torch.tensor([0.5, 2.0, 4.0], dtype=torch.float64)
    survival = 0.25 * (-t).exp() + 0.75 * (-((t / 2) ** 3)).exp()
    torch.testing.assert_close(model.o(t=t), survival.log())
    torch.testing.assert_close(model.c(t=t), 1 - survival)


def test_a_deterministic_variable_may_be_scored_by_its_tail_alone() -> None:
    text = "lo, w, t : real\np(t) = Logistic(0, 1)\nu = lo + w\nr(u) = p(t)[t -> u]\no = log cdf(r(u))"
    model = pgc.compile(text).Model()
    lo, w = torch.randn(4), torch.randn(4)
    torch.testing.assert_close(model.o(lo=lo, w=w), torch.nn.functional.logsigmoid(lo + w))


def test_the_slope_of_a_density_has_a_name() -> None:
    text = (
        "x : real[4]\nparam m : real[4]\np(x) = Normal(m, 2)\nl = log p(x)\ns = grad(l, x)\no = dot(s, s)\nmaximize o"
    )
    program = pgc.compile(text)
    assert [str(check) for check in program.verify(runs=100) if not check.passed] == []
    model, x = program.Model(), torch.randn(5, 4)
    torch.testing.assert_close(model.o(x=x), ((x - model.m) / 4).square().sum(-1))
    assert set(program.analysis.objectives) == {"l", "o"}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("x, z : real\np(x|z) = Normal(z, 1)\nq(z|x) = Normal(x, 1)\no = ELBO[p || q]", "PGC405", "define `p(z) ="),
        ("x, z : real\np(x|z) = Normal(z, 1)\nq(z|x) = Normal(x, 1)\no = ELBO[q || p]", "PGC405", "the model first"),
        (
            "x : real\ny : boolean\np(x) = Normal(0, 1)\no = where(y, log p(x), 0)",
            "PGC103",
            "`y * (...) + (1 - y) * (...)`",
        ),
        (
            "k : category[2]\nt : positive\np(k) = Categorical(logits = 0)\np(t|k) = Exponential(1 + k)\n"
            "p(t) = sum_k p(t|k) p(k)\no = log survival(p(t))",
            "PGC210",
            "survival of each part",
        ),
    ],
)
def test_the_cure_is_that_of_the_fault(text: str, code: str, words: str) -> None:
    found = {d.code: d.help or "" for d in pgc.check(text)}
    assert words in found[code]


@pytest.mark.parametrize(
    "text",
    [
        "e : positive\np(e) = GeneralizedPareto(0, 1, 0.2)\no = log p(e)",
        "w : nonnegative_integer[4]\nn = sum(w)\np(w|n) = Multinomial(n, logits = [0, 1, 2, 3])\no = log p(w|n)",
        "x : unit_interval[6]\np(x) = Bernoulli(logits = [0, 1, 2, 3, 4, 5])\no = log p(x)",
    ],
)
def test_nothing_is_warned_of_that_cannot_happen(text: str) -> None:
    assert [d for d in pgc.check(text) if d.code.startswith(("W", "PGC")) and d.code != "W119"] == []


def test_a_mean_of_shares_are_shares() -> None:
    text = "t : simplex[3]\nparam b : simplex[3, 5]\nw : one_hot[5]\np(w|t) = OneHotCategorical(t @ b)\no = log p(w|t)"
    assert [d for d in pgc.check(f"{text}\nmaximize o") if d.code == "W102"] == []
    text = "t : simplex[3]\nparam b : unit_interval[3]\nw : boolean\np(w|t) = Bernoulli(t @ b)\no = log p(w|t)"
    assert [d for d in pgc.check(f"{text}\nmaximize o") if d.code == "W102"] == []
