"""Means and sums over the rows of the batch, against tables of all pairs written with torch."""

import inspect
import math

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from pgcompile.syntax.format import format_expr

HEAD = """
x, y : real[3]
z : real[2]
k : category[4]
net e = Linear(2)
net d = Linear(3)
net g = Linear(2)
net c(x, z) = cat(x, z) >> Linear(5) >> Tanh >> Linear(1)
net h = Linear(4)
p(z) = Normal(0, 1)
q(z|x) = Normal(e(x), 0.1)
p(x|z) = Normal(d(z), 1)
p(k|x) = Categorical(logits = h(x))
"""


def compiled(formula: str) -> torch.nn.Module:
    program = pgc.compile(f"{HEAD}\nl = {formula}\nmaximize l using Adam(lr = 1e-3)")
    assert [check for check in program.verify(runs=300) if not check.passed] == []
    return program.Model().double()


def table(model: torch.nn.Module, x: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """log Normal(x_i; mean_j, 1), the rows of x first."""
    return D.Independent(D.Normal(means[None], 1.0), 1).log_prob(x[:, None])


def prior_kl(means: torch.Tensor) -> torch.Tensor:
    return D.kl_divergence(D.Normal(means, 0.1), D.Normal(0.0, 1.0)).sum(1)


X = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
K = torch.tensor([0, 3, 1, 1, 2])


@pytest.mark.parametrize("word", ["mean", "sum"])
def test_a_decoder_scores_every_row(word: str) -> None:
    model = compiled(f"E_{{q(z|x)}}[log p(x|z) - log {word}_{{x'}} p(x'|z)]")
    torch.manual_seed(0)
    found = model.l(x=X)
    torch.manual_seed(0)
    z = model.e(X) + 0.1 * torch.randn_like(model.e(X))
    pairs = table(model, X, model.d(z))
    expected = pairs.diagonal() - pairs.logsumexp(0) + (math.log(5) if word == "mean" else 0)
    torch.testing.assert_close(found, expected)


def test_the_rows_of_what_is_drawn() -> None:
    model = compiled("E_{q(z|x)}[log p(x|z) - log mean_{z'} p(x|z')]")
    torch.manual_seed(0)
    found = model.l(x=X)
    torch.manual_seed(0)
    z = model.e(X) + 0.1 * torch.randn_like(model.e(X))
    pairs = table(model, X, model.d(z))
    torch.testing.assert_close(found, pairs.diagonal() - pairs.logsumexp(1) + math.log(5))


def test_the_aggregated_posterior() -> None:
    model = compiled("E_{q(z|x)}[log q(z|x) - log mean_{x'} q(z|x')]")
    torch.manual_seed(0)
    found = model.l(x=X)
    torch.manual_seed(0)
    means = model.e(X)
    z = means + 0.1 * torch.randn_like(means)
    pairs = D.Independent(D.Normal(means[:, None], 0.1), 1).log_prob(z[None])
    entropy = D.Independent(D.Normal(means, 0.1), 1).entropy()
    torch.testing.assert_close(found, -entropy - pairs.logsumexp(0) + math.log(5))


def test_a_net_of_two_inputs_meets_every_pair() -> None:
    model = compiled("E_{q(z|x)}[c(x, z) - log mean_{x'} exp(c(x', z))]")
    torch.manual_seed(0)
    found = model.l(x=X)
    torch.manual_seed(0)
    z = model.e(X) + 0.1 * torch.randn_like(model.e(X))
    pairs = torch.stack([model.c(torch.cat([row.expand(5, 3), z], -1))[:, 0] for row in X])
    torch.testing.assert_close(found, pairs.diagonal() - pairs.logsumexp(0) + math.log(5))


def test_each_row_is_drawn_once_whatever_it_is_compared_with() -> None:
    model = compiled("mean_{x'} E_{q(z|x'); samples=3}[log p(x|z)]")
    torch.manual_seed(0)
    found = model.l(x=X)
    torch.manual_seed(0)
    z = model.e(X) + 0.1 * torch.randn(3, 5, 1, 2, dtype=torch.float64).squeeze(2)
    means = model.d(z).flatten(0, 1)
    torch.testing.assert_close(found, table(model, X, means).mean(1))


def test_a_bound_of_every_row() -> None:
    model = compiled("mean_{x'} IWAE[p(x', z) || q(z|x'); samples=4] + sum(x)")
    torch.manual_seed(0)
    found = model.l(x=X)
    torch.manual_seed(0)
    q = D.Independent(D.Normal(model.e(X), 0.1), 1)
    z = model.e(X) + 0.1 * torch.randn(4, 5, 1, 2, dtype=torch.float64).squeeze(2)
    log_w = D.Normal(0.0, 1.0).log_prob(z).sum(-1) + D.Normal(model.d(z), 1.0).log_prob(X).sum(-1) - q.log_prob(z)
    torch.testing.assert_close(found, (log_w.logsumexp(0) - math.log(4)).mean() + X.sum(1))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("mean_{x'} sum((x - x')^2)", lambda m: torch.cdist(X, X).square().mean(1)),
        ("sum_{x'} (sum((x - x')^2) + 1)", lambda m: torch.cdist(X, X).square().sum(1) + 5),
        ("mean_{x', y'} (dot(x', y)^2 * dot(x, y'))", lambda m: ((X @ Y.T) ** 2 * (Y @ X.T)).mean(0)),
        ("log mean_{x'} exp(dot(g(x'), g(y)))", lambda m: (m.g(X) @ m.g(Y).T).logsumexp(0) - math.log(5)),
        ("dot(x, y) / sum_{y'} exp(dot(x, y'))", lambda m: (X * Y).sum(-1) / (X @ Y.T).exp().sum(1)),
        ("E_{data(x')}[dot(x', y)]", lambda m: X.mean(0) @ Y.T),
        ("mean_{x′} dot(x′, y)", lambda m: X.mean(0) @ Y.T),
        ("mean_{x'} [dot(x', y) + 1]", lambda m: X.mean(0) @ Y.T + 1),
        ("mean_{x', x''} dot(x' * y, x'')", lambda m: (X.mean(0) ** 2 * Y).sum(1)),
        ("sum_{x', x''} dot(x' * y, x'')", lambda m: (X.sum(0) ** 2 * Y).sum(1)),
        ("mean_{x', y', x''} dot(x' * y', x'' * y)", lambda m: ((X * Y).mean(0) * X.mean(0) * Y).sum(1)),
        ("mean_{x'} KL[q(z|x) || q(z|x')]", lambda m: torch.cdist(m.e(X), m.e(X)).square().mean(1) / 2 / 0.01),
        (
            "mean_{x'} KL[q(z|x') || p(z)]",
            lambda m: prior_kl(m.e(X)).mean().expand(5),
        ),
    ],
)
def test_formulas_of_pairs(formula: str, expected: object) -> None:
    model = compiled(formula)
    given = {"x": X, "y": Y}
    found = model.l(**{n: v for n, v in given.items() if n in inspect.signature(model.l).parameters})
    torch.testing.assert_close(found, expected(model))  # type: ignore[operator]


