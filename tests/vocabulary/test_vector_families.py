"""Vectors of low-rank covariance, and directions: by torch's distributions, scipy, numpy and mpmath."""

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled

LOW_RANK = """x : real[5]
z : real[2]
net f = Linear(5)
net w = Linear(10) >> Unflatten((5, 2))
net d = Linear(5) >> Softplus
param L : lower_cholesky[5, 5]
p(z) = Normal(0, 1)
p(x|z) = LowRankMultivariateNormal(f(z), w(z), d(z))
r(x) = Normal(0.5, 2)
s(x) = MultivariateNormal([0, 0, 0, 0, 1], scale_tril = L)
fit = log p(x|z)
h = H[p(x|z)]
apart = KL[p(x|z) || r(x)]
whole = KL[p(x|z) || s(x)]
m = E_{p(x|z); samples = 3}[sum(sin(x))]
maximize fit
"""
AS_POSTERIOR = """x : real[5]
z : real[3]
net f = Linear(3)
param W : real[3, 2]
net g = Linear(5)
p(z) = Normal(0, 1)
p(x|z) = Normal(g(z), 1)
q(z|x) = LowRankMultivariateNormal(f(x), W, [0.1, 0.2, 0.3])
elbo = ELBO[p || q]
maximize elbo
"""
IN_ROWS = """x : real[4, 3]
param m : real[4, 3]
param d : positive[4, 3]
p(x) = LowRankMultivariateNormal(m, [[1], [0.5], [2]], d)
fit = log p(x)
maximize fit
"""


@pytest.mark.parametrize("text", [LOW_RANK, AS_POSTERIOR, IN_ROWS])
def test_low_rank_models_are_verified(text: str) -> None:
    assert all(check.passed for check in compiled(text).verify())


def test_low_rank_is_torchs() -> None:
    program = compiled(LOW_RANK)
    model = program.Model().double()
    z, x = torch.randn(6, 2).double(), torch.randn(6, 5).double()
    own = D.LowRankMultivariateNormal(model.f(z), model.w(z), model.d(z))
    torch.testing.assert_close(model.fit(x=x, z=z), own.log_prob(x))
    torch.testing.assert_close(model.h(z=z), own.entropy())
    covariance = own.covariance_matrix
    wanted = -own.entropy() + (
        ((own.loc - 0.5).square() + covariance.diagonal(dim1=-2, dim2=-1)) / 8 + np.log(2) + np.log(2 * np.pi) / 2
    ).sum(-1)
    torch.testing.assert_close(model.apart(z=z), wanted)
    tril = torch.linalg.cholesky(program.Model().double().get("L") @ program.Model().double().get("L").mT)
    other = D.MultivariateNormal(torch.tensor([0.0, 0, 0, 0, 1]).double(), scale_tril=tril)
    torch.testing.assert_close(model.whole(z=z), D.kl_divergence(D.MultivariateNormal(own.loc, covariance), other))
    assert all(program.closed_in(name) for name in ("h", "apart", "whole"))


def test_draws_of_low_rank_have_their_covariance() -> None:
    text = "x : real[3]\np(x) = LowRankMultivariateNormal([1, -1, 0], [[1, 0.5], [0, 2], [1, -1]], [0.5, 0.1, 2])\n"
    model = compiled(f"{text}s = log p(x)\nd = E_{{p(x); samples = 4000}}[x[0] * x[1]]").Model()
    torch.manual_seed(0)
    x = model.sample((40_000,))["x"].double().numpy()
    factor = np.array([[1, 0.5], [0, 2], [1, -1]])
    covariance = factor @ factor.T + np.diag([0.5, 0.1, 2])
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.15)
    for slant in [*np.eye(3).tolist(), [1, -2, 0.5]]:
        spread = np.sqrt(np.array(slant) @ covariance @ slant)
        law = scipy.stats.norm(np.array(slant) @ [1, -1, 0], spread)
        assert scipy.stats.kstest(x @ slant, law.cdf).pvalue > 1e-6
    assert float(model.d()) == pytest.approx(covariance[0, 1] - 1, abs=0.3)


