"""Linear Gaussian programs with indices against their joint Gaussian, by scipy and by algebra."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tests.conftest import compiled

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
S = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SPREAD = 6.0

SCHOOLS = """index n in data
y_n : real
s_n : positive
e_n : real
mu : real
p(mu) = Normal(0, 5)
p(e_n | mu) = Normal(mu, 6)
p(y_n | e_n, s_n) = Normal(e_n, s_n)
param m_mu : real
param d_mu : positive
q(mu) = Normal(m_mu, d_mu)
q(e_n | mu, y_n, s_n) = Normal((mu / 36 + y_n / s_n^2) / (1 / 36 + 1 / s_n^2), 1 / sqrt(1 / 36 + 1 / s_n^2))
elbo = ELBO[p || q]
"""


def posterior_of_the_mean() -> tuple[float, float]:
    """Of the schools' common mean, whose prior is Normal(0, 5)."""
    precision = 1 / 25 + (1 / (S**2 + SPREAD**2)).sum()
    return float((Y / (S**2 + SPREAD**2)).sum() / precision), float(precision**-0.5)


def schools(shift: float) -> Any:
    model = compiled(SCHOOLS).Model().double()
    loc, scale = posterior_of_the_mean()
    model.set("m_mu", torch.tensor(loc + shift))
    model.set("d_mu", torch.tensor(scale))
    return model


def evidence() -> float:
    covariance = np.diag(S**2 + SPREAD**2) + 25.0
    return float(stats.multivariate_normal(np.zeros(8), covariance).logpdf(Y))


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_hierarchical_bound_is_the_evidence_less_the_divergence(shift: float) -> None:
    """With the exact posterior the bound is log p(y); a mean that is off by d costs (d / scale)^2 / 2."""
    model = schools(shift)
    y, s = torch.tensor(Y), torch.tensor(S)
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = model.elbo(y=y.expand(40_000, 8), s=s.expand(40_000, 8), N=8)
    expected = evidence() - 0.5 * (shift / posterior_of_the_mean()[1]) ** 2
    assert abs(float(drawn.mean()) - expected) < 5 * float(drawn.std()) / 200 + 1e-9


CHAIN = """index t in 1..T
x_t : real
z_t : real
z_0 = 0
p(z_t | z_{t-1}) = Normal(0.9 * z_{t-1}, 0.5)
p(x_t | z_t) = Normal(z_t, 0.4)
q(z_t | z_{t-1}, x_t) = Normal(0.3 * z_{t-1} + 0.6 * x_t, 0.3)
elbo = ELBO[p || q]
"""


def test_the_bound_of_a_chain_is_that_of_its_joint_gaussians() -> None:
    """log p(x) less the divergence between q(z|x) and p(z|x), both whole Gaussians of five places."""
    places, x = 5, np.array([0.3, -1.2, 0.5, 2.0, 1.1])
    steps = np.eye(places) - 0.9 * np.eye(places, k=-1)
    prior = 0.25 * np.linalg.inv(steps.T @ steps)
    marginal = prior + 0.16 * np.eye(places)
    gain = prior @ np.linalg.inv(marginal)
    mean, covariance = gain @ x, prior - gain @ prior
    own = np.linalg.inv(np.eye(places) - 0.3 * np.eye(places, k=-1))
    q_mean, q_covariance = own @ (0.6 * x), 0.09 * own @ own.T
    apart, precision = mean - q_mean, np.linalg.inv(covariance)
    ratio = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(q_covariance)[1]
    divergence = 0.5 * (np.trace(precision @ q_covariance) + apart @ precision @ apart - places + ratio)
    expected = stats.multivariate_normal(np.zeros(places), marginal).logpdf(x) - divergence
    model: Any = compiled(CHAIN).Model().double()
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = model.elbo(x=torch.tensor(x).expand(40_000, places))
    assert abs(float(drawn.mean()) - expected) < 5 * float(drawn.std()) / 200


RATINGS = """index u in 1..U
index i in 1..I
r_{u,i} : real
a_u : real[3]
b_i : real[3]
f_u : real[3]
g_i : real[3]
p(a_u) = Normal(0, 1)
p(b_i) = Normal(0, 1)
p(r_{u,i} | a_u, b_i) = Normal(sum(a_u * b_i) + 0.2, 0.5)
q(a_u | f_u) = Normal(f_u, 0.4)
q(b_i | g_i) = Normal(g_i, 0.3)
elbo = ELBO[p || q]
"""


def test_the_bound_of_a_matrix_factorisation() -> None:
    """E[a b] and E[(a b)^2] of independent Gaussians: the mean of the bound is a formula."""
    generator = np.random.default_rng(0)
    r, f, g = generator.normal(size=(4, 5)), generator.normal(size=(4, 3)), generator.normal(size=(5, 3))
    square = (r - f @ g.T - 0.2) ** 2 + (f**2).sum(1)[:, None] * 0.09 + (g**2).sum(1) * 0.16 + 3 * 0.16 * 0.09
    likelihood = (-0.5 * square / 0.25 - 0.5 * np.log(2 * np.pi) - np.log(0.5)).sum()
    divergences = sum((0.5 * (m**2 + s**2 - 1) - np.log(s)).sum() for m, s in ((f, 0.4), (g, 0.3)))
    model: Any = compiled(RATINGS).Model().double()
    many = {name: torch.tensor(v).expand(20_000, *v.shape) for name, v in (("r", r), ("f", f), ("g", g))}
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = model.elbo(**many)
    assert abs(float(drawn.mean()) - (likelihood - divergences)) < 5 * float(drawn.std()) / 20_000**0.5 + 1e-9
