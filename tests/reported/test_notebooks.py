"""Faults that forty programs after Pixyz's notebooks and their users' models found."""

import inspect
import math

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc

VAE = """
x : real[4]
z : real[2]
input beta : real
const gamma = 3
net e = Linear(2)
net d = Linear(4)
p(z) = Normal(0, 1)
q(z|x) = Normal(e(x), 0.5)
p(x|z) = Normal(d(z), 1)
kl = KL[q(z|x) || p(z)]
"""

LABELS = """
x : boolean[4]
y : category[3]
net cls = Linear(3)
net d = Linear(4)
p(x|y) = Bernoulli(logits = d(one_hot(y)))
q(y|x) = Categorical(logits = cls(x))
"""


def failures(program: pgc.Program, runs: int = 300) -> list[str]:
    return [str(check) for check in program.verify(runs=runs) if not check.passed]


def test_a_named_term_inside_an_enumerated_expectation() -> None:
    program = pgc.compile(f"{LABELS}\nL = -log p(x|y)\nU = E_{{q(y|x)}}[L]\nV = E_{{q(y|x)}}[2 * L + L^2]")
    assert failures(program) == []
    model = program.Model().double()
    x = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0]], dtype=torch.float64)
    states = torch.eye(3, dtype=torch.float64)
    log_p = D.Independent(D.Bernoulli(logits=model.d(states)[:, None]), 1).log_prob(x)
    expected = -(model.cls(x).softmax(-1).T * log_p).sum(0)
    torch.testing.assert_close(model.U(x=x), expected)


def test_a_named_term_with_draws_of_its_own() -> None:
    text = f"""{LABELS}
z : real[2]
net e = Linear(2)
net g = Linear(4)
r(z|x,y) = Normal(e(cat(x, one_hot(y))), 1)
p_2(x|z) = Bernoulli(logits = g(z))
L = -E_{{r(z|x,y)}}[log p_2(x|z)]
U = E_{{q(y|x)}}[L]
W = E_{{q(y|x); samples=3, grad=score}}[L]
"""
    assert failures(pgc.compile(text)) == []


def test_indices_are_numbers_of_the_precision_of_the_module() -> None:
    program = pgc.compile("""
k : category[5]
z : real[3]
p(k) = Categorical(probs = 1/5)
p(z|k) = Normal(cat(cos(k), sin(k), 0.1 * k / 3), 0.5)
l = log sum_k p(z|k) p(k)
m = log p(z|k)
""")
    assert failures(program) == []
    model = program.Model().double()
    z = torch.randn(6, 3, dtype=torch.float64)
    k = torch.arange(5, dtype=torch.float64)
    means = torch.stack([k.cos(), k.sin(), 0.1 * k / 3], -1)
    table = D.Independent(D.Normal(means, torch.tensor(0.5, dtype=torch.float64)), 1).log_prob(z[:, None])
    torch.testing.assert_close(model.l(z=z), table.logsumexp(-1) - math.log(5))
    assert model.m(z=z[:5], k=torch.arange(5)).dtype == torch.float64


def test_a_density_by_its_formula_alone_is_found_by_its_name() -> None:
    program = pgc.compile("x : real[2]\np(x) = LogDensity(-0.5 * sum(x^2))\nl = log p(x)")
    assert failures(program) == []
    x = torch.randn(3, 2)
    model = program.Model()
    torch.testing.assert_close(model.log_prob_of("p(x)", x=x), -0.5 * x.square().sum(-1))
    with pytest.raises(KeyError, match=r"p\(y\) is not one of p\(x\)"):
        model.log_prob_of("p(y)", x=x)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_of_formulas_says_nothing_about_weights(order: tuple[int, int]) -> None:
    lines = ["reg = sum(weight(f)^2)", "l = sum(abs(x - f(x)))"]
    program = pgc.compile(f"x : real[4]\nnet f = Linear(4)\n{lines[order[0]]}\n{lines[order[1]]}\nt = l + 0.01 reg")
    assert failures(program) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1/2 KL[q(z|x) || p(z)]", "0.5 * KL[q(z|x) || p(z)]"),
        ("1/2 sum(x^2)", "0.5 * sum(x^2)"),
        ("3/4 log p(z)", "0.75 * log p(z)"),
        ("beta/2 KL[q(z|x) || p(z)]", "0.5 * beta * KL[q(z|x) || p(z)]"),
        ("1/2 beta KL[q(z|x) || p(z)]", "0.5 * beta * KL[q(z|x) || p(z)]"),
        ("1/2 kl^2", "0.5 * kl^2"),
        ("1/2 kl - 1/4 beta", "0.5 * kl - 0.25 * beta"),
        ("1/2 E_{q(z|x)}[log p(x|z)]", "0.5 * E_{q(z|x)}[log p(x|z)]"),
        ("beta (log q(z|x) - log p(z))", "beta * (log q(z|x) - log p(z))"),
        ("gamma (log q(z|x) - log p(z)) + beta (2)", "gamma * (log q(z|x) - log p(z)) + 2 * beta"),
        ("E_{q(z|x)}[log p(x|z) - beta (log q(z|x) - log p(z))]", "E_{q(z|x)}[log p(x|z)] - beta * KL[q(z|x) || p(z)]"),
    ],
)
def test_numbers_weigh_what_stands_behind_them(written: str, meant: str) -> None:
    program = pgc.compile(f"{VAE}\na = {written}\nb = {meant}")
    assert failures(program) == []
    model = program.Model().double()
    names = ("x", "z", "beta")
    tensors = (torch.randn(3, 4).double(), torch.randn(3, 2).double(), torch.tensor(1.7).double())
    values = dict(zip(names, tensors, strict=True))
    found = []
    for method in (model.a, model.b):
        torch.manual_seed(0)
        found.append(method(**{n: values[n] for n in names if n in inspect.signature(method).parameters}))
    torch.testing.assert_close(*torch.broadcast_tensors(*found))


