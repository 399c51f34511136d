"""Variables of one objective that are drawn once, read in several places, and asked of nobody."""

import inspect

import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled

THROUGH_A_DETERMINISTIC_VARIABLE = """
x : real[3]
a, b : real[2]
net f = Linear(4)
net g = Linear(2)
net k = Linear(3)
net m = Linear(2)
h = f(a)
p(a) = Normal(0, 1)
p(b) = Normal(0, 1)
p(x|a,b) = Normal(k(cat(a, b)), 1)
q(a|x) = Normal(g(x), 1)
q(b|h) = Normal(m(h), 1)
elbo = E_{q(a|x) q(b|h)}[log p(x|a,b) p(a) p(b) - log q(a|x) q(b|h)]
"""
POSTERIOR_OF_A_CATEGORY = """
x : boolean[8]
k : category[5]
net dec(k) = one_hot(k) >> Linear(8)
param l : real[5] = normal(1)
p(k) = Categorical(logits = l)
p(x|k) = Bernoulli(logits = dec(k))
p(x) = sum_k p(x|k) p(k)
p(k|x) = p(x|k) p(k) / p(x)
a = log p(x)
b = E_{p(k|x)}[log p(k|x)]
total = a + b
"""
TWO_SIDES = """
x : real[4]
z : real[2]
net e = Linear(2)
net g = Linear(4)
p(z) = Normal(0, 1)
p(x|z) = Normal(g(z), 1)
q(z|x) = Normal(e(x), 0.5)
q(z) = ∫ q(z|x) data(x) dx
"""


def _arguments(program: pgc.Program, objective: str) -> list[str]:
    return list(inspect.signature(getattr(program.Model(), objective)).parameters)


def test_a_latent_behind_a_deterministic_variable_is_drawn_and_not_asked_for() -> None:
    program = compiled(THROUGH_A_DETERMINISTIC_VARIABLE)
    assert _arguments(program, "elbo") == ["x"]
    torch.manual_seed(0)
    model = program.Model().double()
    x = torch.randn(3, dtype=torch.float64)
    with torch.no_grad():
        found = model.elbo(x=x.expand(20_000, 3))
        loc = model.g(x)
        a = loc + torch.randn(20_000, 2, dtype=torch.float64)
        b = model.m(model.f(a)) + torch.randn(20_000, 2, dtype=torch.float64)
        prior = D.Normal(torch.zeros(2, dtype=torch.float64), 1)
        expected = D.Normal(model.k(torch.cat([a, b], -1)), 1).log_prob(x).sum(-1)
        expected += prior.log_prob(a).sum(-1) + prior.log_prob(b).sum(-1)
        expected -= D.Normal(loc, 1).log_prob(a).sum(-1) + D.Normal(model.m(model.f(a)), 1).log_prob(b).sum(-1)
    deviation = float(((found.var() + expected.var()) / 20_000).sqrt())
    assert abs(float(found.mean() - expected.mean())) < 5 * deviation


def test_a_density_and_its_posterior_run_the_decoder_once() -> None:
    torch.manual_seed(1)
    model = compiled(POSTERIOR_OF_A_CATEGORY).Model().double()
    x = (torch.rand(6, 8) < 0.5).double()
    calls: list[int] = []
    handle = model.dec.register_forward_hook(lambda *_: calls.append(1))
    found = model.total(x=x)
    handle.remove()
    assert len(calls) == 1
    given = model.dec(torch.eye(5, dtype=torch.float64))
    joint = model.l.log_softmax(-1) + D.Bernoulli(logits=given).log_prob(x.unsqueeze(1)).sum(-1)
    evidence = joint.logsumexp(-1)
    posterior = joint - evidence.unsqueeze(-1)
    torch.testing.assert_close(found, evidence + (posterior.exp() * posterior).sum(-1))


def test_a_named_term_in_another_is_that_term() -> None:
    torch.manual_seed(2)
    model = compiled(POSTERIOR_OF_A_CATEGORY).Model().double()
    terms = model.terms(x=(torch.rand(6, 8) < 0.5).double())
    torch.testing.assert_close(terms["total"], terms["a"] + terms["b"])


def test_both_sides_of_a_distance_are_drawn() -> None:
    program = compiled(TWO_SIDES + "d = MMD[q(z) || p(z)]\nw = W[q(z|x) || p(z); samples = 3]\n")
    assert _arguments(program, "d") == _arguments(program, "w") == ["x"]
    assert [str(check) for check in program.verify() if not check.passed] == []


def test_each_draw_is_paired_with_one_of_the_other_side() -> None:
    """With both sides certain, the mean distance of paired draws is the distance of the two points."""
    text = "z : real[2]\nparam m : real[2] = [3, 4]\nq(z) = Normal(m, 1e-9)\np(z) = Normal(0, 1e-9)\n"
    model = compiled(text + "w = W[q(z) || p(z); samples = 7]").Model().double()
    torch.testing.assert_close(model.w(), torch.tensor(5.0, dtype=torch.float64), atol=1e-6, rtol=0)
