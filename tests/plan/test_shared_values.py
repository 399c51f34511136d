"""Values that cancel: two factors that have a parameter in common, and formulas that subtract a value from itself."""

import pytest
import torch
from torch import distributions as D

from tests.conftest import compiled

SAME = {
    "Normal(m, s)": "real[3]",
    "LogNormal(m, s)": "positive[3]",
    "Laplace(m, s)": "real[3]",
    "Gamma(s, r)": "positive[3]",
    "InverseGamma(s, r)": "positive[3]",
    "Beta(s, r)": "unit_interval[3]",
    "Bernoulli(logits = m)": "boolean[3]",
    "Categorical(logits = m)": "category[3]",
    "OneHotCategorical(logits = m)": "one_hot[3]",
    "Dirichlet(s)": "simplex[3]",
    "MultivariateNormal(m, scale_tril = l)": "real[3]",
    "MultivariateNormal([0.5, 1, 1], scale_tril = l)": "real[3]",
    "MultivariateNormal(m, covariance_matrix = c)": "real[3]",
    "MultivariateNormal(m, precision_matrix = c)": "real[3]",
}


@pytest.mark.parametrize("factor", SAME)
def test_a_divergence_from_itself_is_zero(factor: str) -> None:
    module = compiled(f"""
        z : {SAME[factor]}
        param m : real[3] = normal(1)
        param s, r : positive[3] = 0.7
        param l : lower_cholesky[3, 3] = eye
        param c : positive_definite[3, 3] = eye
        q(z) = {factor}
        p(z) = {factor}
        t = KL[q || p]
    """).Model()
    torch.testing.assert_close(module.t(), torch.tensor(0.0), atol=1e-5, rtol=0)


def test_gaussians_with_one_mean_and_two_matrices() -> None:
    module = compiled("""
        z : real[3]
        param a, b : lower_cholesky[3, 3] = normal(0.5)
        q(z) = MultivariateNormal([0.5, 1, 1], scale_tril = a)
        p(z) = MultivariateNormal([0.5, 1, 1], scale_tril = b)
        t = KL[q || p]
    """).Model()

    def tril(free: torch.Tensor) -> torch.Tensor:
        return free.tril(-1) + torch.diag_embed(torch.nn.functional.softplus(free.diagonal()))

    loc = torch.tensor([0.5, 1.0, 1.0])
    q, p = (D.MultivariateNormal(loc, scale_tril=tril(free)) for free in (module.free_a, module.free_b))
    torch.testing.assert_close(module.t(), D.kl_divergence(q, p))


def test_what_is_subtracted_from_itself_keeps_its_shape() -> None:
    module = compiled("""
        x : real[3]
        param h : real[3] = normal(1)
        p(x) = Normal(h, 1)
        t = log p(x) + sum(exp(h - h))
        u = log p(x) + sum(x * (h - h + 1))
        v = log p(x) + mean(cos(h - h) + 1)
    """).Model()
    x = torch.randn(5, 3)
    base = D.Normal(module.h, 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(module.t(x), base + 3)
    torch.testing.assert_close(module.u(x), base + x.sum(-1))
    torch.testing.assert_close(module.v(x), base + 2)
