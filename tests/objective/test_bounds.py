"""Bounds and discrepancies against values from elsewhere: exact marginals, quadrature, U-statistics written out."""

import itertools
import math

import pytest
import torch
import torch.distributions as D
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

LINEAR = """
x : real[2]
z : real[3]
param w : real[3, 2] = normal(1)
param a : real[2, 3] = normal(0.3)
p(z) = Normal(0, 1)
p(x|z) = Normal(z @ w, 0.5)
q(z|x) = Normal(x @ a, 0.8)
"""


def _log_marginal(model: torch.nn.Module, x: Tensor) -> Tensor:
    """x = w' z + noise is normal with covariance w' w + 0.25."""
    covariance = model.w.T @ model.w + 0.25 * torch.eye(2, dtype=x.dtype)
    return D.MultivariateNormal(torch.zeros(2, dtype=x.dtype), covariance).log_prob(x)


def test_the_bound_rises_with_the_samples_up_to_the_marginal() -> None:
    """ELBO <= IWAE_2 <= IWAE_10 <= IWAE_100 <= log p(x) (Burda, Grosse & Salakhutdinov 2016, theorem 1)."""
    torch.manual_seed(0)
    sizes = (2, 10, 100)
    lines = "".join(f"iwae_{k} = IWAE[p || q; samples={k}]\n" for k in sizes)
    model = compiled(LINEAR + "elbo = ELBO[p || q]\n" + lines).Model().double()
    x = torch.tensor([0.7, -1.2], dtype=torch.float64).expand(4000, 2)
    with torch.no_grad():
        values = [getattr(model, name)(x=x) for name in ("elbo", *(f"iwae_{k}" for k in sizes))]
        exact = _log_marginal(model, x[0])
    means = [float(v.mean()) for v in values]
    errors = [float(v.std()) / math.sqrt(len(v)) for v in values]
    for (low, low_error), (high, high_error) in itertools.pairwise(
        [*zip(means, errors, strict=True), (float(exact), 0.0)]
    ):
        assert low < high + 3 * (low_error + high_error)
    assert means[0] < float(exact) - 0.2, "the test must be able to fail"
    assert abs(means[-1] - float(exact)) < 0.2


def test_the_exact_bound_of_an_enumerated_posterior_is_the_marginal() -> None:
    """With every value of z in the sum, the importance-weighted bound is log p(x) whatever q is."""
    text = """
x : real[2]
k : category[4]
param m : real[4, 2] = normal(1)
param l : real[4] = normal(1)
p(k) = Categorical([0.1, 0.2, 0.3, 0.4])
p(x|k) = Normal(m[k], 0.5)
q(k|x) = Categorical(logits = l)
e = log E_{q(k|x)}[p(x|k) p(k) / q(k|x)]
f = log E_{q(k|x)}[p(x,k) / q(k|x)]
"""
    model = compiled(text).Model().double()
    x = torch.randn(5, 2, dtype=torch.float64)
    log_joint = D.Normal(model.m, 0.5).log_prob(x.unsqueeze(1)).sum(-1) + torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    torch.testing.assert_close(model.e(x=x), log_joint.logsumexp(-1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(model.f(x=x), model.e(x=x))


def _gradient(value: Tensor, model: torch.nn.Module) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, [model.w, model.a])])


def test_double_reparameterisation_is_unbiased_and_has_less_variance() -> None:
    """Tucker et al. 2019: the same mean gradient; for q its variance stays small as the samples grow."""
    torch.manual_seed(0)
    text = LINEAR + "e = IWAE[p || q; samples=16]\nd = IWAE[p || q; samples=16, grad=dreg]\n"
    model = compiled(text).Model().double()
    x = torch.tensor([0.7, -1.2], dtype=torch.float64)
    groups: dict[str, Tensor] = {}
    for name in ("e", "d"):
        method = getattr(model, name)
        groups[name] = torch.stack([_gradient(method(x=x.expand(800, 2)).mean(), model) for _ in range(40)])
    error = sum(g.var(0) / 40 for g in groups.values()).sqrt()
    assert ((groups["e"].mean(0) - groups["d"].mean(0)).abs() < 5 * error).all()
    of_q = slice(model.w.numel(), None)
    assert groups["d"].var(0)[of_q].mean() < 0.7 * groups["e"].var(0)[of_q].mean()


