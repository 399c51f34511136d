"""Small faults that a trial of the compiler found, and their relatives."""

import itertools
import math

import pytest
import torch

import pgcompile as pgc
from pgcompile.diagnostics import CompileError

EXPERTS = """
x, y : real
z : real
q_1(z|x) = Normal(x, 1)
q_2(z|y) = Normal(y, 1)
q(z|x,y) ∝ q_1(z|x) q_2(z|y)
"""


def codes_of(text: str) -> list[str]:
    with pytest.raises(CompileError) as caught:
        pgc.compile(text)
    return [d.code for d in caught.value.diagnostics if d.code.startswith("PGC")]


@pytest.mark.parametrize("kind", ["MMD", "SW", "W"])
def test_an_index_has_no_distance(kind: str) -> None:
    head = "k : category[3]\nx : real[3]\nq(k|x) = Categorical(logits = x)\np(k) = Categorical(logits = 0)\n"
    assert codes_of(f"{head}o = {kind}[q(k|x) || p(k)]\n") == ["PGC408"]


def test_planar_without_a_direction_is_the_identity() -> None:
    model = pgc.compile("x : real[2]\nflow f = Planar\np(x) = Flow(Normal(0, 1), f)\no = log p(x)\n").Model()
    x = torch.randn(7, 2)
    with torch.no_grad():
        model.f.transforms[0].phi.zero_()
    torch.testing.assert_close(model.o(x=x), torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(-1))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8, 1e-20])
def test_the_slope_of_planar_is_that_of_its_map(scale: float) -> None:
    model = pgc.compile("x : real[2]\nflow f = Planar\np(x) = Flow(Normal(0, 1), f)\no = log p(x)\n").Model().double()
    flow = model.f.transforms[0]
    with torch.no_grad():
        flow.phi[:2] = scale * torch.tensor([0.6, -0.8])
        flow.phi[2:] = torch.tensor([0.3, 0.5, 0.1])
    x = torch.tensor([0.4, -0.2], dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda v: flow(v)[0], x)
    assert math.isclose(flow(x)[1].item(), torch.linalg.slogdet(slope)[1].item(), abs_tol=1e-9)


def test_a_posterior_that_simplifies_keeps_its_name() -> None:
    model = pgc.compile(
        "a, h : real\nk : category[2]\np(h) = Normal(0, 1)\np(a|h) = Normal(h, 1)\n"
        "p(k) = Categorical(probs = [0.25, 0.75])\n"
        "p(a) = ∫ p(a,h,k) dh dk\np(k|a) = (∫ p(a,h,k) dh) / p(a)\no = log p(k|a)\n"
    ).Model()
    k, a = torch.tensor([0, 1]), torch.randn(2)
    expected = torch.tensor([0.25, 0.75]).log()
    torch.testing.assert_close(model.log_prob_of("p(k|a)", a=a, k=k), expected)
    torch.testing.assert_close(model.factor("p(k|a)")(a).log_prob(k), expected)
    torch.testing.assert_close(model.o(k=k), expected)


def test_an_objective_that_does_not_depend_on_its_data_is_a_value_for_each_row() -> None:
    model = pgc.compile(
        "x : real[2]\nz : real[2]\nq(z|x) = Normal(x, 0.5)\nh = H[q(z|x)]\ng = 2 * h + 1\nmaximize g\n"
    ).Model()
    entropy = 2 * (0.5 + 0.5 * math.log(2 * math.pi) + math.log(0.5))
    x = torch.zeros(4, 3, 2)
    torch.testing.assert_close(model.h(x=x), torch.full((4, 3), entropy))
    torch.testing.assert_close(model.g(x=x), torch.full((4, 3), 2 * entropy + 1))
    assert all(value.shape == (4, 3) for value in model.terms(x=x).values())
    assert model.loss(x=x).shape == ()


@pytest.mark.parametrize("formula", ["MMD[q(z|x) || p(z)]", "SW[q(z|x) || p(z)]", "mean(log p(z|x))"])
def test_what_is_one_number_for_the_batch_stays_one(formula: str) -> None:
    head = "x, z : real[2]\nq(z|x) = Normal(x, 0.5)\np(z) = Normal(0, 1)\np(z|x) = Normal(x, 1)\n"
    model = pgc.compile(f"{head}h = {formula}\n").Model()
    given = {"x": torch.zeros(4, 2)} | ({"z": torch.zeros(4, 2)} if "mean" in formula else {})
    assert model.h(**given).shape == ()


