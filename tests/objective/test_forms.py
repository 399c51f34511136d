"""The many ways to write one objective give one number; closed forms are used where they are valid and only there."""

import pytest
import torch
import torch.distributions as D
from torch import Tensor, nn

import pgcompile as pgc
from pgcompile.diagnostics import CompileError
from tests.conftest import compiled
from tests.programs import SMALL

SAME = [
    "E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]",
    "E_q[log p] - KL[q||p]",
    "E_q[log p(x|z)] - KL[q || p]",
    "E_q[log p - log q]",
    "E_q[log p(x,z) - log q(z|x)]",
    "E_q[log p(x,z)] - E_q[log q(z|x)]",
    "E_q[log(p(x|z) p(z) / q(z|x))]",
    "E_q[log p(x|z) p(z)] + H[q]",
    "E_q[log p(x|z)] - CE[q || p] + H[q]",
    "ELBO[p || q]",
    "ELBO[p(x|z) p(z) || q(z|x)]",
    "-KL[q || p] + E_q[log p(x|z)]",
    "-(KL[q || p] - E_q[log p(x|z)])",
    "2 * (E_q[log p(x|z)] - KL[q || p]) / 2",
    r"\mathbb{E}_{q(z|x)}\left[\log p(x|z)\right] - D_{KL}\left[q(z|x) \| p(z)\right]",
]


def by_hand(model: nn.Module, x: Tensor) -> Tensor:
    """The ELBO with torch.distributions, from the same noise."""
    h = model.enc(x)
    q = D.Normal(model.loc(h), model.scale(h))
    torch.manual_seed(1)
    z = q.loc + q.scale * torch.randn_like(q.loc)
    rec = D.Bernoulli(logits=model.dec(z)).log_prob(x).sum(-1)
    return rec - D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1)


@pytest.mark.parametrize("form", SAME)
def test_forms_agree(form: str) -> None:
    torch.manual_seed(0)
    model = compiled(f"{SMALL}elbo = {form}").Model().double()
    x = (torch.rand(5, 6) > 0.5).double()
    torch.manual_seed(1)
    found = model.elbo(x=x)
    torch.testing.assert_close(found, by_hand(model, x))


@pytest.mark.parametrize("form", SAME[:5])
def test_gradients_agree(form: str) -> None:
    torch.manual_seed(0)
    model = compiled(f"{SMALL}elbo = {form}\nmaximize elbo").Model().double()
    x = (torch.rand(5, 6) > 0.5).double()
    torch.manual_seed(1)
    model.loss(x=x).backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    (-by_hand(model, x).mean()).backward()
    for one, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad)


def test_the_loss_is_the_negative_batch_mean() -> None:
    model = compiled(f"{SMALL}elbo = E_q[log p] - KL[q||p]\nmaximize elbo").Model()
    x = (torch.rand(7, 2, 6) > 0.5).float()
    torch.manual_seed(1)
    elbo = model.elbo(x=x)
    torch.manual_seed(1)
    assert elbo.shape == (7, 2)
    torch.testing.assert_close(model.loss(x=x), -elbo.mean())


def test_the_same_value_after_an_update_is_not_cached() -> None:
    model = compiled(f"{SMALL}elbo = ELBO[p || q]\nmaximize elbo").Model()
    x = torch.ones(4, 6)
    torch.manual_seed(1)
    before = model.elbo(x=x)
    with torch.no_grad():
        model.dec.bias.add_(1.0)
    torch.manual_seed(1)
    assert not torch.allclose(before, model.elbo(x=x))
    for _ in range(2):
        model.loss(x=x).backward()


def test_many_samples_are_averaged_and_vectorised() -> None:
    one = compiled(f"{SMALL}e = E_q[log p(x|z)]")
    many = compiled(f"{SMALL}e = E_{{q(z|x); samples=4000}}[log p(x|z)]")
    assert "for " not in many.source.split("def e(")[1].split("def ")[0]
    torch.manual_seed(0)
    model = many.Model()
    other = one.Model()
    other.load_state_dict(model.state_dict())
    x = (torch.rand(3, 6) > 0.5).float()
    torch.manual_seed(1)
    mean = model.e(x=x)
    singles = torch.stack([other.e(x=x) for _ in range(4000)])
    error = singles.std(0) / 4000**0.5 * 2**0.5
    assert ((mean - singles.mean(0)).abs() < 5 * error).all()


