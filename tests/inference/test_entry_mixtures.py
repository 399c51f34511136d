"""Mixtures with a weight for each entry, against the sum over every choice of components."""

import itertools

import pytest
import scipy.stats as st
import torch
import torch.distributions as D

import pgcompile as pgc

TWO = """
x : real[3]
param w : unit_interval[3]
param a : real[3]
q_1(x) = Normal(a, 1)
q_2(x) = Laplace(0, 2)
p(x) = w * q_1(x) + (1 - w) * q_2(x)
l = log p(x)
maximize l
"""


def _two() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    model = pgc.compile(TWO).Model().double()
    w, a = torch.tensor([0.2, 0.5, 0.9]).double(), torch.tensor([-1.0, 0.5, 2.0]).double()
    model.set("w", w)
    model.set("a", a)
    return model, w, a


def test_the_density_is_the_sum_over_every_choice() -> None:
    model, w, a = _two()
    x = torch.randn(5, 3, dtype=torch.float64)
    total = torch.zeros(5, dtype=torch.float64)
    for choice in itertools.product((0, 1), repeat=3):
        term = torch.ones(5, dtype=torch.float64)
        for i, first in enumerate(choice):
            one, other = D.Normal(a[i], 1.0), D.Laplace(0.0, 2.0)
            term = term * (w[i] if first else 1 - w[i]) * (one if first else other).log_prob(x[:, i]).exp()
        total = total + term
    torch.testing.assert_close(model.l(x=x), total.log())
    torch.testing.assert_close(model.factor("p(x)")().log_prob(x), total.log())


def test_draws_choose_a_component_for_each_entry() -> None:
    model, w, a = _two()
    torch.manual_seed(0)
    drawn = model.sample((4000,))["x"]
    law = model.factor("p(x)")()
    torch.testing.assert_close(law.mean, w * a)
    for i in range(3):
        share, loc = float(w[i]), float(a[i])

        def below(v, share=share, loc=loc):
            return share * st.norm(loc, 1).cdf(v) + (1 - share) * st.laplace(0, 2).cdf(v)

        # a right sampler is further off than this once in 10^5 runs
        assert st.kstest(drawn[:, i].numpy(), below).pvalue > 1e-5
    # the choices are independent: in the standard error of 4000 draws, of a spread of about 2 each
    apart = drawn - drawn.mean(0)
    assert (apart[:, 0] * apart[:, 2]).mean().abs() < 5 * apart[:, 0].std() * apart[:, 2].std() / 4000**0.5


ZERO_INFLATED = """
z : real[2]
x : nonnegative_integer[4]
net f = Linear(4)
net g = Linear(4)
net e = Linear(2)
p(z) = Normal(0, 1)
p_0(x) = Delta(0)
p_1(x|z) = Poisson(exp(f(z)))
p(x|z) = w * p_0(x) + (1 - w) * p_1(x|z) where w = sigmoid(g(z))
q(z|x) = Normal(e(x), 1)
l = log p(x|z)
elbo = ELBO[p || q]
maximize elbo
"""


def test_zero_inflation_a_pixel_with_probabilities_of_a_net() -> None:
    program = pgc.compile(ZERO_INFLATED)
    model = program.Model().double()
    x, z = torch.tensor([[0.0, 1, 0, 7], [3, 0, 0, 0]]).double(), torch.randn(2, 2).double()
    gate = torch.sigmoid(model.g(z))
    counts = D.Poisson(model.f(z).exp())
    expected = torch.log(gate * (x == 0) + (1 - gate) * counts.log_prob(x).exp()).sum(-1)
    torch.testing.assert_close(model.l(x=x, z=z), expected)
    assert [c.what for c in program.verify() if not c.passed] == []
    (optimizer,) = model.optimizers()
    first = model.train_step([optimizer], x)["loss"]
    for _ in range(50):
        last = model.train_step([optimizer], x)["loss"]
    assert last < first


PROGRAMS = {
    "two": TWO,
    "three, divided by their sum": """
x : real[2, 3]
param w, v : positive[2, 3]
param u : positive
q_1(x) = Normal(0, 1)
q_2(x) = Laplace(1, 2)
q_3(x) = Cauchy(1, 2)
p(x) = w q_1(x) + v q_2(x) + u q_3(x)
l = log p(x)
maximize l
""",
    "categories": """
k : category[4][3]
param w : unit_interval[3]
param a, b : simplex[3, 4]
q_1(k) = Categorical(a)
q_2(k) = Categorical(b)
p(k) = w q_1(k) + (1 - w) q_2(k)
l = log p(k)
maximize l
""",
    "an index": """
index t in 1..4
x_t : real[3]
param w : unit_interval[3]
q_1(x_t) = Normal(0, 1)
q_2(x_t) = Normal(-1, 1)
p(x_t) = w q_1(x_t) + (1 - w) q_2(x_t)
l = sum_t log p(x_t)
maximize l
""",
    "a weight for each data point beside": """
h : real
x : real[3]
param w : unit_interval[3]
p(h) = Normal(0, 1)
q_1(x) = Normal(0, 1)
q_2(x|h) = Normal(h, 1)
p(x|h) = w q_1(x) + exp(h) q_2(x|h)
l = log p(x|h)
maximize l
""",
    "a prior": """
z : real[2]
x : real[3]
net f = Linear(3)
net e = Linear(2)
param w : unit_interval[2]
p_1(z) = Normal(1, 1)
p_2(z) = truncate(Normal(-1, 1), -3, 1)
p(z) = w p_1(z) + (1 - w) p_2(z)
p(x|z) = Normal(f(z), 1)
q(z|x) = truncate(Normal(e(x), 1), -3, 1)
elbo = ELBO[p || q]
maximize elbo
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_verifies(name: str) -> None:
    assert [c.what for c in pgc.compile(PROGRAMS[name]).verify() if not c.passed] == []


def _said(first: str, weight: str, objective: str = "log p(x)") -> list[tuple[str, str]]:
    text = (
        f"x : real[3]\nparam w : unit_interval[{weight}]\nq_1(x) = {first}\nq_2(x) = Normal(-1, 1)\n"
        f"p(x) = w q_1(x) + (1 - w) q_2(x)\nl = {objective}\n"
    )
    return [(d.code, d.message) for d in pgc.check(text) if d.severity.name == "ERROR"]


def test_components_whose_entries_depend_on_each_other_are_refused() -> None:
    whole = "MultivariateNormal([0, 0, 0], scale_tril = [[1, 0, 0], [0, 1, 0], [0, 0, 1]])"
    message = "p(x) has weights for each entry, and q_1(x) is a MultivariateNormal, whose entries depend on each other"
    assert _said(whole, "3") == [("PGC216", message)]


def test_weights_of_another_shape_are_refused() -> None:
    found = _said("Normal(0, 1)", "2")
    assert found[0] == ("PGC402", "`w` is [2]: a weight of p(x) is one number a data point")


def test_an_average_over_it_says_what_to_draw() -> None:
    ((code, message),) = _said("Normal(0, 1)", "3", "E_{p(x)}[sum(x)]")
    assert code == "PGC409"
    assert "each of its entries chooses a component of its own" in message


def test_its_docstring_keeps_brackets() -> None:
    assert "w q_1(x) + (1 - w) q_2(x)" in pgc.compile(TWO).source
