"""Exact marginals and posteriors of finite variables, against enumerated joints and torch's mixtures."""

import itertools
import math

import pytest
import torch
import torch.distributions as D
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

MIXTURE = """
x : real[2]
k : category[3]
param m : real[3, 2] = normal(1)
param l : real[3] = normal(1)
p(k) = Categorical(logits = l)
p(x|k) = Normal(m[k], 0.7)
p(x) = sum_k p(x|k) p(k)
p(k|x) = p(x|k) p(k) / p(x)
"""


def mixture(model: torch.nn.Module) -> D.MixtureSameFamily:
    return D.MixtureSameFamily(D.Categorical(logits=model.l), D.Independent(D.Normal(model.m, 0.7), 1))


@pytest.mark.parametrize("spelling", ["sum_k", "Σ_k", "\\sum_{k}", "\\sum_k"])
def test_a_mixture(spelling: str) -> None:
    text = MIXTURE.replace("sum_k", spelling) + "nll = log p(x)\nmaximize nll"
    torch.manual_seed(0)
    model = compiled(text).Model().double()
    x = torch.randn(7, 2, dtype=torch.float64)
    expected = mixture(model).log_prob(x)
    torch.testing.assert_close(model.nll(x=x), expected)
    torch.testing.assert_close(model.log_prob_of("p(x)", x=x), expected)
    mine, theirs = (torch.autograd.grad(v.sum(), [model.m, model.l]) for v in (model.nll(x=x), expected))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_responsibilities_and_the_em_bound() -> None:
    text = MIXTURE + "em = E_{detach p(k|x)}[log p(x,k)]\nentropy = E_{p(k|x)}[-log p(k|x)]\nr = E_{p(k|x)}[sum(m[k])]"
    torch.manual_seed(0)
    model = compiled(text).Model().double()
    x = torch.randn(7, 2, dtype=torch.float64)
    joint = D.Normal(model.m, 0.7).log_prob(x.unsqueeze(1)).sum(-1) + model.l.log_softmax(-1)
    posterior = joint.softmax(-1)
    for k in range(3):
        index = torch.full((7,), k)
        torch.testing.assert_close(model.log_prob_of("p(k|x)", k=index, x=x), posterior[:, k].log())
    torch.testing.assert_close(model.factor("p(k|x)")(x).probs, posterior)
    assert model.factor("p(k|x)")(x).sample((5,)).shape == (5, 7)
    torch.testing.assert_close(model.em(x=x), (posterior * joint).sum(-1))
    torch.testing.assert_close(model.entropy(x=x), -(posterior * posterior.log()).sum(-1))
    torch.testing.assert_close(model.r(x=x), posterior @ model.m.sum(-1))
    # The gradient of the EM bound at its own posterior is that of the likelihood (Neal & Hinton 1998).
    likelihood = mixture(model).log_prob(x).sum()
    for a, b in zip(
        *(torch.autograd.grad(v, [model.m, model.l]) for v in (model.em(x=x).sum(), likelihood)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_a_conditional_mixture() -> None:
    text = """
x : real
y : real[2]
k : category[4]
net gate = Linear(4)
param m : real[4] = normal(1)
p(k|y) = Categorical(logits = gate(y))
p(x|k,y) = Normal(m[k] + y[0], 0.5)
p(x|y) = sum_k p(x|k,y) p(k|y)
nll = log p(x|y)
"""
    model = compiled(text).Model().double()
    x, y = torch.randn(5, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    log_joint = D.Normal(model.m + y[:, :1], 0.5).log_prob(x.unsqueeze(-1)) + model.gate(y).log_softmax(-1)
    torch.testing.assert_close(model.nll(x=x, y=y), log_joint.logsumexp(-1))


@pytest.mark.parametrize("length", [2, 40, 300])
def test_a_chain_is_the_forward_algorithm(length: int) -> None:
    """Linear in the length: 300 steps of 3 states have 10^143 joint values."""
    names = range(length)
    lines = [f"k{i} : category[3]\nx{i} : real" for i in names]
    lines += ["param t : real[3, 3] = normal(1)", "param m : real[3] = normal(1)", "p(k0) = Categorical(logits = 0)"]
    lines += [f"p(k{i}|k{i - 1}) = Categorical(logits = t[k{i - 1}])" for i in names if i]
    lines += [f"p(x{i}|k{i}) = Normal(m[k{i}], 1)" for i in names]
    xs = ",".join(f"x{i}" for i in names)
    factors = " ".join(["p(k0)", *(f"p(k{i}|k{i - 1})" for i in names if i), *(f"p(x{i}|k{i})" for i in names)])
    lines += [f"p({xs}) = ∫ {factors} {' '.join(f'dk{i}' for i in names)}", f"e = log p({xs})"]
    torch.manual_seed(0)
    model = pgc.compile("\n".join(lines)).Model().double()
    x = torch.randn(length, 4, dtype=torch.float64)
    found = model.e(**{f"x{i}": x[i] for i in names})
    alpha = D.Normal(model.m, 1.0).log_prob(x[0].unsqueeze(-1)) - math.log(3)
    for i in names[1:]:
        step = (alpha.unsqueeze(-1) + model.t.log_softmax(-1)).logsumexp(1)
        alpha = step + D.Normal(model.m, 1.0).log_prob(x[i].unsqueeze(-1))
    torch.testing.assert_close(found, alpha.logsumexp(-1))
    mine, theirs = (torch.autograd.grad(v.sum(), [model.t, model.m]) for v in (found, alpha.logsumexp(-1)))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


@st.composite
def networks(draw: st.DrawFn) -> tuple[int, list[list[int]], list[int]]:
    """A random directed network of binary variables: parents of each, and which of them are seen."""
    size = draw(st.integers(2, 6))
    parents = [[j for j in range(i) if draw(st.booleans())][:3] for i in range(size)]
    seen = [i for i in range(size) if draw(st.booleans())]
    return size, parents, seen or [size - 1]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(networks())
def test_random_networks_against_full_enumeration(network: tuple[int, list[list[int]], list[int]]) -> None:
    size, parents, seen = network
    hidden = [i for i in range(size) if i not in seen]
    lines, factors = [], []
    for i in range(size):
        terms = "".join(f" + w{i}[{n + 1}] * v{j}" for n, j in enumerate(parents[i]))
        bar = f"|{','.join(f'v{j}' for j in parents[i])}" if parents[i] else ""
        lines += [f"v{i} : boolean", f"param w{i} : real[4] = normal(1)"]
        factors.append(f"p(v{i}{bar})")
        lines.append(f"{factors[-1]} = Bernoulli(logits = w{i}[0]{terms})")
    names = ",".join(f"v{i}" for i in seen)
    product = " ".join(factors)
    lines.append(f"r({names}) = {'∫ ' + product + ' ' + ' '.join(f'dv{i}' for i in hidden) if hidden else product}")
    lines.append(f"e = log r({names})")
    torch.manual_seed(1)
    model = pgc.compile("\n".join(lines)).Model().double()

    def joint(values: dict[int, Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i in range(size):
            w = getattr(model, f"w{i}")
            logits = w[0] + sum((w[n + 1] * values[j] for n, j in enumerate(parents[i])), torch.zeros(()))
            total = total + D.Bernoulli(logits=logits).log_prob(values[i])
        return total

    bits = [torch.tensor(float(b), dtype=torch.float64) for b in (0, 1)]
    for given_ in itertools.product(bits, repeat=len(seen)):
        known = dict(zip(seen, given_, strict=True))
        every = [
            joint({**known, **dict(zip(hidden, h, strict=True))}) for h in itertools.product(bits, repeat=len(hidden))
        ]
        torch.testing.assert_close(model.e(**{f"v{i}": v for i, v in known.items()}), torch.stack(every).logsumexp(0))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "x, z : real\np(z) = Normal(0, 1)\np(x|z) = Normal(z * z, 1)\np(x) = ∫ p(x|z) p(z) dz\ne = log p(x)",
            "PGC210",
        ),
        (
            "x, z : real\np(z) = Normal(0, 1)\np(x|z) = Normal(z^3, 1)\np(z|x) = p(x|z) p(z) / p(x)\ne = E_{p(z|x)}[z]",
            "PGC409",
        ),
        (MIXTURE + "e = E_{p(k|x); samples=3}[log p(x,k)]", "PGC409"),
        (MIXTURE.replace("/ p(x)", "/ p(k)"), "PGC208"),
        (
            "x : real\nk : category[3]\nj : category[2]\np(k) = Categorical([1, 1, 1])\np(j) = Categorical([1, 1])\n"
            "p(x|k) = Normal(0, 1)\np(x|j) = Normal(1, 1)\nr(x) = sum_j p(x|j) p(j)\np(k|x) = p(x|k) p(k) / r(x)",
            "PGC213",
        ),
        (
            "x : real\nb : boolean[40]\np(b) = Bernoulli(0.5)\np(x|b) = Normal(sum(b), 1)\n"
            "p(x) = sum_b p(x|b) p(b)\ne = log p(x)",
            "PGC214",
        ),
    ],
)
def test_what_is_not_exact_says_so(text: str, code: str) -> None:
    assert code in [d.code for d in pgc.check(text) if d.code.startswith("PGC")]


def test_everything_is_verified() -> None:
    program = pgc.compile(MIXTURE + "nll = log p(x)\nem = E_{detach p(k|x)}[log p(x,k)]\nmaximize nll")
    assert [str(c) for c in program.verify() if not c.passed] == []


def test_the_posterior_of_a_hidden_chain_as_a_distribution() -> None:
    """The last state of a chain given what was seen, the others summed out."""
    text = """
a, b, c : category[3]
x, y, z : real
param t : real[3, 3] = normal(1)
param m : real[3] = normal(1)
p(a) = Categorical([0.2, 0.3, 0.5])
p(b|a) = Categorical(logits = t[a])
p(c|b) = Categorical(logits = t[b])
p(x|a) = Normal(m[a], 1)
p(y|b) = Normal(m[b], 1)
p(z|c) = Normal(m[c], 1)
p(c|x,y,z) = ∫ p(a) p(b|a) p(c|b) p(x|a) p(y|b) p(z|c) da db / p(x,y,z)
"""
    torch.manual_seed(0)
    model = pgc.compile(text).Model().double()
    x, y, z = torch.randn(3, 6, dtype=torch.float64)
    step = model.t.log_softmax(-1)
    alpha = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log() + D.Normal(model.m, 1.0).log_prob(x.unsqueeze(-1))
    for seen in (y, z):
        alpha = (alpha.unsqueeze(-1) + step).logsumexp(1) + D.Normal(model.m, 1.0).log_prob(seen.unsqueeze(-1))
    torch.testing.assert_close(model.factor("p(c|x,y,z)")(x, y, z).probs, alpha.softmax(-1))


STATES = """
x : real[1]
y : real
j, k, l : category[3]
param t : real[3, 3] = [[1, 0.5, 0], [0, 1, 2], [0.3, 0, 1]]
param m : real[3] = [-1, 0, 2]
net g = Linear(3)
q(k|x) = Categorical(logits = g(x))
a(k|j) = Categorical(logits = t[j])
p(y|k) = Normal(m[k], 1)
s(y|j) = sum_k p(y|k) a(k|j)
inside = E_{q(k|x)}[E_{a(k|j)[j -> k, k -> l]}[m[l] * m[k]]]
summed = E_{q(k|x)}[log s(y|j)[j -> k]]
both = E_{q(k|x)}[log p(y|k) + log s(y|j)[j -> k]]
"""


def test_one_factor_at_two_states_at_once() -> None:
    """Both the values that are averaged over and those of what stands inside come from variables called k."""
    model = compiled(STATES).Model().double()
    x, y = torch.randn(4, 1).double(), torch.randn(4).double()
    q, a, m = model.g(x).softmax(-1), model.t.softmax(-1), model.m
    torch.testing.assert_close(model.inside(x=x), torch.einsum("nk,kl,k,l->n", q, a, m, m))
    log_p = D.Normal(m, 1.0).log_prob(y[:, None])
    log_s = torch.einsum("kl,nl->nk", a, log_p.exp()).log()
    torch.testing.assert_close(model.summed(x=x, y=y), (q * log_s).sum(-1))
    torch.testing.assert_close(model.both(x=x, y=y), (q * (log_p + log_s)).sum(-1))
