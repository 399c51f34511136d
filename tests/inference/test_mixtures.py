"""Mixtures of factors and unnormalised densities against torch.distributions and quadrature."""

import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled

TWO = """x, y, z : real
q_1(z|x) = Normal(x, 0.5)
q_2(z|y) = Laplace(y, 2)
q(z|x,y) = 0.25 q_1(z|x) + 0.75 q_2(z|y)
p(z) = Normal(0, 1)
lq = log q(z|x,y)
kl = KL[q(z|x,y) || p(z)]
ent = H[q(z|x,y)]
elbo = ELBO[p(z) || q(z|x,y)]
"""


def test_the_density_is_the_weighted_sum() -> None:
    model = compiled(TWO).Model().double()
    x, y, z = torch.randn(3, 50).double()
    parts = 0.25 * D.Normal(x, 0.5).log_prob(z).exp() + 0.75 * D.Laplace(y, 2.0).log_prob(z).exp()
    torch.testing.assert_close(model.lq(x=x, y=y, z=z), parts.log())
    torch.testing.assert_close(model.factor("q(z|x,y)")(x, y).log_prob(z), parts.log())
    torch.testing.assert_close(model.log_prob_of("q(z|x,y)", x=x, y=y, z=z), parts.log())


def test_draws_moments_and_divergences() -> None:
    torch.manual_seed(0)
    model = compiled(TWO).Model().double()
    x, y = torch.tensor(1.0).double(), torch.tensor(-2.0).double()
    q = model.factor("q(z|x,y)")(x, y)
    mean, variance = 0.25 * 1 + 0.75 * -2, 0.25 * 0.25 + 0.75 * 8 + 0.25 * 0.75 * 9
    torch.testing.assert_close(q.mean, torch.tensor(mean).double())
    torch.testing.assert_close(q.variance, torch.tensor(variance).double())
    drawn = q.sample((200_000,))
    assert abs(drawn.mean() - mean) < 5 * (variance / 200_000) ** 0.5
    assert abs(drawn.var() / variance - 1) < 0.05
    grid = torch.linspace(-60, 60, 400_001).double()
    density = q.log_prob(grid)
    kl = torch.trapezoid(density.exp() * (density - D.Normal(0.0, 1.0).log_prob(grid)), grid)
    entropy = -torch.trapezoid(density.exp() * density, grid)
    wide_x, wide_y = x.expand(200_000), y.expand(200_000)
    for found, expected in [("kl", kl), ("elbo", -kl), ("ent", entropy)]:
        values = getattr(model, found)(x=wide_x, y=wide_y)
        assert abs(values.mean() - expected) < 5 * values.std() / 200_000**0.5


def test_learned_weights_and_several_components_train() -> None:
    """The weights get the gradient of the exact sum over components."""
    text = (
        "x, z : real\nparam w : simplex[3]\nq_1(z|x) = Normal(x, 1)\n"
        "q_2(z|x) = Normal(-x, 2)\nq_3(z|x) = Normal(0 * x, 3)\n"
        "q(z|x) = w[0] q_1(z|x) + w[1] q_2(z|x) + w[2] q_3(z|x)  # pgc: allow W123\ne = E_{q(z|x)}[z^2]\nl = log q(z|x)"
    )
    model = compiled(text).Model().double()
    with torch.no_grad():
        model.free_w.copy_(torch.tensor([0.5, -0.5, 1.0]))
    x, z = torch.randn(20).double(), torch.randn(20).double()
    w = model.free_w.softmax(-1)
    exact = w[0] * (x**2 + 1) + w[1] * (x**2 + 4) + w[2] * 9
    torch.testing.assert_close(model.e(x=x), exact)
    found = torch.autograd.grad(model.e(x=x).sum(), model.free_w)[0]
    torch.testing.assert_close(found, torch.autograd.grad(exact.sum(), model.free_w)[0])
    table = torch.stack([torch.stack([x, -x, 0 * x], -1), torch.tensor([1.0, 2, 3]).double().expand(20, 3)])
    mixture = D.MixtureSameFamily(D.Categorical(w), D.Normal(table[0], table[1]))
    torch.testing.assert_close(model.l(x=x, z=z), mixture.log_prob(z))