def test_a_quotient_by_a_multiple_of_a_name_stays_one() -> None:
    model = pgc.compile("x : real\nparam s : real = 3\nl = x / 2 s").Model()
    torch.testing.assert_close(model.l(x=torch.tensor([12.0])), torch.tensor([2.0]))


def test_halves_of_a_mixture() -> None:
    program = pgc.compile(f"{VAE}\nq_m(z|x) = 1/2 q(z|x) + 1/2 p(z)\nl = log q_m(z|x)")
    model = program.Model().double()
    x, z = torch.randn(3, 4).double(), torch.randn(3, 2).double()
    parts = [D.Independent(D.Normal(m, s), 1).log_prob(z) for m, s in ((model.e(x), 0.5), (torch.zeros_like(z), 1.0))]
    torch.testing.assert_close(model.l(x=x, z=z), torch.stack(parts).logsumexp(0) - math.log(2))


@pytest.mark.parametrize("family", ["Categorical", "OneHotCategorical"])
def test_one_probability_for_each_category(family: str) -> None:
    space = "category[4]" if family == "Categorical" else "one_hot[4]"
    program = pgc.compile(f"k : {space}\np(k) = {family}(probs = 0.25)\nl = log p(k)")
    assert failures(program) == []
    k = torch.tensor([1]) if family == "Categorical" else torch.eye(4)[1:2]
    torch.testing.assert_close(program.Model().l(k=k), torch.tensor([-math.log(4)]))
    assert [d.code for d in pgc.check(f"k : {space}\np(k) = {family}(probs = 0.3)\nl = log p(k)")] == ["PGC305"]


def test_a_net_in_braces() -> None:
    text = "x : real[2]\nparam m : real[2]\nnet disc = Linear(1)\np(x) = Normal(m, 1)\n"
    braces, bare = (pgc.compile(f"{text}l = {word}[p(x) || data(x)]") for word in ("JS_{disc}", "JS_disc"))
    assert braces.source == bare.source


def test_a_net_takes_sets_and_pictures_of_other_sizes() -> None:
    program = pgc.compile("""
x : real[1, 8, 8]
y : real[1, 12, 12]
s : real[6, 3]
t : real[3]
net f = Conv2d(4, 3) >> ReLU >> AdaptiveAvgPool2d(1) >> Flatten >> Linear(2)
net g = Linear(5) >> ReLU >> Linear(2)
net h = Linear(3) >> inner
net inner = Linear(4)
l = sum((f(x) - f(y))^2)
m = sum(g(s)) + 2 * sum(g(t)) + sum(h(s)) - sum(h(t)^2)
""")
    assert failures(program, 100) == []
    model = program.Model()
    x, y, s, t = torch.randn(2, 1, 8, 8), torch.randn(2, 1, 12, 12), torch.randn(2, 6, 3), torch.randn(2, 3)
    torch.testing.assert_close(model.l(x=x, y=y), (model.f(x) - model.f(y)).square().sum(-1))
    expected = model.g(s).sum((1, 2)) + 2 * model.g(t).sum(-1)
    expected = expected + model.inner(model.h(s)).sum((1, 2)) - model.inner(model.h(t)).square().sum(-1)
    torch.testing.assert_close(model.m(s=s, t=t), expected)


@pytest.mark.parametrize(
    "text",
    [
        "x : real[4]\ny : real[6]\nnet f = Linear(3)\nl = sum(f(x)) + sum(f(y))",
        "x : real[1,8,8]\ny : real[1,12,12]\nnet f = Conv2d(4, 3) >> Flatten >> Linear(3)\nl = sum(f(x)) + sum(f(y))",
    ],
)
def test_a_net_whose_weights_would_differ_is_refused(text: str) -> None:
    assert [d.code for d in pgc.check(text)] == ["PGC302"]


def test_a_detached_distribution_is_shown_as_it_is_written() -> None:
    text = "x : real\nz : real\nq(z|x) = Normal(x, 1)\np(x|z) = Normal(z, 1)\nl = E_{detach q(z|x)}[log p(x|z)]"
    program = pgc.compile(text)
    assert "l = E_{detach q(z|x)}[log p(x|z)]" in str(program)