def test_what_does_not_depend_on_the_draws_is_not_repeated() -> None:
    source = compiled(f"{SMALL}e = E_{{q(z|x); samples=9}}[log p(x|z) - log q(z|x) + log p(z)]").source
    body = source.split("def e(")[1].split("def ")[0]
    assert body.count("self.enc(") == body.count("self.dec(") == 1
    assert ".mean(0)" in body
    assert "closed form" in body


def test_products_of_expectations_draw_independently() -> None:
    text = SMALL + "e = E_q[sum(tanh(z))] * E_q[sum(tanh(z))]"
    model = compiled(text).Model()
    body = compiled(text).source.split("def e(")[1].split("def ")[0]
    assert body.count("randn_like") == 2
    assert model.e(x=torch.ones(2, 6)).shape == (2,)


def test_nested_expectations_line_up() -> None:
    text = """x : real[2]
y : real[2]
z : real[2]
q(z|x) = Normal(x, 1)
r(y|z) = Normal(z, 1)
e = E_{q(z|x); samples=3}[E_{r(y|z); samples=5}[sum(y * z)] + sum(z)]
"""
    model = compiled(text).Model()
    x = torch.randn(400, 2)
    found = model.e(x=x)
    assert found.shape == (400,)
    # E[y z] = E[z^2] = x^2 + 1 in each dimension.
    exact = (x.square() + 1 + x).sum(-1)
    assert float((found - exact).mean().abs()) < 0.5


LADDER = """x : real[4]
z1 : real[3]
z2 : real[2]
net e1 = Linear(3)
net e2 = Linear(2)
net d1 = Linear(3)
net d0 = Linear(4)
p(z2) = Normal(0, 1)
p(z1|z2) = Normal(d1(z2), 1)
p(x|z1) = Normal(d0(z1), 1)
q(z1|x) = Normal(e1(x), 0.5)
q(z2|z1) = Normal(e2(z1), 0.5)
"""


def test_a_closed_form_is_not_used_where_a_parent_descends_from_the_latent() -> None:
    program = pgc.compile(LADDER + "e = KL[q(z1|x) q(z2|z1) || p(z1|z2) p(z2)]")
    assert "N102" in {d.code for d in program.diagnostics}
    body = program.source.split("def e(")[1].split("def ")[0]
    assert "log_q" not in body
    assert "KL[q(z2|z1) || p(z2)], closed form" in body
    assert "KL[q(z1|x) || p(z1|z2)]" not in body


def test_a_closed_form_is_not_used_where_a_parent_descends_through_a_deterministic_variable() -> None:
    program = pgc.compile(
        """
        x, z, d, w : real[2]
        net f = Linear(2)
        net g = Linear(2)
        d = tanh(z)
        p(z|w) = Normal(f(w), 1)
        p(w) = Normal(0, 1)
        p(x|z) = Normal(z, 1)
        q(z|x) = Normal(g(x), 0.5)
        q(w|d) = Normal(2 * d, 0.5)
        e = KL[q(z|x) q(w|d) || p(z|w) p(w)]
        """
    )
    assert "N102" in {d.code for d in program.diagnostics}
    model = program.Model().double()
    torch.manual_seed(0)
    x = torch.randn(1, 2).double().expand(20_000, 2)
    found = model.e(x=x).detach()
    q1 = D.Normal(model.g(x), 0.5)
    z = q1.sample()
    q2 = D.Normal(2 * z.tanh(), 0.5)
    w = q2.sample()
    sampled = (q1.log_prob(z) - D.Normal(model.f(w), 1.0).log_prob(z)).sum(-1).detach()
    sampled = sampled + (q2.log_prob(w) - D.Normal(0.0, 1.0).log_prob(w)).sum(-1)
    spread = (found.var() + sampled.var()).sqrt() / len(x) ** 0.5
    assert float((found.mean() - sampled.mean()).abs()) < 5 * float(spread)


