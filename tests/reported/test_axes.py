"""Values that vary along one drawn or enumerated axis beside values that vary along another."""

import math

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled


class Reward(torch.nn.Module):
    """Adds two categories, each with its own weight."""

    def forward(self, a: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return (a.double() + 1) * 10 + k.double()


class Joined(torch.nn.Module):
    """Joins two vectors, as a user's net would: the module sees one batch."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([a, b], -1)
        return (joined * joined.new_tensor([1.0, 10.0, 100.0, 1000.0, 1e4])).sum(-1)


class Component(torch.nn.Module):
    """A Gaussian whose mean is twice a category away."""

    def forward(self, k: torch.Tensor) -> D.Distribution:
        mean = (1 + k.double())[..., None] * torch.tensor([1.0, 2.0], dtype=torch.float64)
        return D.Independent(D.Normal(mean, 1.0), 1)


@pytest.mark.parametrize("count", [2, 3])
def test_an_extern_function_of_two_categories(count: int) -> None:
    weights = [[0.8, 0.2], [0.6, 0.3, 0.1]][count - 2]
    program = compiled(
        f"a : category[{count}]\nk : category[2]\np(a) = Categorical({weights})\np(k) = Categorical([0.9, 0.1])\n"
        "extern fn reward(a, k) -> real\no = E_{p(a) p(k)}[reward(a, k)]\n"
    )
    expected = sum(weights[i] * [0.9, 0.1][j] * ((i + 1) * 10 + j) for i in range(count) for j in (0, 1))
    assert program.Model(reward=Reward()).double().o().item() == pytest.approx(expected)


def test_an_extern_net_joins_vectors_of_two_axes() -> None:
    program = compiled(
        "a : one_hot[2]\nb : one_hot[3]\np(a) = OneHotCategorical([0.8, 0.2])\n"
        "p(b) = OneHotCategorical([0.6, 0.3, 0.1])\n"
        "extern fn f(a, b) -> real\no = E_{p(a) p(b)}[f(a, b)]\n"
    )
    expected = 0.8 * 1 + 0.2 * 10 + 0.6 * 100 + 0.3 * 1000 + 0.1 * 1e4
    assert program.Model(f=Joined()).double().o().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("count", "samples"), [(2, 2), (3, 2)])
def test_an_extern_factor_beside_samples(count: int, samples: int) -> None:
    weights = [[0.8, 0.2], [0.6, 0.3, 0.1]][count - 2]
    program = compiled(
        f"x : real[2]\nz : real[2]\nk : category[{count}]\np(k) = Categorical({weights})\n"
        f"q(z|x) = Normal(0.5 * x, [0.7, 0.3])\nextern r(z|k)\n"
        f"o = E_{{q(z|x); samples={samples}}}[E_{{p(k)}}[log r(z|k)]]\n"
    )
    x = torch.tensor([0.5, -1.0], dtype=torch.float64)
    torch.manual_seed(0)
    values = program.Model(Component()).double().o(x=x.expand(4000, 2))
    # E|z - m|^2 = |E z - m|^2 + the variances.
    distance = [
        sum((0.5 * x[i] - (1 + k) * (i + 1)).item() ** 2 + s**2 for i, s in enumerate((0.7, 0.3))) for k in range(count)
    ]
    expected = sum(w * (-0.5 * d - math.log(2 * math.pi)) for w, d in zip(weights, distance, strict=True))
    assert values.mean().item() == pytest.approx(expected, abs=5 * values.std().item() / 4000**0.5)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 2)])
def test_a_covariance_and_a_mean_of_two_categories(first: int, second: int) -> None:
    scales = [[1, 4], [9, 2], [3, 1]][:second]
    program = compiled(
        f"a : category[{first}]\nb : category[{second}]\nx : real[2]\nparam c : real[{first},2] = normal(3)\n"
        f"buffer s : positive[{second},2] = {scales}\np(a) = Categorical(logits = 0)\np(b) = Categorical(logits = 0)\n"
        "p(x|a,b) = MultivariateNormal(c[a], scale_tril = diag(s[b]))\np(x) = ∫ p(x|a,b) p(a) p(b) da db\n"
        "o = log p(x)\ng = E_{p(a) p(b)}[log p(x|a,b)]\n"
    )
    torch.manual_seed(0)
    model, x = program.Model().double(), torch.randn(3, 2, dtype=torch.float64)
    joint = torch.stack(
        [
            torch.stack(
                [D.MultivariateNormal(model.c[i], scale_tril=torch.diag(model.s[k])).log_prob(x) for k in range(second)]
            )
            for i in range(first)
        ]
    )
    torch.testing.assert_close(model.o(x=x), joint.logsumexp((0, 1)) - math.log(first * second))
    torch.testing.assert_close(model.g(x=x), joint.mean((0, 1)))


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_a_mixture_prior_with_full_covariances_beside_samples(samples: int) -> None:
    """The mean over samples of a log-density is that of each sample: the same noise gives the same numbers."""
    text = (
        "x : real[2]\nz : real[2]\nk : category[3]\nbuffer m : real[3,2] = [[0, 0], [1, 2], [-2, 1]]\n"
        "buffer s : positive[3,2] = [[1, 4], [9, 2], [0.1, 1]]\np(k) = Categorical([0.7, 0.2, 0.1])\n"
        "p(z|k) = MultivariateNormal(m[k], scale_tril = diag(s[k]))\np(z) = sum_k p(z|k) p(k)\n"
        f"q(z|x) = Normal(0.5 * x, [0.7, 0.3])\no = E_{{q(z|x); samples={samples}}}[log p(z)]\n"
    )
    model = compiled(text).Model().double()
    x = torch.tensor([[0.5, -1.0], [2.0, 0.3]], dtype=torch.float64)
    torch.manual_seed(0)
    found = model.o(x=x)
    torch.manual_seed(0)
    noise = torch.randn(samples, 2, 2, dtype=torch.float64) if samples > 1 else torch.randn(1, 2, 2).double()
    if samples == 1:
        torch.manual_seed(0)
        noise = torch.randn(2, 2, dtype=torch.float64)[None]
    z = 0.5 * x + torch.tensor([0.7, 0.3], dtype=torch.float64) * noise
    parts = [D.MultivariateNormal(model.m[k], scale_tril=torch.diag(model.s[k])).log_prob(z) for k in range(3)]
    logs = torch.stack(parts, -1) + torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
    torch.testing.assert_close(found, logs.logsumexp(-1).mean(0))


def test_a_debug_module_watches_tensors_only() -> None:
    text = (
        "a : category[2]\nj : category[2][2]\ny : real\nparam W : real[2,2,2] = normal(1)\nparam u : real[2] = [0,1]\n"
        "p(a) = Categorical(logits = 0)\np(j|a) = Categorical(logits = W[a])\np(y|j) = Normal(u[j[0]] + u[j[1]], 1)\n"
        "p(y) = ∫ p(a,j,y) da dj\nl = log p(y)\n"
    )
    torch.manual_seed(0)
    plain = compiled(text).Model()
    debug = pgc.compile(text, debug=True).Model()
    debug.load_state_dict(plain.state_dict())
    y = torch.tensor([0.3, -1.0])
    torch.testing.assert_close(debug.l(y=y), plain.l(y=y))
