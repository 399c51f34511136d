"""Gradient estimators are unbiased, and bounds are bounds."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from tests.conftest import compiled

# Two-sided, once in 10^8 for a right program; the seed is fixed.
Z = 5.7
GROUPS = 50

# Family with params a and b (their values), the space, and the density of x at (x, a, b) by scipy.
FAMILIES = [
    ("Normal(a, b)", "real", (0.3, 1.2), lambda x, a, b: scipy.stats.norm.pdf(x, a, b), (-14, 14)),
    ("Laplace(a, b)", "real", (0.3, 0.8), lambda x, a, b: scipy.stats.laplace.pdf(x, a, b), (-40, 40)),
    ("StudentT(b, a, 1)", "real", (0.3, 6.0), lambda x, a, b: scipy.stats.t.pdf(x, b, a, 1), (-np.inf, np.inf)),
    ("Cauchy(a, b)", "real", (0.3, 1.2), lambda x, a, b: scipy.stats.cauchy.pdf(x, a, b), (-np.inf, np.inf)),
    ("Uniform(a, a + b)", "real", (0.3, 1.2), lambda x, a, b: scipy.stats.uniform.pdf(x, a, b), None),
    (
        "LogNormal(a, b)",
        "positive",
        (0.3, 0.5),
        lambda x, a, b: scipy.stats.lognorm.pdf(x, b, scale=np.exp(a)),
        (0, 60),
    ),
    (
        "Gamma(b, exp(a))",
        "positive",
        (0.3, 1.7),
        lambda x, a, b: scipy.stats.gamma.pdf(x, b, scale=np.exp(-a)),
        (0, 40),
    ),
    (
        "InverseGamma(b, exp(a))",
        "positive",
        (0.3, 3.0),
        lambda x, a, b: scipy.stats.invgamma.pdf(x, b, scale=np.exp(a)),
        (0, np.inf),
    ),
    (
        "Exponential(exp(a) * b)",
        "nonnegative",
        (0.3, 1.2),
        lambda x, a, b: scipy.stats.expon.pdf(x, scale=np.exp(-a) / b),
        (0, 40),
    ),
    (
        "HalfNormal(exp(a) * b)",
        "nonnegative",
        (0.3, 1.2),
        lambda x, a, b: scipy.stats.halfnorm.pdf(x, scale=np.exp(a) * b),
        (0, 30),
    ),
    ("Beta(exp(a), b)", "unit_interval", (0.3, 2.2), lambda x, a, b: scipy.stats.beta.pdf(x, np.exp(a), b), (0, 1)),
    (
        "ContinuousBernoulli(logits = a * b)",
        "unit_interval",
        (0.9, 1.2),
        lambda x, a, b: np.exp(a * b * x) * a * b / np.expm1(a * b),
        (0, 1),
    ),
    (
        "RelaxedBernoulli(b, logits = a)",
        "unit_interval",
        (0.3, 0.8),
        lambda x, a, b: scipy.stats.logistic.pdf(np.log(x) - np.log1p(-x), a / b, 1 / b) / (x * (1 - x)),
        (0, 1),
    ),
]


def exact(density, a: float, b: float, bounds: tuple[float, float] | None) -> float:  # type: ignore[no-untyped-def]
    """E[sin(2 x)] by quadrature; `bounds` None for a support that moves with the parameters."""
    low, high = bounds or (a, a + b)
    if bounds == (-np.inf, np.inf):
        # An oscillating integrand with a heavy tail, on each side by the method that is made for it.
        return sum(
            scipy.integrate.quad(lambda x, s=s: s * density(s * x, a, b), 0, np.inf, weight="sin", wvar=2)[0]
            for s in (1, -1)
        )
    return scipy.integrate.quad(lambda x: density(x, a, b) * np.sin(2 * x), low, high, limit=500)[0]


@pytest.mark.parametrize(("family", "space", "at", "density", "bounds"), FAMILIES, ids=[f[0] for f in FAMILIES])
def test_a_pathwise_gradient_is_unbiased(family, space, at, density, bounds) -> None:  # type: ignore[no-untyped-def]
    model = (
        compiled(
            f"x : {space}\nparam a : real = {at[0]}\nparam b : positive = {at[1]}\n"
            f"q(x) = {family}\ne = E_{{q(x); samples = 2000}}[sin(2 * x)]"
        )
        .Model()
        .double()
    )
    torch.manual_seed(3)
    a, free_b = model.a, model.free_b
    slope = torch.sigmoid(free_b).item()  # b is softplus of the free parameter
    found = np.array([[g.item() for g in torch.autograd.grad(model.e(), (a, free_b))] for _ in range(GROUPS)])
    found[:, 1] /= slope
    h = 1e-4
    b = torch.nn.functional.softplus(free_b).item()
    wanted = [
        (exact(density, a.item() + h, b, bounds) - exact(density, a.item() - h, b, bounds)) / (2 * h),
        (exact(density, a.item(), b + h, bounds) - exact(density, a.item(), b - h, bounds)) / (2 * h),
    ]
    errors = found.std(0, ddof=1) / GROUPS**0.5
    z = (found.mean(0) - wanted) / np.maximum(errors, 1e-12)
    assert np.abs(z).max() < Z, f"{family}: z-scores {z}, means {found.mean(0)}, exact {wanted}"


def test_a_simplex_gradient_is_unbiased() -> None:
    """Dirichlet: the first coordinate is Beta, whose expectation of sin(2 x) is a quadrature."""
    model = (
        compiled(
            "x : simplex[3]\nparam a : positive[3] = 1.5\nq(x) = Dirichlet(a)\n"
            "e = E_{q(x); samples = 2000}[sin(2 * x[0])]"
        )
        .Model()
        .double()
    )
    torch.manual_seed(0)
    slope = torch.sigmoid(model.free_a).detach().numpy()
    found = np.array([torch.autograd.grad(model.e(), model.free_a)[0].numpy() / slope for _ in range(GROUPS)])

    def mean(alpha: np.ndarray) -> float:
        return scipy.integrate.quad(
            lambda x: scipy.stats.beta.pdf(x, alpha[0], alpha[1:].sum()) * np.sin(2 * x), 0, 1, limit=500
        )[0]

    alpha = torch.nn.functional.softplus(model.free_a).detach().numpy()
    steps = 1e-4 * np.eye(3)
    wanted = [(mean(alpha + step) - mean(alpha - step)) / 2e-4 for step in steps]
    z = (found.mean(0) - wanted) / (found.std(0, ddof=1) / GROUPS**0.5)
    assert np.abs(z).max() < Z, f"z-scores {z}"


LINEAR_GAUSSIAN = """x : real[3]
z : real[2]
param W : real[2, 3] = normal(0.7)
param s : positive = 0.6
net loc = Linear(2)
param t : positive[2] = 0.5
p(z) = Normal(0, 1)
p(x|z) = Normal(z @ W, s)
q(z|x) = Normal(loc(x), t)
elbo = ELBO[p || q]
maximize elbo using Adam(lr = 0.05)
"""


def evidence(model, x: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """log p(x) of the linear-Gaussian model: a normal with covariance W'W + s^2."""
    scale = torch.nn.functional.softplus(model.free_s)
    covariance = model.W.T @ model.W + scale**2 * torch.eye(3, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance).log_prob(x)