def test_low_rank_in_single_precision_keeps_its_digits() -> None:
    text = "x : real[4]\ns : real\nz : real[4, 2]\n"
    text += "p(x|z,s) = LowRankMultivariateNormal([0, 0, 0, 0], z, exp(s) * [1, 2, 3, 4])\n"
    model = compiled(f"{text}f = log p(x|z,s)").Model()
    torch.manual_seed(1)
    for s in (-30.0, -12.0, 0.0, 20.0):
        z = (100 * torch.randn(4, 2)).requires_grad_()
        x = (z @ torch.tensor([0.3, -1.0])).detach()
        level = torch.tensor(s, requires_grad=True)
        value = model.f(x=x, z=z, s=level)
        value.backward()
        assert value.isfinite() and z.grad.isfinite().all() and level.grad.isfinite()
        spread = torch.exp(torch.tensor(s)).double() * torch.tensor([1.0, 2, 3, 4]).double()
        scaled = z.detach().double() / spread.sqrt().unsqueeze(-1)
        u, lengths, _ = torch.linalg.svd(scaled, full_matrices=True)
        eigen = 1 + torch.cat((lengths.square(), torch.zeros(2).double()))
        seen = u.mT @ (x.double() / spread.sqrt())
        wanted = -0.5 * ((seen.square() / eigen).sum() + eigen.log().sum() + spread.log().sum() + 4 * np.log(2 * np.pi))
        assert float(value) == pytest.approx(float(wanted), rel=1e-3 if s < -20 else 1e-4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("f(z), [[1, 2], [3, 4]], [1, 1, 1]", "cov_factor of p(x|z) is [2, 2], and x needs [3, 2]"),
        ("f(z), w, [1, 1]", "cov_diag of p(x|z) is [2], and x needs [3]"),
        ("f(z), w, [1, -1, 1]", "positive"),
    ],
)
def test_what_is_said_of_wrong_low_rank_parameters(parameters: str, message: str) -> None:
    text = "x : real[3]\nz : real[2]\nnet f = Linear(3)\nparam w : real[3, 2]\n"
    found = pgc.check(f"{text}p(x|z) = LowRankMultivariateNormal({parameters})\nl = log p(x|z)")
    assert any(message in d.message for d in found), found


DIRECTIONS = """x : real[4]
z : real[3]
net f = Linear(3)
net k = Linear(1) >> Softplus
net g = Linear(4)
p(z) = VonMisesFisher([0, 0, 1], 0.5)
p(x|z) = Normal(g(z), 1)
q(z|x) = VonMisesFisher(f(x), k(x)[0])
elbo = ELBO[p || q]
kl = KL[q || p(z)]
h = H[q(z|x)]
maximize elbo
"""
ROWS_OF_DIRECTIONS = """x : real[6, 5]
z : real[2]
net m = Linear(30) >> Unflatten((6, 5))
net k = Linear(6) >> Softplus
p(z) = Normal(0, 1)
p(x|z) = VonMisesFisher(m(z), k(z))
fit = log p(x|z)
maximize fit
"""
ANGLES = """x : real[4]
z : real[2]
net f = Linear(2)
net k = Linear(2) >> Softplus
net g = Linear(4)
p(z) = VonMises(0, 0.5)
p(x|z) = Normal(g(z), 1)
q(z|x) = VonMises(f(x), k(x))
elbo = ELBO[p || q]
maximize elbo
"""


@pytest.mark.parametrize(
    "text",
    [DIRECTIONS, ROWS_OF_DIRECTIONS, ROWS_OF_DIRECTIONS.replace("k(z)", "4"), ANGLES],
    ids=["posterior", "rows", "one concentration", "angles"],
)
def test_models_of_directions_are_verified(text: str) -> None:
    """Angles have a score function, and a path through their draws would count the gradient twice."""
    assert all(check.passed for check in compiled(text).verify(runs=800))