def test_categories_of_other_rows() -> None:
    model = compiled("log p(k|x) - log mean_{k'} p(k'|x)")
    log_probs = model.h(X).log_softmax(-1)
    expected = log_probs.gather(1, K[:, None])[:, 0] - log_probs[:, K].logsumexp(1) + math.log(5)
    torch.testing.assert_close(model.l(x=X, k=K), expected)


def test_a_batch_of_several_dimensions_is_one_batch() -> None:
    model = compiled("mean_{x'} sum((x - x')^2)")
    x = torch.randn(2, 3, 3, dtype=torch.float64)
    flat = x.reshape(6, 3)
    torch.testing.assert_close(model.l(x=x), torch.cdist(flat, flat).square().mean(1).reshape(2, 3))


def test_deterministic_variables_have_rows_too() -> None:
    program = "x : real[3]\nnet f = Linear(2)\nh = f(x)\nl = log mean_{h'} exp(dot(h', h))\nmaximize l"
    made = pgc.compile(program)
    assert [check for check in made.verify(runs=100) if not check.passed] == []
    model = made.Model().double()
    h = model.f(X)
    torch.testing.assert_close(model.l(x=X), (h @ h.T).logsumexp(0) - math.log(5))


def test_what_is_written_is_what_is_shown() -> None:
    program = pgc.compile(f"{HEAD}\nl = log p(k|x) - log mean_{{k'}} p(k'|x)")
    shown = format_expr(program.analysis.model.objectives["l"].expr)
    assert shown == "log p(k|x) - log(mean_{k'} p(k'|x))"
    again = pgc.compile(f"{HEAD}\nl = {shown}")
    assert again.source == program.source
    assert r"\operatorname{mean}_{k'} p(k' \mid x)" in program.latex()


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("E_{q(z|x); samples=3}[log mean_{z'} p(x|z')]", "PGC408"),
        ("mean_{w'} sum((x - w')^2)", "PGC101"),
        ("mean_{x'} sum(x - y)", "W106"),
        ("log mean_{x'} mean(exp(dot(x', y)))", "PGC408"),
        ("sum_{x'} exp(sum(dot(x', y)))", "PGC408"),
        ("E_{p(k|x)}[log mean_{k'} exp(log p(k'|x))]", "PGC408"),
        ("mean_{q'} q(z|x)", "PGC101"),
        ("mean_{x'} dot(x', y) * dot(x', x)", "PGC101"),
        ("mean_{x'} MMD[q(z|x') || p(z)]", "PGC408"),
        ("mean_{x'} SW[q(z|x') || p(z)]", "PGC408"),
        ("mean_{x'} TC[q(z|x')]", "PGC408"),
        ("mean_{x', w''} dot(x', w'')", "PGC101"),
    ],
)
def test_what_cannot_be_is_said(formula: str, code: str) -> None:
    assert code in {d.code for d in pgc.check(f"{HEAD}\nl = {formula}")}


