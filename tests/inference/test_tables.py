"""Distributions over finite variables as objects, and mixtures of one family, against full enumeration and torch."""

import itertools

import torch
import torch.distributions as D

from tests.conftest import compiled
from tests.programs import EXAMPLES


def clinic(asia: int, smoke: int, tub: int, lung: int, bronc: int, xray: int, dysp: int) -> float:
    """The joint of the clinic, from its tables of probabilities (either = tub or lung)."""

    def chance(value: int, of_one: float) -> float:
        return of_one if value else 1 - of_one

    either = tub or lung
    short = {(0, 0): 0.1, (1, 0): 0.7, (0, 1): 0.8, (1, 1): 0.9}[either, bronc]
    return (
        chance(asia, 0.01)
        * chance(smoke, 0.5)
        * chance(tub, 0.05 if asia else 0.01)
        * chance(lung, 0.1 if smoke else 0.01)
        * chance(bronc, 0.6 if smoke else 0.3)
        * chance(xray, 0.98 if either else 0.05)
        * chance(dysp, short)
    )


def test_the_clinic_against_full_enumeration() -> None:
    torch.manual_seed(0)
    model = compiled(EXAMPLES["asia"]).Model().double()
    for xray, dysp in itertools.product((0, 1), repeat=2):
        table = torch.zeros(2, 2, 2).double()
        for asia, smoke, tub, lung, bronc in itertools.product((0, 1), repeat=5):
            table[tub, lung, bronc] += clinic(asia, smoke, tub, lung, bronc, xray, dysp)
        seen = {"xray": torch.tensor(float(xray)).double(), "dysp": torch.tensor(float(dysp)).double()}
        torch.testing.assert_close(model.evidence(**seen), table.sum().log())
        posterior = model.factor("p(tub,lung,bronc|xray,dysp)")(**seen)
        torch.testing.assert_close(posterior.probs, table / table.sum())
        one = {name: torch.tensor(1.0).double() for name in ("tub", "lung", "bronc")}
        torch.testing.assert_close(posterior.log_prob(**one), (table[1, 1, 1] / table.sum()).log())
        cancer = model.factor("p(lung|xray,dysp)")(**seen)
        torch.testing.assert_close(cancer.probs, table.sum((0, 2))[1] / table.sum())
        drawn = posterior.sample((20_000,))
        assert abs(drawn["bronc"].mean() - table.sum((0, 1))[1] / table.sum()) < 0.02
    batch = {"xray": torch.tensor([0.0, 1.0]).double(), "dysp": torch.tensor([1.0, 1.0]).double()}
    assert model.factor("p(tub,lung,bronc|xray,dysp)")(**batch).sample((5,))["lung"].shape == (5, 2)


def test_a_mixture_is_an_object_of_torch() -> None:
    torch.manual_seed(0)
    text = (
        "x : real[2]\nk : category[3]\nc : real\nparam m : real[3, 2] = normal(1)\nnet w = Linear(3)\n"
        "net s = Linear(2) >> Softplus\np(k|c) = Categorical(logits = w(v)) where v = c * [1, 2]\n"
        "p(x|k,c) = Normal(m[k] + c, s(v)) where v = c * [1, 2]\np(x|c) = sum_k p(x|k,c) p(k|c)\ne = log p(x|c)"
    )
    model = compiled(text).Model().double()
    c = torch.randn(4).double()
    v = c.unsqueeze(-1) * torch.tensor([1.0, 2.0]).double()
    found = model.factor("p(x|c)")(c)
    assert isinstance(found, D.MixtureSameFamily)
    components = D.Independent(D.Normal(model.m + c[:, None, None], model.s(v).unsqueeze(1).expand(4, 3, 2)), 1)
    expected = D.MixtureSameFamily(D.Categorical(logits=model.w(v)), components)
    x = torch.randn(4, 2).double()
    torch.testing.assert_close(found.log_prob(x), expected.log_prob(x))
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.variance, expected.variance)
    torch.testing.assert_close(model.e(x=x, c=c), expected.log_prob(x))
    assert found.sample((7,)).shape == (7, 4, 2)


def test_a_one_hot_posterior() -> None:
    model = (
        compiled(
            "x : real\nk : one_hot[3]\np(k) = OneHotCategorical([0.25, 0.25, 0.5])\n"
            "p(x|k) = Normal(2 * k[0] - 3 * k[2], 1)\np(x) = sum_k p(x|k) p(k)\n"
            "p(k|x) = p(x|k) p(k) / p(x)\ne = log p(x)"
        )
        .Model()
        .double()
    )
    x = torch.tensor([0.5, -2.0]).double()
    means = torch.tensor([2.0, 0.0, -3.0]).double()
    logits = D.Normal(means, 1.0).log_prob(x.unsqueeze(-1)) + torch.tensor([0.25, 0.25, 0.5]).double().log()
    found = model.factor("p(k|x)")(x)
    torch.testing.assert_close(found.probs, logits.softmax(-1))
    assert found.sample().shape == (2, 3)


def test_the_written_order_of_parents_is_kept() -> None:
    model = (
        compiled(
            "c, x : real\nk : category[3]\np(k|c) = Categorical(logits = c * [1, 2, 3])\n"
            "p(x|k) = Normal([1, 2, 4][k], 1)\np(x|c) = sum_k p(x|k) p(k|c)\n"
            "p(k|x,c) = p(x|k) p(k|c) / p(x|c)\ne = log p(x|c)"
        )
        .Model()
        .double()
    )
    x, c = torch.randn(5).double(), torch.randn(5).double()
    factor = model.factor("p(k|x,c)")
    torch.testing.assert_close(factor(x, c).probs, factor(x=x, c=c).probs)
    logits = c.unsqueeze(-1) * torch.tensor([1.0, 2, 3]) + D.Normal(torch.tensor([1.0, 2, 4]), 1.0).log_prob(x[:, None])
    torch.testing.assert_close(factor(x, c).probs, logits.softmax(-1))
    tossed = compiled(
        "x, y : category[3]\nt : simplex[3]\np(t) = Dirichlet([1, 2, 0.5])\np(x|t) = Categorical(t)\n"
        "p(y|t) = Categorical(t)\n"
        "p(x,y) = ∫ p(x|t) p(y|t) p(t) dt\np(t|x,y) = p(x|t) p(y|t) p(t) / p(x,y)\ne = log p(x,y)"
    ).Model()
    assert tossed.factor("p(t|x,y)")(torch.tensor(0), torch.tensor(2)).mean.shape == (3,)


def test_an_input_of_each_data_point_meets_a_vector() -> None:
    model = compiled("x : real[3]\ninput h : real\np(x) = Normal(h * [1, 2, 3], 1)\nl = log p(x)").Model().double()
    x, h = torch.randn(3, 3).double(), torch.randn(3).double()
    expected = D.Normal(h.unsqueeze(-1) * torch.tensor([1.0, 2, 3]), 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(model.l(x=x, h=h), expected)
    single = D.Normal(0.5 * torch.tensor([1.0, 2, 3]), 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(model.l(x=x, h=0.5), single)
    torch.testing.assert_close(model.l(x=x, h=torch.tensor(0.5)), single)
