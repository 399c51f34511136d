"""Hidden vectors whose entries are summed out one by one, against the sum over all their values."""

import itertools
import math

import pytest
import torch
from torch import Tensor, distributions

import pgcompile as pgc

NOISY = """
a, b : boolean[{n}]
p(b) = Bernoulli(0.5)
p(a|b) = Bernoulli(0.2 + 0.6 * b)
p(a) = sum_b p(a|b) p(b)
ll = log p(a)
"""


def vectors(values: list[float], length: int) -> list[Tensor]:
    return [torch.tensor(v, dtype=torch.float64) for v in itertools.product(values, repeat=length)]


def test_a_hundred_entries_take_two_sums_each() -> None:
    model = pgc.compile(NOISY.format(n=100)).Model()
    a = torch.randint(0, 2, (3, 100)).float()
    torch.testing.assert_close(model.ll(a=a), torch.full((3,), 100 * math.log(0.5)))
    assert "p(a)" in pgc.compile(NOISY.format(n=100)).source


def test_entries_agree_with_the_sum_over_all_values() -> None:
    model = pgc.compile(
        "a, b : boolean[4]\nc : real[4]\nx : real[3]\nnet f = Linear(4)\nparam w : real[4] = normal(1)\n"
        "p(b|x) = Bernoulli(logits = f(x))\np(a|b,x) = Bernoulli(logits = w * (2 * b - 1) + sum(x))\n"
        "p(c|b) = Normal(3 * b, exp(b - 1))\n"
        "p(a,c|x) = sum_b p(a|b,x) p(c|b) p(b|x)\nll = log p(a,c|x)\np(b|a,c,x) = p(a|b,x) p(c|b) p(b|x) / p(a,c|x)\n"
        "post = log p(b|a,c,x)\n"
    ).Model()
    model = model.double()
    x, a = torch.randn(5, 3, dtype=torch.float64), torch.randint(0, 2, (5, 4)).double()
    c = torch.randn(5, 4, dtype=torch.float64)
    terms = []
    for b in vectors([0.0, 1.0], 4):
        total = distributions.Bernoulli(logits=model.f(x)).log_prob(b.expand(5, 4)).sum(-1)
        logits = model.w * (2 * b - 1) + x.sum(-1, keepdim=True)
        total = total + distributions.Bernoulli(logits=logits).log_prob(a).sum(-1)
        terms.append(total + distributions.Normal(3 * b, (b - 1).exp()).log_prob(c).sum(-1))
    expected = torch.stack(terms).logsumexp(0)
    value = model.ll(x=x, a=a, c=c)
    torch.testing.assert_close(value, expected)
    b = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64).expand(5, 4)
    torch.testing.assert_close(model.post(a=a, b=b, c=c, x=x), terms[6] - expected)
    slope = torch.autograd.grad(value.sum(), model.w)[0]
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), model.w)[0])


def test_indices_look_up_their_rows() -> None:
    model = pgc.compile(
        "k : category[3][2]\nx : real[2]\nj : category[4][2]\nparam m : real[3] = normal(1)\n"
        "param t : real[3,4] = normal(1)\n"
        "param u : real[2,3] = normal(1)\n"
        "p(k) = Categorical(logits = u)\np(x|k) = Normal(m[k], 1)\np(j|k) = Categorical(logits = t[k])\n"
        "p(x,j) = sum_k p(x|k) p(j|k) p(k)\nll = log p(x,j)\n"
    ).Model()
    x, j = torch.randn(6, 2), torch.randint(0, 4, (6, 2))
    total = torch.zeros(6)
    for i in range(2):
        prior = model.u[i].log_softmax(-1)
        rows = distributions.Normal(model.m, 1).log_prob(x[:, i, None]) + model.t.log_softmax(-1)[:, j[:, i]].T
        total = total + (rows + prior).logsumexp(-1)
    torch.testing.assert_close(model.ll(x=x, j=j), total)


def test_a_chain_of_vectors_and_a_scalar_above_it() -> None:
    model = pgc.compile(
        "z : category[2]\na, b, c : boolean[3]\nparam w : real[2,3] = normal(1)\n"
        "p(z) = Categorical(probs = [0.3, 0.7])\n"
        "p(a|z) = Bernoulli(logits = w[z])\np(b|a) = Bernoulli(0.1 + 0.8 * a)\np(c|b) = Bernoulli(0.9 - 0.5 * b)\n"
        "p(c) = sum_{z, a, b} p(z) p(a|z) p(b|a) p(c|b)\nll = log p(c)\n"
    ).Model()
    c = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    total = []
    for z, weight in enumerate([0.3, 0.7]):
        one = model.w[z].sigmoid()
        b_one = 0.1 + 0.8 * one
        c_one = 0.9 - 0.5 * b_one
        total.append(math.log(weight) + (c * c_one.log() + (1 - c) * (1 - c_one).log()).sum(-1))
    torch.testing.assert_close(model.ll(c=c), torch.stack(total).logsumexp(0))
    assert math.isclose(model.ll(c=c).exp().sum().item(), 1, rel_tol=1e-5)


@pytest.mark.parametrize(
    "parameter", ["sum(b)", "w @ b", "b[0] + b", "cumsum(b)", "softmax(b)", "where(b > 0.5, sum(b), b)", "f(b)"]
)
def test_what_mixes_entries_is_summed_over_all_values(parameter: str) -> None:
    program = pgc.compile(
        "b : boolean[3]\nx : real[3]\nparam w : real[3,3] = normal(1)\nnet f = Linear(3)\np(b) = Bernoulli(0.3)\n"
        f"p(x|b) = Normal({parameter}, 1)\np(x) = sum_b p(x|b) p(b)\nll = log p(x)\n"
    )
    assert all(check.passed for check in program.verify(runs=200))
    assert "every_state(self._like, 2, (3,)" in program.source


@pytest.mark.parametrize("parameter", ["2 * b", "m", "h where h = exp(b) + w", "clamp(b, 0.1, 0.9) / (1 + b^2)"])
def test_what_keeps_entries_apart_agrees_with_the_reference(parameter: str) -> None:
    value, _, bindings = parameter.partition(" where ")
    program = pgc.compile(
        "b : boolean[2,2]\nx : real[2,2]\nparam w : real[2,2] = normal(1)\nparam m : real = 1\np(b) = Bernoulli(0.3)\n"
        f"p(x|b) = Normal({value}, 1 + b){f' where {bindings}' if bindings else ''}\n"
        "p(x) = sum_b p(x|b) p(b)\nll = log p(x)\n"
    )
    assert all(check.passed for check in program.verify(runs=200))
    assert "every_state(self._like, 2, ()" in program.source