def log_constant(kappa: mpmath.mpf, dim: int) -> mpmath.mpf:
    """log of the density's constant, by the modified Bessel function."""
    order = mpmath.mpf(dim) / 2 - 1
    if kappa == 0:
        return mpmath.loggamma(mpmath.mpf(dim) / 2) - mpmath.log(2) - mpmath.mpf(dim) / 2 * mpmath.log(mpmath.pi)
    bessel = mpmath.log(mpmath.besseli(order, kappa))
    return order * mpmath.log(kappa) - mpmath.mpf(dim) / 2 * mpmath.log(2 * mpmath.pi) - bessel


@pytest.mark.parametrize("dim", [2, 3, 4, 7, 20, 51, 128, 500])
@pytest.mark.parametrize("kappa", [1e-6, 0.01, 1.0, 8.0, 60.0, 900.0])
def test_directions_are_mpmaths(dim: int, kappa: float) -> None:
    text = f"x, m : real[{dim}]\nk : positive\np(x|m,k) = VonMisesFisher(m, k)\nf = log p(x|m,k)\nh = H[p(x|m,k)]\n"
    model = compiled(text).Model().double()
    torch.manual_seed(dim)
    x, m = (torch.randn(dim, dtype=torch.float64) for _ in range(2))
    x = x / x.norm()
    k = torch.tensor(kappa, dtype=torch.float64, requires_grad=True)
    value = model.f(x=x, m=m, k=k)
    (slope,) = torch.autograd.grad(value, k)
    along = float(x @ m / m.norm())
    with mpmath.workdps(60):
        at = mpmath.mpf(kappa)
        length = mpmath.besseli(mpmath.mpf(dim) / 2, at) / mpmath.besseli(mpmath.mpf(dim) / 2 - 1, at)
        wanted, constant = at * along + log_constant(at, dim), log_constant(at, dim)
        assert float(value) == pytest.approx(float(wanted), rel=1e-9, abs=1e-8)
        assert float(slope) == pytest.approx(float(along - length), rel=1e-7, abs=1e-9)
        assert float(model.h(m=m, k=k.detach())) == pytest.approx(float(-at * length - constant), rel=1e-8, abs=1e-7)


@pytest.mark.parametrize("dim", [2, 3, 30])
def test_directions_at_the_ends_of_single_precision(dim: int) -> None:
    text = f"x, m : real[{dim}]\ns : real\np(x|m,s) = VonMisesFisher(m, softplus(s))\n"
    text += "f = log p(x|m,s)\nh = H[p(x|m,s)]\n"
    model = compiled(text).Model()
    x = torch.zeros(dim)
    x[0] = 1
    for raw in (-80.0, -20.0, 0.0, 50.0, 1e4, 1e6):
        m, s = x.clone().requires_grad_(), torch.tensor(raw, requires_grad=True)
        value = model.f(x=x, m=m, s=s)
        value.backward()
        assert value.isfinite() and m.grad.isfinite().all() and s.grad.isfinite()
        with mpmath.workdps(60):
            kappa = mpmath.log1p(mpmath.exp(raw)) if raw < 100 else mpmath.mpf(raw)
            assert float(value) == pytest.approx(float(kappa + log_constant(kappa, dim)), rel=1e-5, abs=1e-5)
        entropy = model.h(m=m.detach(), s=s)
        assert entropy.isfinite() and torch.autograd.grad(entropy, s)[0].isfinite()