def test_the_hierarchical_bound_is_right_on_average() -> None:
    torch.manual_seed(0)
    model = compiled(LADDER + "e = ELBO[p || q]").Model().double()
    x = torch.randn(1, 4).double().expand(20_000, 4)
    found = model.e(x=x)
    q1 = D.Normal(model.e1(x), 0.5)
    z1 = q1.sample()
    q2 = D.Normal(model.e2(z1), 0.5)
    z2 = q2.sample()
    sampled = (
        D.Normal(model.d0(z1), 1.0).log_prob(x).sum(-1)
        + D.Normal(model.d1(z2), 1.0).log_prob(z1).sum(-1)
        + D.Normal(0.0, 1.0).log_prob(z2).sum(-1)
        - q1.log_prob(z1).sum(-1)
        - q2.log_prob(z2).sum(-1)
    )
    spread = (found.var() + sampled.var()).sqrt() / len(x) ** 0.5
    assert float((found.mean() - sampled.mean()).abs()) < 5 * float(spread)


def test_terms_give_every_part_in_one_pass() -> None:
    program = compiled(SMALL + "rec = E_q[log p(x|z)]\nkl = KL[q || p]\nelbo = rec - kl")
    model = program.Model()
    terms = model.terms(x=torch.ones(3, 6))
    assert set(terms) == {"rec", "kl", "elbo"}
    torch.testing.assert_close(terms["elbo"], terms["rec"] - terms["kl"])
    body = program.source.split("def terms(")[1].split("def ")[0]
    assert body.count("self.enc(") == body.count("self.dec(") == 1


def test_an_input_weighs_a_term() -> None:
    model = compiled(SMALL + "input beta : real\ne = E_q[log p(x|z)] - beta * KL[q || p]\nmaximize e").Model()
    x = torch.ones(3, 6)
    values = []
    for beta in (0.0, 1.0, torch.tensor(1.0)):
        torch.manual_seed(0)
        values.append(model.e(x=x, beta=beta))
    torch.testing.assert_close(values[1], values[2])
    assert not torch.allclose(values[0], values[1])
    assert model.loss(x=x, beta=0.5).shape == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max(KL[q || p], 3)", lambda kl: kl.clamp(min=3)),
        ("min(KL[q || p], 1)", lambda kl: kl.clamp(max=1)),
        ("abs(-KL[q || p])", lambda kl: kl),
        ("exp(-KL[q || p])", lambda kl: (-kl).exp()),
        ("log(KL[q || p])", lambda kl: kl.log()),
        ("KL[q || p]^2", lambda kl: kl.square()),
        ("KL[q || p] / 4", lambda kl: kl / 4),
        ("mean(KL[q || p])", lambda kl: kl.mean()),
        ("sum(KL[q || p])", lambda kl: kl.sum()),
        ("detach(KL[q || p])", lambda kl: kl),
    ],
)
def test_functions_of_terms(text: str, expected) -> None:  # type: ignore[no-untyped-def]
    model = compiled(f"{SMALL}e = {text}\nkl = KL[q || p]").Model()
    x = (torch.rand(5, 6) > 0.5).float()
    torch.testing.assert_close(model.e(x=x), expected(model.kl(x=x)))


def test_detach_stops_the_gradient() -> None:
    model = compiled(SMALL + "e = detach(KL[q || p]) + sum(square(loc(enc(x))))\nminimize e").Model()
    model.loss(x=torch.ones(2, 6)).backward()
    assert model.scale[0].weight.grad is None or not model.scale[0].weight.grad.any()


def test_a_sample_that_is_forced_to_have_no_gradient_is_an_error() -> None:
    text = SMALL.replace("z : real[3]", "z : boolean[3]").replace("Normal(0, 1)", "Bernoulli(0.5)")
    text = text.replace("Normal(loc(h), scale(h))", "Bernoulli(logits = loc(h))").replace(
        "net scale = Linear(3) >> Softplus\n", ""
    )
    with pytest.raises(CompileError) as caught:
        pgc.compile(text + "e = E_{q; grad=pathwise}[log p(x|z)]")
    assert [d.code for d in caught.value.diagnostics] == ["PGC403"]
    # The divergence alone is known in closed form, and trains.
    model = pgc.compile(text + "e = KL[q || p]\nminimize e").Model()
    model.loss(x=torch.ones(2, 6)).backward()
    assert model.loc.weight.grad.abs().sum() > 0


def test_expectation_over_data_observes() -> None:
    model = compiled(
        "x : real[2]\nparam m : real[2] = 0\np(x) = Normal(m, 1)\ne = E_{data(x)}[log p(x)]\nmaximize e"
    ).Model()
    x = torch.randn(4, 2)
    torch.testing.assert_close(model.e(x=x), D.Normal(0.0, 1.0).log_prob(x).sum(-1))