def test_the_elbo_is_below_the_evidence() -> None:
    torch.manual_seed(1)
    model = compiled(LINEAR_GAUSSIAN).Model().double()
    x = torch.randn(6, 3, dtype=torch.float64)
    with torch.no_grad():
        draws = torch.stack([model.elbo(x=x) for _ in range(4000)])
    error = draws.std(0) / len(draws) ** 0.5
    assert (draws.mean(0) < evidence(model, x) - Z * error).all()


def test_the_elbo_of_the_exact_posterior_is_the_evidence() -> None:
    """With one latent the posterior is a diagonal normal: its ELBO is log p(x), whatever is drawn."""
    model = (
        compiled(
            LINEAR_GAUSSIAN.replace("z : real[2]", "z : real")
            .replace("[2, 3]", "[3]")
            .replace("z @ W", "z * W")
            .replace("positive[2]", "positive")
            .replace("Linear(2)", "Linear(1)")
            .replace("loc(x)", "loc(x)[0]")
        )
        .Model()
        .double()
    )
    torch.manual_seed(1)
    x = torch.randn(6, 3, dtype=torch.float64)
    with torch.no_grad():
        s = torch.nn.functional.softplus(model.free_s)
        precision = 1 + (model.W**2).sum() / s**2
        model.loc.weight.copy_((model.W / (s**2 * precision)).unsqueeze(0))
        model.loc.bias.zero_()
        model.free_t.copy_(torch.log(torch.expm1(precision**-0.5)))
        covariance = torch.outer(model.W, model.W) + s**2 * torch.eye(3, dtype=torch.float64)
        exact_evidence = torch.distributions.MultivariateNormal(
            torch.zeros(3, dtype=torch.float64), covariance
        ).log_prob(x)
        draws = torch.stack([model.elbo(x=x) for _ in range(4000)])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact_evidence).abs() < Z * error + 1e-9).all()