@pytest.mark.parametrize(
    ("dim", "kappa"), [(2, 0.3), (2, 20.0), (3, 0.01), (3, 5.0), (3, 5e4), (10, 30.0), (200, 100.0)]
)
def test_drawn_directions_follow_their_distribution(dim: int, kappa: float) -> None:
    text = f"x : real[{dim}]\nparam m : real[{dim}] = normal(1)\np(x) = VonMisesFisher(m, {kappa})\nf = log p(x)\n"
    model = compiled(text).Model().double()
    torch.manual_seed(5)
    x = model.sample((20_000,))["x"]
    torch.testing.assert_close(x.norm(dim=-1), torch.ones(20_000).double())
    mean = (model.m / model.m.norm()).detach()
    cosine = (x @ mean).numpy()
    angles = np.linspace(0, np.pi, 200_001)
    density = np.exp(kappa * (np.cos(angles) - 1)) * np.sin(angles) ** (dim - 2)
    share = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    share /= share[-1]
    found = scipy.stats.kstest(np.arccos(np.clip(cosine, -1, 1)), lambda a: np.interp(a, angles, share))
    assert found.pvalue > 1e-6
    # Around the mean every direction is as likely.
    aside = x - (x @ mean).unsqueeze(-1) * mean
    aside = aside / aside.norm(dim=-1, keepdim=True)
    assert float(aside.mean(0).norm()) < 6 / np.sqrt(20_000)
    made = model.factor("p(x)")()
    torch.testing.assert_close(made.mean, x.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(made.log_prob(x[:5]), model.f(x=x[:5]))


def test_the_divergence_of_directions() -> None:
    model = compiled(DIRECTIONS).Model().double()
    x = torch.randn(5, 4).double()
    loc, kappa = model.f(x).detach(), model.k(x)[:, 0].detach()
    loc = loc / loc.norm(dim=-1, keepdim=True)
    found = model.kl(x=x)
    for i in range(5):
        with mpmath.workdps(30):
            k, own = mpmath.mpf(float(kappa[i])), mpmath.mpf("0.5")
            length = mpmath.besseli(1.5, k) / mpmath.besseli(0.5, k)
            wanted = length * (k - own * float(loc[i, 2])) + log_constant(k, 3) - log_constant(own, 3)
        assert float(found[i]) == pytest.approx(float(wanted), rel=1e-8)
    assert compiled(DIRECTIONS).closed_in("kl")


def test_a_direction_has_two_numbers_or_more() -> None:
    found = pgc.check("x : real[1]\np(x) = VonMisesFisher([1], 2)\ns = log p(x)\n")
    assert any(d.code == "PGC304" and "over 2 numbers or more" in d.message for d in found), found
    found = pgc.check("x : real[3]\nparam k : positive[3]\np(x) = VonMisesFisher([1, 0, 0], k)\ns = log p(x)\n")
    assert any(d.code == "PGC305" and "concentration" in d.message for d in found), found


@pytest.mark.parametrize(
    ("dim", "kappa"), [(2, 0.3), (2, 30.0), (3, 0.01), (3, 5.0), (3, 2e4), (10, 30.0), (200, 100.0)]
)
def test_a_drawn_cosine_moves_with_the_concentration(dim: int, kappa: float) -> None:
    """At its rank among all draws: by the distribution function at two concentrations, integrated by scipy."""
    from pgcompile.runtime.functions import sphere_lack

    angles = np.linspace(0, np.pi, 400_001)

    def share(k: float) -> np.ndarray:
        with np.errstate(divide="ignore"):
            logs = k * (np.cos(angles) - 1) + ((dim - 2) * np.log(np.sin(angles)) if dim > 2 else 0)
        density = np.exp(logs - logs.max())
        total = scipy.integrate.cumulative_simpson(density, x=angles, initial=0)
        return total / total[-1]

    ranks = np.array([0.02, 0.2, 0.5, 0.8, 0.98])
    step = 1e-3 * kappa
    at, less, more = (np.interp(ranks, share(k), angles) for k in (kappa, kappa - step, kappa + step))
    wanted = ((1 - np.cos(more)) - (1 - np.cos(less))) / (2 * step)
    k = torch.full((5,), kappa, dtype=torch.float64, requires_grad=True)
    drawn = sphere_lack(torch.as_tensor(1 - np.cos(at)), k, dim)
    (slope,) = torch.autograd.grad(drawn.sum(), k)
    np.testing.assert_allclose(slope.numpy(), wanted, rtol=5e-3, atol=1e-9)
