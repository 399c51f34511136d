"""Random matrices: densities by scipy and torch's distributions, gradients, and models of covariances."""

import numpy as np
import pytest
import scipy.stats
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled

MODELS = {
    "Wishart": "S : positive_definite[3, 3]\nparam L : lower_cholesky[3, 3]\nz : real[2]\n"
    "net f = Linear(1) >> Softplus\np(z) = Normal(0, 1)\np(S|z) = Wishart(2 + f(z)[0], scale_tril = L)\n"
    "fit = log p(S|z)\n"
    "m = E_{p(S|z); samples = 3}[sum(sin(S))]\nmaximize fit\n",
    "rows of Wisharts": "S : positive_definite[4, 2, 2]\nparam n : positive[4]\nparam V : positive_definite[4, 2, 2]\n"
    "p(S) = Wishart(1 + n, covariance_matrix = V)\nfit = log p(S)\nmaximize fit\n",
    "a posterior": "S : positive_definite[2, 2]\nx : real[2]\nnet f = Linear(1) >> Softplus\n"
    "param L : lower_cholesky[2, 2]\np(S) = Wishart(4, precision_matrix = [[2, 0.5], [0.5, 1]])\n"
    "p(x|S) = MultivariateNormal([0, 0], S)\n"
    "q(S|x) = Wishart(3 + f(x)[0], scale_tril = L)\nelbo = E_{q(S|x)}[log p(x|S) p(S) - log q(S|x)]\nmaximize elbo\n",
    "LKJ": "C : corr_cholesky[3, 3]\nz : real[2]\nnet f = Linear(1) >> Softplus\np(z) = Normal(0, 1)\n"
    "p(C|z) = LKJCholesky(3, f(z)[0])\nfit = log p(C|z)\nm = E_{p(C|z); samples = 2}[sum(sin(C))]\nmaximize fit\n",
    "rows of LKJ": "C : corr_cholesky[5, 2, 2]\nparam k : positive[5]\np(C) = LKJCholesky(2, k)\nfit = log p(C)\n"
    "maximize fit\n",
    "correlated": "C : corr_cholesky[2, 2]\nx : real[2]\nparam s : positive[2]\nnet f = Linear(1) >> Softplus\n"
    "p(C) = LKJCholesky(2, 2)\np(x|C) = MultivariateNormal([0, 0], scale_tril = diag(s) @ C)\n"
    "q(C|x) = LKJCholesky(2, 1 + f(x)[0])\nelbo = E_{q(C|x)}[log p(x|C) p(C) - log q(C|x)]\nmaximize elbo\n",
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_models_of_matrices_are_verified(text: str) -> None:
    assert all(check.passed for check in compiled(text).verify())


@pytest.mark.parametrize("form", ["covariance_matrix", "precision_matrix", "scale_tril"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_wishart_is_scipys(form: str, size: int) -> None:
    kind = "lower_cholesky" if form == "scale_tril" else "positive_definite"
    text = f"S : positive_definite[{size}, {size}]\nV : {kind}[{size}, {size}]\nn : positive\n"
    model = compiled(f"{text}p(S|V,n) = Wishart(n, {form} = V)\nf = log p(S|V,n)").Model().double()
    rng = np.random.default_rng(size)
    for df in (size - 0.5, size + 0.3, 40.0):
        given = rng.normal(size=(size, size))
        scale = given @ given.T + np.eye(size)
        other = rng.normal(size=(size, size))
        value = other @ other.T + 0.1 * np.eye(size)
        root = {"precision_matrix": np.linalg.inv(scale), "scale_tril": np.linalg.cholesky(scale)}.get(form, scale)
        found = model.f(S=torch.as_tensor(value), V=torch.as_tensor(root), n=torch.tensor(df).double())
        assert float(found) == pytest.approx(float(scipy.stats.wishart.logpdf(value, df, scale)), rel=1e-6)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_lkj_is_torchs_and_is_normalised(size: int) -> None:
    text = f"C : corr_cholesky[{size}, {size}]\nk : positive\np(C|k) = LKJCholesky({size}, k)\nf = log p(C|k)\n"
    model = compiled(text).Model().double()
    for concentration in (0.3, 1.0, 7.0):
        k = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
        law = D.LKJCholesky(size, k)
        value = law.sample((20,))
        found = model.f(C=value, k=k.expand(20))
        torch.testing.assert_close(found, law.log_prob(value))
        torch.testing.assert_close(*(torch.autograd.grad(v.sum(), k)[0] for v in (found, law.log_prob(value))))
    if size == 2:
        r = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1]
        rest = (1 - r.square()).sqrt()
        rows = torch.stack((torch.ones_like(r), torch.zeros_like(r), r, rest), -1).reshape(-1, 2, 2)
        # Along the unit circle the surface element of the second row is dr / sqrt(1 - r^2); torch's density is over r.
        total = torch.trapezoid(model.f(C=rows, k=torch.full_like(r, 2.0)).exp(), r)
        assert float(total) == pytest.approx(1, rel=1e-4)


def test_the_mean_of_a_cholesky_factor() -> None:
    model = compiled("C : corr_cholesky[4, 4]\np(C) = LKJCholesky(4, 0.8)\nf = log p(C)\n").Model()
    torch.manual_seed(0)
    drawn = model.sample((50_000,))["C"]
    torch.testing.assert_close(model.sample_mean(())["C"], drawn.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.square().sum(-1), torch.ones(50_000, 4), atol=1e-5, rtol=0)


def test_matrices_in_single_precision() -> None:
    text = "S : positive_definite[3, 3]\nn : positive\ns : real\n"
    text += "p(S|n,s) = Wishart(2 + n, scale_tril = exp(s) * diag([1, 2, 3]))\nf = log p(S|n,s)"
    model = compiled(text).Model()
    value = torch.tensor([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]])
    for n, s in ((1e-4, 0.0), (1.0, -8.0), (1.0, 8.0), (1e4, 0.0)):
        df, level = torch.tensor(n, requires_grad=True), torch.tensor(s, requires_grad=True)
        found = model.f(S=value, n=df, s=level)
        found.backward()
        assert found.isfinite() and df.grad.isfinite() and level.grad.isfinite()
        scale = np.exp(2 * s) * np.diag([1.0, 4.0, 9.0])
        wanted = scipy.stats.wishart.logpdf(value.double().numpy(), 2 + n, scale)
        assert float(found) == pytest.approx(float(wanted), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("S : positive_definite[3, 3]\np(S) = Wishart(2, scale_tril = eye(3))", "PGC306", "it must be above 2"),
        ("S : real[3]\np(S) = Wishart(5, scale_tril = eye(3))", "PGC304", "a distribution over matrices"),
        ("S : positive_definite[2, 2]\np(S) = Wishart(5, scale_tril = eye(3))", "PGC305", "needs [2, 2]"),
        ("C : corr_cholesky[3, 3]\np(C) = LKJCholesky(2, 1)", "PGC305", "dim of p(C) is 2"),
        ("C : real[3, 3]\np(C) = LKJCholesky(3, 1)", "W103", "the Cholesky factor of a correlation matrix"),
        ("x : real\nparam C : corr_cholesky[3, 3]\np(x) = Normal(sum(C), 1)", "PGC112", "cannot be learned"),
    ],
)
def test_what_is_said_of_wrong_matrices(text: str, code: str, message: str) -> None:
    found = pgc.check(f"{text}\nf = log p({text[0]})\n")
    assert any(d.code == code and message in d.message for d in found), found
