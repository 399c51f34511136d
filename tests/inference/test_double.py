"""Exact Gaussian marginals and posteriors with little noise, against dense algebra in double precision."""

import pytest
import torch
from torch import Tensor, distributions

import pgcompile as pgc

PROGRAM = """
z : real[2]
x : real[6]
param A : real[6,2] = normal(1)
param s : positive = {noise}
p(z) = Normal(0, 1)
p(x|z) = Normal(A @ z, s)
p(x) = ∫ p(x|z) p(z) dz
p(z|x) = p(x|z) p(z) / p(x)
l = log p(x)
post = log p(z|x)
bound = E_{{p(z|x)}}[log p(x|z) + log p(z)] + H[p(z|x)]
"""


def model_of(noise: float) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = pgc.compile(PROGRAM.format(noise=noise)).Model()
    return model


def exact(model: torch.nn.Module) -> tuple[Tensor, Tensor, distributions.MultivariateNormal]:
    loading = model.A.detach().double().requires_grad_()
    free = model.free_s.detach().double().requires_grad_()
    covariance = loading @ loading.T + torch.nn.functional.softplus(free) ** 2 * torch.eye(6).double()
    return loading, free, distributions.MultivariateNormal(torch.zeros(6).double(), covariance)


@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-3, 1e-4])
def test_a_marginal_keeps_its_digits(noise: float) -> None:
    model = model_of(noise)
    x = torch.randn(200, 2) @ model.A.detach().T + noise * torch.randn(200, 6)
    value = model.l(x=x)
    loading, free, normal = exact(model)
    expected = normal.log_prob(x.double())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    mine = torch.autograd.grad(value.mean(), [model.A, model.free_s])
    true = torch.autograd.grad(expected.mean(), [loading, free])
    for found, wanted in zip(mine, true, strict=True):
        assert (found - wanted).norm() / wanted.norm() < 1e-4
    torch.testing.assert_close(model.log_prob_of("p(x)", x=x), value, rtol=1e-3, atol=1e-3)
    covered = model.factor("p(x)")().sample((4000,)).var(0)
    torch.testing.assert_close(covered.double(), normal.variance.detach(), rtol=0.15, atol=0)


@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-3])
def test_a_posterior_keeps_its_digits(noise: float) -> None:
    model = model_of(noise)
    z = torch.randn(50, 2)
    x = z @ model.A.detach().T + noise * torch.randn(50, 6)
    loading, free, normal = exact(model)
    scale = torch.nn.functional.softplus(free)
    prior = distributions.Normal(0.0, 1.0).log_prob(z.double()).sum(-1)
    likelihood = distributions.Normal(z.double() @ loading.T, scale).log_prob(x.double()).sum(-1)
    expected = prior + likelihood - normal.log_prob(x.double())
    torch.testing.assert_close(model.post(x=x, z=z).double(), expected, rtol=1e-4, atol=1e-3)


def test_the_bound_of_the_exact_posterior_is_the_evidence() -> None:
    model = model_of(1e-2)
    x = torch.randn(400, 2) @ model.A.detach().T + 1e-2 * torch.randn(400, 6)
    torch.manual_seed(1)
    gap = (model.bound(x=x) - model.l(x=x)).mean()
    assert abs(gap.item()) < 0.3  # one draw of two latents a row: (2 - chi^2_2) / 2 in the mean of 400


def test_a_covariance_that_is_learned_as_it_is_stays_in_single_precision() -> None:
    program = pgc.compile(
        "x : real[3]\nparam C : positive_definite[3,3]\np(x) = MultivariateNormal(0, C)\nl = log p(x)\n"
    )
    assert "double()" not in program.source
