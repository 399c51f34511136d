"""Vectors of low-rank covariance: densities, divergences and draws by torch's distributions and numpy."""

import numpy as np
import pytest
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