def test_a_primed_variable_of_its_own_is_summed_as_before() -> None:
    program = """
k' : category[3]
x : real
param m : real[3]
p(k') = Categorical(probs = [0.2, 0.3, 0.5])
p(x|k') = Normal(m[k'], 1)
l = log sum_{k'} p(x|k') p(k')
"""
    model = pgc.compile(program).Model().double()
    x = torch.randn(4, dtype=torch.float64)
    mixture = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log() + D.Normal(model.m, 1.0).log_prob(x[:, None])
    torch.testing.assert_close(model.l(x=x), mixture.logsumexp(-1))


SHUFFLED = """
x : real[3]
z : real[2]
net e = Linear(2)
net d = Linear(5) >> Tanh >> Linear(1)
q(z|x) = Normal(e(x), 0.1)
"""


def test_shuffled_entries_are_those_of_the_batch_and_keep_no_company() -> None:
    text = "x : real[3]\ninput w : real[3]\nl = sum(w * shuffle(x))\nmaximize l"
    model = pgc.compile(text).Model().double()
    torch.manual_seed(0)
    for entry in range(3):
        found = model.l(x=X, w=torch.eye(3, dtype=torch.float64)[entry])
        torch.testing.assert_close(found.sort().values, X[:, entry].sort().values)
    # E[(x_1 + x_2)^2] of entries of two rows chosen apart
    square = pgc.compile("x : real[3]\nl = (shuffle(x)[0] + shuffle(x)[1])^2\nmaximize l").Model().double()
    found = torch.stack([square.l(x=X) for _ in range(4000)]).mean()
    a, b = X[:, 0], X[:, 1]
    torch.testing.assert_close(found, (a**2 + b**2).mean() + 2 * a.mean() * b.mean(), atol=0.05, rtol=0.0)


def test_a_discriminator_of_the_marginals() -> None:
    told = "E_{q(z|x)}[log sigmoid(d(z)) + log(1 - sigmoid(d(shuffle(z))))]"
    program = pgc.compile(f"{SHUFFLED}\nl = {told}\nmaximize l wrt d")
    assert [check for check in program.verify(runs=100) if not check.passed] == []
    assert program.coupled is not None  # a batch cannot be taken in parts


@pytest.mark.parametrize("line", ["l = mean_{x'} sum(shuffle(x') * x)", "y = shuffle(x)\nl = sum(y)"])
def test_where_nothing_can_be_shuffled(line: str) -> None:
    codes = {d.code for d in pgc.check(f"{SHUFFLED}\n{line}")}
    assert codes & {"PGC401", "PGC408"}