def test_the_bound_of_discrete_draws_has_an_unbiased_gradient() -> None:
    """Against the gradient of E[log mean w] over all pairs of states."""
    text = """
x : real[2]
b : boolean[2]
param l : real[2] = normal(1)
net dec = Linear(2)
p(b) = Bernoulli(0.4)
p(x|b) = Normal(dec(b), 1)
q(b|x) = Bernoulli(logits = l + x)
e = IWAE[p || q; samples=2]
"""
    torch.manual_seed(0)
    model = compiled(text).Model().double()
    x = torch.tensor([0.4, -0.3], dtype=torch.float64)
    states = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)), dtype=torch.float64)

    def joint(values: Tensor) -> tuple[Tensor, Tensor]:
        log_q = D.Bernoulli(logits=model.l + x).log_prob(values).sum(-1)
        log_p = D.Bernoulli(torch.tensor(0.4, dtype=torch.float64)).log_prob(values).sum(-1)
        return log_p + D.Normal(model.dec(values), 1.0).log_prob(x).sum(-1) - log_q, log_q

    log_w, log_q = joint(states)
    bound = torch.logaddexp(log_w.unsqueeze(0), log_w.unsqueeze(1)) - math.log(2)
    exact = ((log_q.unsqueeze(0) + log_q.unsqueeze(1)).exp() * bound).sum()
    parameters = [model.l, model.dec.weight, model.dec.bias]
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(exact, parameters)])
    groups = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(model.e(x=x.expand(4000, 2)).mean(), parameters)])
            for _ in range(20)
        ]
    )
    error = groups.std(0) / math.sqrt(20)
    assert ((groups.mean(0) - expected).abs() < 5 * error).all()


PAIR = """
x, z : real
param a : real = 0.7
param s : positive = 1.3
q(z|x) = Normal(a, s)
p(z) = Normal(0, 2)
"""