def test_a_generative_mixture_is_sampled() -> None:
    torch.manual_seed(0)
    model = compiled(
        "x : real[2]\ny : real\np_1(x) = Normal(-3, 1)\np_2(x) = Normal(3, 1)\np(x) = 0.25 p_1(x) + 0.75 p_2(x)\n"
        "p(y|x) = Normal(x[0], 1)\ne = log p(x)"
    ).Model()
    drawn = model.sample((4000,))
    assert drawn["x"].shape == (4000, 2)
    share = (drawn["x"][:, 0] > 0).double().mean()
    assert abs(share - 0.75) < 5 * (0.75 * 0.25 / 4000) ** 0.5
    assert ((drawn["x"] > 0).sum(-1) != 1).float().mean() > 0.99  # one component for the whole vector
    torch.testing.assert_close(model.sample_mean((2,))["x"], torch.full((2, 2), 1.5))


@pytest.mark.parametrize(
    ("right", "says"),
    [
        ("0.5 q_1(z|x) + 0.6 q_2(z|y)", "sum to 1.1"),
        ("1.5 q_1(z|x) - 0.5 q_2(z|y)", "negative weight"),
        ("0.5 q_1(z|x) + 0.5 q_3(z|y)", "there is no factor q_3(z|y)"),
    ],
)
def test_wrong_mixtures(right: str, says: str) -> None:
    text = TWO.replace("0.25 q_1(z|x) + 0.75 q_2(z|y)", right)
    assert any(says in d.message for d in pgc.check(text)), [d.message for d in pgc.check(text)]


@pytest.mark.parametrize("share", ["1/4", "(1/4)"])
def test_a_share_may_be_a_fraction(share: str) -> None:
    text = TWO.replace("0.25 q_1(z|x) + 0.75 q_2(z|y)", f"{share} q_1(z|x) + 3/4 q_2(z|y)")
    assert not [d for d in pgc.check(text) if d.code.startswith("PGC")]
    decimal, fraction = compiled(TWO).Model(), compiled(text).Model()
    fraction.load_state_dict(decimal.state_dict())
    x, y, z = torch.randn(3, 4).unbind()
    torch.testing.assert_close(decimal.lq(x=x, y=y, z=z), fraction.lq(x=x, y=y, z=z))


def test_an_iwae_over_a_mixture_says_what_to_write() -> None:
    found = pgc.check(TWO + "b = IWAE[p(z) || q(z|x,y); samples=8]")
    assert [d.code for d in found if d.code.startswith("PGC")] == ["PGC409"]


def test_an_unnormalised_density() -> None:
    torch.manual_seed(0)
    text = "z : real[2]\nq(z) = Normal(m, 0.5)\nparam m : real[2] = [1, 2]\n" + (
        "p(z) = LogDensity(-0.5 * z[0]^2 - 3 * (z[1] - z[0]^2)^2)\nkl = KL[q(z) || p(z)]\n"
    )
    model = compiled(text).Model().double()
    z = torch.randn(9, 2).double()
    expected = -0.5 * z[:, 0] ** 2 - 3 * (z[:, 1] - z[:, 0] ** 2) ** 2
    torch.testing.assert_close(model.log_prob_of("p(z)", z=z), expected)
    torch.testing.assert_close(model.log_prob(z=z), expected)
    assert not hasattr(model, "sample")
    # E[z0^2] = 1.25, E[(z1 - z0^2)^2] = var z1 + var z0^2 + (2 - 1.25)^2
    exact = -2 * (0.5 + 0.5 * torch.log(torch.tensor(torch.pi / 2)).double()) + 0.5 * 1.25
    exact = exact + 3 * (0.25 + (4 * 1 * 0.25 + 2 * 0.0625) + 0.75**2)
    values = torch.stack([model.kl() for _ in range(20_000)])
    assert abs(values.mean() - exact) < 5 * values.std() / 20_000**0.5


