"""Exact marginals and posteriors against torch.distributions, joint Gaussians and quadrature, with gradients."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.distributions as D
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

ANALYSIS = """x : real[5]
z : real[2]
param W : real[5, 2] = normal(1)
param mu : real[5] = normal(1)
param s : positive[5] = 0.5
p(z) = Normal(0.25, 1.5)
p(x|z) = Normal(W @ z + mu, s)
p(x) = ∫ p(x|z) p(z) dz
p(z|x) = p(x|z) p(z) / p(x)
ll = log p(x)
post = log p(z|x)
kl = KL[p(z|x) || p(z)]
"""


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found, expected.expand_as(found), rtol=tolerance, atol=tolerance)


def test_factor_analysis() -> None:
    torch.manual_seed(0)
    model = compiled(ANALYSIS).Model().double()
    x, z = torch.randn(7, 5).double(), torch.randn(7, 2).double()
    s = torch.nn.functional.softplus(model.free_s)
    covariance = 2.25 * model.W @ model.W.mT + s.square().diag()
    expected = D.MultivariateNormal(model.mu + 0.25 * model.W.sum(-1), covariance).log_prob(x)
    close(model.ll(x=x), expected)
    found = torch.autograd.grad(model.ll(x=x).sum(), [model.W, model.mu, model.free_s])
    for a, b in zip(found, torch.autograd.grad(expected.sum(), [model.W, model.mu, model.free_s]), strict=True):
        close(a, b)
    # p(z|x) p(x) = p(x|z) p(z)
    joint = D.Normal(0.25, torch.tensor(1.5).double()).log_prob(z).sum(-1) + D.Normal(
        z @ model.W.mT + model.mu, s
    ).log_prob(x).sum(-1)
    close(model.post(x=x, z=z), joint - model.ll(x=x).detach())
    posterior = model.factor("p(z|x)")(x)
    close(posterior.log_prob(z), model.post(x=x, z=z))
    prior = D.MultivariateNormal(torch.full((2,), 0.25).double(), 2.25 * torch.eye(2).double())
    close(model.kl(x=x), D.kl_divergence(posterior, prior))
    close(model.factor("p(x)")().log_prob(x), model.ll(x=x))
    assert model.factor("p(x)")().sample((3,)).shape == (3, 5)


CHAIN = """a : real[2]
b : real[3]
c : real[2]
param A : real[3, 2] = normal(1)
net f = Linear(2)
p(a) = MultivariateNormal([1, -1], covariance_matrix = [[2, 0.5], [0.5, 1]])
p(b|a) = Normal(A @ a, 0.75)
p(c|b,a) = Normal(f(b) + 2 * a, [0.5, 0.75])
"""


def test_a_chain_of_gaussians_whose_variables_are_hidden_and_given() -> None:
    torch.manual_seed(1)
    text = CHAIN + (
        "p(c) = ∫ p(c|b,a) p(b|a) p(a) da db\n"
        "p(a,b|c) = p(c|b,a) p(b|a) p(a) / p(c)\n"
        "e = log p(c)\nf_ab = log p(a,b|c)\n"
    )
    model = compiled(text).Model().double()
    # The joint as an affine map of independent standard noises: loc + L noise.
    tril = torch.linalg.cholesky(torch.tensor([[2, 0.5], [0.5, 1]]).double())
    weight, bias = model.f.weight, model.f.bias
    loc_a = torch.tensor([1.0, -1.0]).double()
    loc_b = model.A @ loc_a
    loc_c = weight @ loc_b + bias + 2 * loc_a
    rows_a = torch.cat([tril, torch.zeros(2, 5)], -1)
    rows_b = model.A @ rows_a + torch.cat([torch.zeros(3, 2), 0.75 * torch.eye(3), torch.zeros(3, 2)], -1)
    noise_c = torch.cat([torch.zeros(2, 5), torch.tensor([0.5, 0.75]).diag()], -1)
    rows_c = weight @ rows_b + 2 * rows_a + noise_c
    rows = torch.cat([rows_a, rows_b, rows_c])
    joint = D.MultivariateNormal(torch.cat([loc_a, loc_b, loc_c]), rows @ rows.mT)
    marginal = D.MultivariateNormal(loc_c, rows_c @ rows_c.mT)
    a, b, c = torch.randn(4, 2).double(), torch.randn(4, 3).double(), torch.randn(4, 2).double()
    close(model.e(c=c), marginal.log_prob(c), 1e-8)
    expected = joint.log_prob(torch.cat([a, b, c], -1)) - marginal.log_prob(c)
    close(model.f_ab(a=a, b=b, c=c), expected, 1e-8)


def test_regression_in_closed_form() -> None:
    """A row of features times unknown weights (Bishop 2006, section 3.3)."""
    torch.manual_seed(2)
    model = (
        compiled(
            "w : real[3]\nu : real[3]\ny : real\np(w) = Normal(0, [1, 2, 3])\np(y|w,u) = Normal(u @ w + 1, 0.5)\n"
            "p(y|u) = ∫ p(y|w,u) p(w) dw\np(w|y,u) = p(y|w,u) p(w) / p(y|u)\ne = log p(y|u)\nk = log p(w|y,u)\n"
        )
        .Model()
        .double()
    )
    u, y, w = torch.randn(5, 3).double(), torch.randn(5).double(), torch.randn(5, 3).double()
    scale = torch.tensor([1.0, 2.0, 3.0]).double()
    spread = ((u * scale).square().sum(-1) + 0.25).sqrt()
    close(model.e(y=y, u=u), D.Normal(1.0, spread).log_prob(y))
    joint = D.Normal(0.0, scale).log_prob(w).sum(-1) + D.Normal((u * w).sum(-1) + 1, 0.5).log_prob(y)
    close(model.k(w=w, y=y, u=u), joint - model.e(y=y, u=u))


Make = Callable[[Tensor], D.Distribution]
POSITIVE = torch.linspace(-40, 25, 200_001, dtype=torch.float64).exp()
UNIT = torch.sigmoid(torch.linspace(-40, 36, 200_001, dtype=torch.float64))
LINE = torch.linspace(-40, 40, 200_001, dtype=torch.float64)
# prior, its torch form, likelihood, its torch form at z, space of x, some values, grid
PAIRS: list[tuple[str, D.Distribution, str, Make, str, list[float], Tensor]] = [
    ("Beta(2, 3)", D.Beta(2.0, 3.0), "Bernoulli(probs = z)", lambda z: D.Bernoulli(z), "boolean", [0, 1], UNIT),
    ("Uniform(0, 1)", D.Beta(1.0, 1.0), "Bernoulli(probs = z)", lambda z: D.Bernoulli(z), "boolean", [0, 1], UNIT),
    (
        "Beta(2, 3)",
        D.Beta(2.0, 3.0),
        "Binomial(7, probs = z)",
        lambda z: D.Binomial(7, z),
        "nonnegative_integer",
        [0, 3, 7],
        UNIT,
    ),
    (
        "Beta(2, 3)",
        D.Beta(2.0, 3.0),
        "Geometric(probs = z)",
        lambda z: D.Geometric(z),
        "nonnegative_integer",
        [0, 2],
        UNIT,
    ),
    (
        "Gamma(2, 3)",
        D.Gamma(2.0, 3.0),
        "Poisson(2 * z)",
        lambda z: D.Poisson(2 * z),
        "nonnegative_integer",
        [0, 4],
        POSITIVE,
    ),
    (
        "Gamma(2, 3)",
        D.Gamma(2.0, 3.0),
        "Exponential(z)",
        lambda z: D.Exponential(z),
        "positive",
        [0.2, 3],
        POSITIVE,
    ),
    (
        "Exponential(3)",
        D.Gamma(1.0, 3.0),
        "Gamma(2.5, z)",
        lambda z: D.Gamma(2.5, z),
        "positive",
        [0.2, 3],
        POSITIVE,
    ),
    (
        "Gamma(2, 3)",
        D.Gamma(2.0, 3.0),
        "Normal(1, 1 / sqrt(z))",
        lambda z: D.Normal(1.0, z.rsqrt()),
        "real",
        [-1, 4],
        POSITIVE,
    ),
    (
        "InverseGamma(2, 3)",
        D.InverseGamma(torch.tensor(2.0).double(), torch.tensor(3.0).double()),
        "Normal(1, sqrt(z))",
        lambda z: D.Normal(1.0, z.sqrt()),
        "real",
        [-1, 4],
        POSITIVE,
    ),
    (
        "Normal(1, 2)",
        D.Normal(1.0, 2.0),
        "Normal(3 * z - 1, 0.5)",
        lambda z: D.Normal(3 * z - 1, 0.5),
        "real",
        [-1, 4],
        LINE,
    ),
]


@pytest.mark.parametrize(("prior", "made", "likelihood", "given", "space", "values", "grid"), PAIRS)
def test_conjugate_pairs_against_quadrature(
    prior: str, made: D.Distribution, likelihood: str, given: Make, space: str, values: list[float], grid: Tensor
) -> None:
    support = {id(UNIT): "unit_interval", id(POSITIVE): "positive", id(LINE): "real"}[id(grid)]
    model = (
        compiled(
            f"x : {space}\nz : {support}\np(z) = {prior}\np(x|z) = {likelihood}\n"
            "p(x) = ∫ p(x|z) p(z) dz\np(z|x) = p(x|z) p(z) / p(x)\ne = log p(x)\nf = log p(z|x)\n"
        )
        .Model()
        .double()
    )
    for value in values:
        x = torch.tensor(float(value), dtype=torch.float64)
        log_joint = given(grid).log_prob(x) + made.log_prob(grid)
        log_joint = torch.where(log_joint.isfinite(), log_joint, -torch.inf)
        evidence = torch.trapezoid(log_joint.exp(), grid).log()
        close(model.e(x=x), evidence, 1e-6)
        at = len(grid) // 2
        close(model.f(x=x, z=grid[at]), log_joint[at] - evidence, 1e-6)
        close(model.factor("p(z|x)")(x).log_prob(grid[at]), log_joint[at] - evidence, 1e-6)


def test_one_number_behind_a_vector() -> None:
    """Exchangeable data: p(x) is a ratio of beta functions of the counts."""
    model = (
        compiled(
            "x : boolean[10]\nt : unit_interval\np(t) = Beta(2, 3)\np(x|t) = Bernoulli(probs = t)\n"
            "p(x) = ∫ p(x|t) p(t) dt\np(t|x) = p(x|t) p(t) / p(x)\ne = log p(x)\n"
        )
        .Model()
        .double()
    )
    x = (torch.rand(6, 10) < 0.4).double()
    n = x.sum(-1)

    def log_beta(a: Tensor, b: Tensor) -> Tensor:
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)

    close(model.e(x=x), log_beta(2 + n, 13 - n) - log_beta(torch.tensor(2.0), torch.tensor(3.0)), 1e-7)
    close(model.factor("p(t|x)")(x).mean, (2 + n) / 15)


def test_counts_of_categories() -> None:
    model = (
        compiled(
            "x : nonnegative_integer[3]\nk : category[3]\nz : simplex[3]\np(z) = Dirichlet([1, 2, 3])\n"
            "p(x|z) = Multinomial(4, probs = z)\np(k|z) = Categorical(probs = z)\n"
            "p(x) = ∫ p(x|z) p(z) dz\np(k|x) = (∫ p(k|z) p(x|z) p(z) dz) / p(x)\ne = log p(x)\nf = log p(k|x)\n"
        )
        .Model()
        .double()
    )
    x = torch.tensor([[1.0, 3, 0], [2, 1, 1]]).double()
    alpha = torch.tensor([1.0, 2, 3]).double()
    expected = (
        math.lgamma(5)
        + math.lgamma(6)
        - math.lgamma(10)
        + (torch.lgamma(x + alpha) - torch.lgamma(x + 1) - torch.lgamma(alpha)).sum(-1)
    )
    close(model.e(x=x), expected)


def test_hidden_categories_and_hidden_gaussians_together() -> None:
    """A mixture of factor analysers: the Gaussian is integrated out for every component, then they are summed."""
    torch.manual_seed(3)
    model = (
        compiled(
            "k : category[3]\nz : real[2]\nx : real[4]\nparam W : real[4, 2] = normal(1)\n"
            "param m : real[3, 4] = normal(2)\n"
            "p(k) = Categorical([0.25, 0.25, 0.5])\np(z) = Normal(0, 1)\np(x|z,k) = Normal(W @ z + m[k], 0.5)\n"
            "p(x) = sum_k (∫ p(x|z,k) p(z) dz) p(k)\np(k|x) = (∫ p(x|z,k) p(z) dz) p(k) / p(x)\n"
            "e = log p(x)\nf = log p(k|x)\n"
        )
        .Model()
        .double()
    )
    x, k = torch.randn(5, 4).double(), torch.randint(3, (5,))
    covariance = model.W @ model.W.mT + 0.25 * torch.eye(4).double()
    components = D.MultivariateNormal(model.m, covariance)
    expected = D.MixtureSameFamily(D.Categorical(torch.tensor([0.25, 0.25, 0.5]).double()), components)
    close(model.e(x=x), expected.log_prob(x))
    joint = components.log_prob(x.unsqueeze(-2)) + torch.tensor([0.25, 0.25, 0.5]).double().log()
    close(model.f(x=x, k=k), joint.log_softmax(-1).gather(-1, k.unsqueeze(-1)).squeeze(-1))


def test_what_stands_in_the_way_is_named() -> None:
    text = ANALYSIS.replace("W @ z + mu", "tanh(W @ z) + mu")
    found = [d for d in pgc.check(text) if d.code == "PGC210"]
    assert "the location of p(x|z) is not affine in z" in " ".join(found[0].reasons)
    assert "ELBO[" in str(found[0].help)
    mixed = "x : real\nz : positive\np(z) = Gamma(1, 1)\np(x|z) = Laplace(0, z)\np(x) = ∫ p(x|z) p(z) dz\ne = log p(x)"
    (only,) = [d for d in pgc.check(mixed) if d.code == "PGC210"]
    assert "not conjugate" in " ".join(only.reasons)


PREDICTED = """x, y, w : real
z : real
p(z) = Normal(0, 1)
p(x|z) = Normal(z, 1)
p(y|z) = Normal(2 * z, 0.5)
p(w|y) = Normal(y, 1)
p(z|x) = p(x|z) p(z) / p(x)
p(w|x) = ∫ p(w|y) p(y|x) dy
p(y|x) = ∫ p(y|z) p(z|x) dz
e = log p(y|x)
f = log p(w|x)
g = log p(y|z) p(z|x)
"""


def test_a_posterior_is_a_factor_like_any_other() -> None:
    """The predictive of y given x, and of what follows from it, in whatever order they are written."""
    model = compiled(PREDICTED).Model().double()
    x, y, w, z = torch.randn(4, 5).double()
    # z given x is Normal(x / 2, variance 1 / 2)
    variance = torch.tensor(4 * 0.5 + 0.25).double()
    close(model.e(x=x, y=y), D.Normal(x, variance.sqrt()).log_prob(y))
    close(model.f(x=x, w=w), D.Normal(x, (variance + 1).sqrt()).log_prob(w))
    half = torch.tensor(0.5).double()
    close(model.g(x=x, y=y, z=z), D.Normal(2 * z, half).log_prob(y) + D.Normal(x / 2, half.sqrt()).log_prob(z))
    predicted = model.factor("p(y|x)")(x)
    close(predicted.mean, x)
    close(predicted.variance, variance.expand(5))


def test_a_chain_of_gaussians_compiles_in_time() -> None:
    """Filtering step by step: what is computed on the way has names, so that formulas do not double with each step."""
    steps = 8
    names = [f"z{i} : real[2]\nx{i} : real" for i in range(steps)]
    first = ["param A : real[2, 2] = normal(0.5)", "p(z0) = Normal(0, 1)"]
    moves = [f"p(z{i}|z{i - 1}) = Normal(A @ z{i - 1}, 0.5)" for i in range(1, steps)]
    seen = [f"p(x{i}|z{i}) = Normal([1, 0.5] @ z{i}, 0.5)" for i in range(steps)]
    product = " ".join(["p(z0)", *(m.split(" =")[0] for m in moves), *(s.split(" =")[0] for s in seen)])
    whole = ",".join(f"x{i}" for i in range(steps))
    last = f"p({whole}) = ∫ {product} {' '.join(f'dz{i}' for i in range(steps))}\ne = log p({whole})"
    program = compiled("\n".join([*names, *first, *moves, *seen, last]))
    assert max(map(len, program.source.splitlines())) < 2000
    model = program.Model().double()
    torch.manual_seed(0)
    values = torch.randn(steps, 5).double()
    found = model.e(**{f"x{i}": values[i] for i in range(steps)})
    mean, spread = torch.zeros(5, 2).double(), torch.eye(2).double()
    row, expected = torch.tensor([[1.0, 0.5]]).double(), torch.zeros(5).double()
    for i in range(steps):
        if i:
            mean, spread = mean @ model.A.mT, model.A @ spread @ model.A.mT + 0.25 * torch.eye(2)
        variance = (row @ spread @ row.mT + 0.25)[0, 0]
        surprise = values[i] - (mean @ row.mT)[:, 0]
        expected = expected + D.Normal(torch.zeros(5).double(), variance.sqrt()).log_prob(surprise)
        gain = (spread @ row.mT)[:, 0] / variance
        mean, spread = mean + surprise[:, None] * gain, spread - gain[:, None] * (row @ spread)
    close(found, expected, 1e-7)