def _on_a_grid(model: torch.nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    z = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    scale = torch.nn.functional.softplus(model.free_s)
    two = torch.tensor(2.0, dtype=torch.float64)
    return z[1] - z[0], D.Normal(model.a, scale).log_prob(z), D.Normal(torch.zeros_like(two), two).log_prob(z)


@pytest.mark.parametrize(
    ("formula", "exact"),
    [
        ("Chi2[q(z|x) || p(z); samples=50]", lambda q, p: (2 * q - p).exp().sum() - 1 / q.exp().sum() * 0),
        ("JS[q(z|x) || p(z); samples=50]", lambda q, p: _js(q, p)),
        ("Jeffreys[q(z|x) || p(z)]", lambda q, p: ((q.exp() - p.exp()) * (q - p)).sum()),
        ("KL[p(z) || q(z|x)]", lambda q, p: (p.exp() * (p - q)).sum()),
        ("Renyi[q(z|x) || p(z); alpha=0.5, samples=500]", lambda q, p: ((q / 2 + p / 2).exp().sum(), -2.0)),
        ("Renyi[q(z|x) || p(z); alpha=1.5, samples=500]", lambda q, p: ((1.5 * q - 0.5 * p).exp().sum(), 2.0)),
    ],
)
def test_divergences_by_quadrature(formula: str, exact: object) -> None:
    torch.manual_seed(0)
    model = compiled(PAIR + f"e = {formula}").Model().double()
    step, q, p = _on_a_grid(model)
    found = exact(q, p)  # type: ignore[operator]
    if isinstance(found, tuple):
        expected = found[1] * (found[0] * step).log()
    else:
        expected = found * step - float("Chi2" in formula)
    x = torch.zeros(4000, dtype=torch.float64)
    value = model.e(x=x).expand(4000)
    error = float(value.std()) / math.sqrt(4000) + 1e-6
    bias = 2e-3 if "Renyi" in formula else 0.0
    assert abs(float(value.mean()) - float(expected)) < 5 * error + bias
    assert float(expected.detach().abs()) > 0.01


def _js(q: Tensor, p: Tensor) -> Tensor:
    m = torch.logaddexp(q, p) - math.log(2)
    return (q.exp() * (q - m) + p.exp() * (p - m)).sum() / 2


@pytest.mark.parametrize("kernel", ["gaussian", "imq"])
def test_the_discrepancy_is_the_u_statistic_and_has_a_gradient(kernel: str) -> None:
    """Written out pair by pair (Gretton et al. 2012, lemma 6)."""
    text = f"""
x, z : real[2]
param m : real[2] = 1
p(z) = Normal(0, 1)
q(z|x) = Normal(m + x, 0.5)
e = MMD[q || p; kernel={kernel}, width=[0.5, 2]]
"""
    model = compiled(text).Model().double()
    x = torch.randn(5, 2, dtype=torch.float64)
    torch.manual_seed(3)
    found = model.e(x=x)
    torch.manual_seed(3)
    a = model.m + x + 0.5 * torch.randn(5, 2, dtype=torch.float64)
    b = torch.randn(5, 2, dtype=torch.float64)

    def k(u: Tensor, v: Tensor) -> Tensor:
        d = (u - v).square().sum()
        one = [torch.exp(-d / (2 * w * w)) if kernel == "gaussian" else w * w / (w * w + d) for w in (0.5, 2.0)]
        return one[0] + one[1]

    pairs = [(i, j) for i in range(5) for j in range(5)]
    off = [(i, j) for i, j in pairs if i != j]
    total = sum(k(a[i], a[j]) + k(b[i], b[j]) for i, j in off) / 20 - 2 * sum(k(a[i], b[j]) for i, j in pairs) / 25
    torch.testing.assert_close(found, total)
    mine, theirs = (torch.autograd.grad(v, model.m)[0] for v in (found, total))
    torch.testing.assert_close(mine, theirs)
    assert mine.abs().max() > 0


def test_the_discrepancy_is_unbiased_in_one_dimension() -> None:
    """Zero in the mean where both sides are one distribution: Pixyz's grows with the samples."""
    text = "x, z : real\np(z) = Normal(0, 1)\nq(z|x) = Normal(0 * x, 1)\ne = MMD[q || p; width=1]"
    torch.manual_seed(0)
    model = compiled(text).Model()
    values = torch.stack([model.e(x=torch.zeros(8)) for _ in range(2000)])
    assert values.mean().abs() < 5 * values.std() / math.sqrt(2000)
    with pytest.raises(ValueError, match="two data points"):
        model.e(x=torch.zeros(1))


def test_the_paired_distance_bounds_the_transport_cost() -> None:
    """Between points at distance 5 it is 5; its gradient is finite where draws meet."""
    text = (
        "x, z : real[2]\nparam m : real[2] = [3, 4]\nq(z|x) = Normal(m, 0.001)\np(z) = Normal(0, 0.001)\ne = W[q || p]"
    )
    model = compiled(text).Model()
    assert (model.e(x=torch.zeros(9, 2)) - 5).abs().max() < 0.02
    text = "x, z : real[2]\nparam m : real[2] = 0\nq(z|x) = Delta(m)\np(z) = Delta([0, 0])\ne = W[q || p]"
    model = compiled(text).Model()
    model.e(x=torch.zeros(3, 2)).sum().backward()
    assert model.m.grad.isfinite().all()


def test_sliced_wasserstein_of_shifted_points() -> None:
    """Shifting by s moves every projection by its part of s: the mean square is |s|^2 / D."""
    text = "x : real[3]\nw : real[3]\nparam s : real[3] = [1, 2, 2]\nv = x + s\nq(w|v) = Normal(v, 0.0001)\n"
    model = compiled(text + "e = SW[q(w|v) || q(w|v)[v -> x]; projections=4000]").Model()
    torch.manual_seed(0)
    assert abs(float(model.e(x=torch.randn(50, 3))) - 3.0) < 0.15


def test_a_generator_is_compared_with_data() -> None:
    """MMD between samples of a marginal and the data (generative moment matching)."""
    text = """
x : real[2]
z : real[2]
net f = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(f(z), 0.1)
p(x) = \\int p(x|z) p(z) dz
e = MMD[p(x) || data(x)]
minimize e
"""
    program = pgc.compile(text)
    assert all(check.passed for check in program.verify())
    model = program.Model()
    model.loss(x=torch.randn(20, 2)).backward()
    assert model.f.weight.grad.abs().max() > 0


def test_a_function_from_python_in_an_objective() -> None:
    """`extern fn`: a reward that the compiler knows nothing of, with a score function through the draw."""
    text = """
x : real[2]
k : category[3]
net policy = Linear(3)
q(k|x) = Categorical(logits = policy(x))
extern fn reward(k, x) -> real
e = E_{q(k|x); samples=3}[reward(k, x)]
exact = E_{q(k|x)}[reward(k, x)]
maximize e
"""

    class Reward(torch.nn.Module):
        def forward(self, k: Tensor, x: Tensor) -> Tensor:
            return (k == 1).to(x.dtype) * 5 + x[..., 0]

    torch.manual_seed(0)
    model = pgc.compile(text).Model(reward=Reward()).double()
    x = torch.randn(3, 2, dtype=torch.float64)
    expected = model.policy(x).softmax(-1)[:, 1] * 5 + x[:, 0]
    torch.testing.assert_close(model.exact(x=x), expected)
    many = model.e(x=x[:1].expand(4000, 2))
    assert (many.mean() - expected[0]).abs() < 5 * many.std() / math.sqrt(4000)


def test_a_function_from_python_gets_an_index_of_categories() -> None:
    """An embedding takes whole numbers, also when every category is enumerated."""
    text = """
x : real[2]
k : category[4]
net policy = Linear(4)
q(k|x) = Categorical(logits = policy(x))
extern fn reward(k) -> real
e = E_{q(k|x)}[reward(k)]
"""

    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = torch.nn.Embedding(4, 1)

        def forward(self, k: Tensor) -> Tensor:
            return self.values(k).squeeze(-1)

    reward = Table()
    model = pgc.compile(text).Model(reward=reward)
    x = torch.randn(3, 2)
    torch.testing.assert_close(model.e(x=x), model.policy(x).softmax(-1) @ reward.values.weight[:, 0])


@pytest.mark.parametrize("kind", ["TC", "MI"])
def test_an_aggregate_of_one_point_is_refused(kind: str) -> None:
    model = compiled(f"x : real[2]\nz : real[2]\nq(z|x) = Normal(x, 1)\ne = {kind}[q(z|x)]").Model()
    assert model.e(x=torch.zeros(2, 2)).shape == (2,)
    with pytest.raises(ValueError, match="two data points"):
        model.e(x=torch.zeros(1, 2))