def test_a_mask_of_something_unknown_is_refused() -> None:
    factor = pgc.compile(EXPERTS).Model().factor("q(z|x,y)")
    x, y = torch.zeros(2), torch.full((2,), 9.0)
    with pytest.raises(KeyError, match="Y is not one of x, y"):
        factor(x=x, y=y, present={"Y": torch.tensor([False, True])})
    seen = factor(x=x, y=y, present={"y": torch.tensor([0.0, 1.0])}).mean
    torch.testing.assert_close(seen, torch.tensor([0.0, 4.5]))


def test_a_named_marginal_stands_for_what_it_is_made_of() -> None:
    text = (
        "k : category[2]\nx : real\nparam m : real[2] = [1, -1]\nparam w : real = 0\np(k) = Categorical(logits = 0)\n"
        "p(x|k) = Normal(m[k], 1)\np(x) = sum_k p(x|k) p(k)\nl = log p(x) - w^2\nmaximize l wrt p(x)\n"
    )
    model = pgc.compile(text).Model()
    model.train_step(model.optimizers(), torch.tensor([3.0, -2.0]))
    assert model.w.item() == 0
    assert model.m.tolist() != [1, -1]


def test_a_line_that_would_train_nothing_is_refused() -> None:
    head = "x : real\nparam m : real = 0\nparam v : real = 0\np(x) = Normal(m, 1)\nq(x) = Normal(v, 1)\n"
    assert codes_of(f"{head}l = log p(x)\nh = log q(x)\nmaximize l wrt v\nmaximize h wrt m\n") == ["PGC410", "PGC410"]
    pgc.compile(f"{head}l = log p(x)\nh = log q(x) + l\nmaximize l wrt m\nmaximize h wrt m, v\n")


def test_one_hot_matrices_are_summed_over_every_value() -> None:
    model = pgc.compile(
        "o : one_hot[2,3]\nx : real[2]\nnet l = Linear(6) >> Unflatten((2, 3))\nnet g = Linear(2)\n"
        "q(o|x) = OneHotCategorical(logits = l(x))\np(o) = OneHotCategorical(probs = [0.2, 0.3, 0.5])\n"
        "p(x|o) = Normal(g(o)[0], 1)\ne = E_{q(o|x)}[exp(sum(o @ [1, 2, 3]))]\np(x) = sum_o p(x|o) p(o)\nf = log p(x)\n"
    ).Model()
    x = torch.randn(5, 2)
    probs = model.l(x).softmax(-1)
    expected, density = torch.zeros(5), torch.zeros(5)
    prior = torch.tensor([0.2, 0.3, 0.5])
    for i, j in itertools.product(range(3), repeat=2):
        o = torch.nn.functional.one_hot(torch.tensor([i, j]), 3).float()
        expected = expected + probs[:, 0, i] * probs[:, 1, j] * math.exp(i + 1 + j + 1)
        likelihood = torch.distributions.Normal(model.g(o)[0], 1).log_prob(x).sum(-1).exp()
        density = density + prior[i] * prior[j] * likelihood
    torch.testing.assert_close(model.e(x=x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.f(x=x), density.log(), rtol=1e-5, atol=1e-5)


def test_messages_name_a_cure_that_helps() -> None:
    with pytest.raises(CompileError) as caught:
        pgc.compile("z, w : real\na(z) = Normal(0, 1)\nb(w) = Normal(1, 1)\no = KL[a(z) || b(w)]")
    assert "b(w)[w -> z]" in str(caught.value)
    pgc.compile("z, w : real\na(z) = Normal(0, 1)\nb(w) = Normal(1, 1)\no = KL[a(z) || b(w)[w -> z]]")
    with pytest.raises(CompileError) as caught:
        pgc.compile("x : real\nparam s : nonnegative = 0\np(x) = Normal(s, 1)\no = log p(x)")
    assert "at infinity" in str(caught.value)
    assert "0.01" in str(caught.value)


def test_distances_of_a_mixture_in_one_sum() -> None:
    text = """
z : real[3]
c : category[3]
param m : real[3, 3]
param v : real[3]
p(c) = Categorical(probs = [0.2, 0.3, 0.5])
p(z|c) = Normal(m[c], 1)
p(z) = sum_c p(z|c) p(c)
q(z) = Normal(v, 0.1)
l = W[q(z) || p(z)] + SW[q(z) || p(z)] + MMD[p(z) || q(z); samples=16]
minimize l
"""
    program = pgc.compile(text)
    assert [check for check in program.verify(runs=100) if not check.passed] == []