def test_what_is_known_up_to_a_constant_is_not_drawn() -> None:
    text = "z : real\np(z) = LogDensity(-z^4)\ne = E_{p(z)}[z]"
    assert [d.code for d in pgc.check(text) if d.code.startswith("PGC")] == ["PGC409"]
    wide = "z : real[2]\np(z) = LogDensity(-z^4)\ne = log p(z)"
    assert [d.code for d in pgc.check(wide) if d.code.startswith("PGC")] == ["PGC402"]


def test_a_conditional_mixture_of_vectors_is_drawn_once_a_row() -> None:
    program = compiled(
        "x, y : real\nz : real[2]\nq_1(z|x) = Normal(2 * x, 0.5)\nq_2(z|y) = Laplace(y - 1, 1.5)\n"
        "q(z|x,y) = 0.25 q_1(z|x) + 0.75 q_2(z|y)\nl = log q(z|x,y)"
    )
    drawn = program.Model().sample((5,), given={"x": torch.zeros(()), "y": torch.zeros(())})
    assert drawn["z"].shape == (5, 2)


def test_what_a_refused_mixture_names_is_not_reported_again() -> None:
    text = TWO.replace("0.25 q_1(z|x)", "0.3 q_1(z|x)")
    assert [d.code for d in pgc.check(text) if d.code.startswith("PGC")] == ["PGC216"]


@pytest.mark.parametrize("space", ["real", "real[1]", "real[3]"])
def test_a_mixture_density_net(space: str) -> None:
    """Components that a net of the data gives, one number each, for a variable of any size."""
    program = compiled(f"""
        x : real[2]
        y : {space}
        k : category[5]
        net h = mlp(8, act=Tanh)
        net pi = Linear(5)
        net mus = Linear(5)
        net sigmas = Linear(5) >> Softplus
        p(k|x) = Categorical(logits = pi(h(x)))
        p(y|k,x) = Normal(mus(h(x))[k], sigmas(h(x))[k])
        p(y|x) = sum_k p(y|k,x) p(k|x)
        ll = log p(y|x)
    """)
    model, x = program.Model(), torch.randn(4, 2)
    event = program.analysis.model.spaces["y"].shape
    y = torch.randn(4, *event)
    hidden = model.h(x)
    loc, scale = model.mus(hidden), model.sigmas(hidden)
    for _ in event:
        loc, scale = loc.unsqueeze(-1).expand(4, 5, *event), scale.unsqueeze(-1).expand(4, 5, *event)
    parts = D.Independent(D.Normal(loc, scale), len(event))
    expected = D.MixtureSameFamily(D.Categorical(logits=model.pi(hidden)), parts)
    torch.testing.assert_close(model.ll(x=x, y=y), expected.log_prob(y))
    found = model.factor("p(y|x)")(x)
    torch.testing.assert_close(found.log_prob(y), expected.log_prob(y))
    torch.testing.assert_close(found.mean, expected.mean)
    assert all(check.passed for check in program.verify())


def test_an_unnormalised_density_under_another_name() -> None:
    """Noise-contrastive estimation (Gutmann & Hyvarinen 2010): p at the data, and at draws of the noise."""
    program = compiled("""
        x, u : real[2]
        net energy = mlp(8, act=SiLU) >> Linear(1)
        param log_z : real = 0.3
        p(x) = LogDensity(-energy(x)[0] - log_z)
        n(u) = Normal(0, 2)
        n(x) = n(u)[u -> x]
        p(u) = p(x)[x -> u]
        nce = -softplus(-(log p(x) - log n(x))) - E_{n(u)}[softplus(log p(u) - log n(u))]
    """)
    model, u = program.Model(), torch.randn(5, 2)
    expected = -model.energy(u)[..., 0] - 0.3
    torch.testing.assert_close(model.log_prob_of("p(u)", u=u), expected)
    torch.testing.assert_close(model.log_prob_of("p(x)", x=u), expected)
    torch.testing.assert_close(model.log_prob_of("n(x)", x=u), D.Normal(0.0, 2.0).log_prob(u).sum(-1))
    assert all(check.passed for check in program.verify())
