"""Marginals and posteriors that a program names: what they are called with, what they leave out, what they share."""

import itertools

import pytest
import torch
from torch import Tensor

from tests.conftest import compiled

NETWORK = """
a, b, c, e : boolean
x : real
p(a) = Bernoulli(0.3)
p(b|a,e) = Bernoulli(0.2 + 0.3 * a + 0.4 * e)  # pgc: allow W102
p(c|a) = Bernoulli(0.2 + 0.3 * a)  # pgc: allow W102
p(x|a) = Normal(a, 1)
"""


def bernoulli(p: float, value: int) -> float:
    return p if value else 1 - p


def posterior(b: int, e: int) -> list[float]:
    """p(a|b,e) by hand."""
    joint = [bernoulli(0.3, a) * bernoulli(0.2 + 0.3 * a + 0.4 * e, b) for a in (0, 1)]
    return [p / sum(joint) for p in joint]


def test_a_parent_that_does_not_matter_is_still_a_parent() -> None:
    program = compiled(f"{NETWORK}p(a|e) = ∫ p(a) p(b|a,e) db\no = log p(a|e)")
    model = program.Model()
    a, e = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
    expected = torch.tensor([0.3, 0.7, 0.3]).log()
    torch.testing.assert_close(model.log_prob_of("p(a|e)", a=a, e=e), expected)
    torch.testing.assert_close(model.p_a_given_e(e).log_prob(a), expected)
    torch.testing.assert_close(model.factor("p(a|e)")(e).log_prob(a), expected)
    assert all(check.passed for check in program.verify())


def test_what_integrates_to_one_may_stand_in_a_posterior() -> None:
    """Above the line, below it, a continuous variable too: the posterior and its expectations are the same."""
    program = compiled(f"""{NETWORK}
p(b|e) = ∫ p(a) p(b|a,e) p(c|a) da dc
p(a|b,e) = (∫ p(a) p(x|a) p(b|a,e) dx) / p(b|e)
o = log p(a|b,e)
m = E_{{p(a|b,e)}}[a]
h = H[p(a|b,e)]
""")
    model = program.Model().double()
    pairs = [(b, e) for b in (0, 1) for e in (0, 1)]
    b, e = (torch.tensor([float(pair[i]) for pair in pairs], dtype=torch.float64) for i in (0, 1))
    table = torch.tensor([posterior(*pair) for pair in pairs], dtype=torch.float64)
    torch.testing.assert_close(model.m(b=b, e=e), table[:, 1])
    torch.testing.assert_close(model.h(b=b, e=e), -(table * table.log()).sum(-1))
    for a in (0, 1):
        values = {"a": torch.full((4,), float(a), dtype=torch.float64), "b": b, "e": e}
        torch.testing.assert_close(model.o(**values), table[:, a].log())
    assert all(check.passed for check in program.verify())


def test_a_finite_marginal_is_a_table_and_not_a_mixture() -> None:
    program = compiled("""
        b, c : category[3]
        param w : real[3, 3] = normal(1)
        p(b) = Categorical([0.2, 0.3, 0.5])
        p(c|b) = Categorical(logits = w[b])
        p(c) = sum_b p(b) p(c|b)
        o = log p(c)
    """)
    assert program.source.count("def p_c(") == 1
    model = program.Model()
    expected = torch.tensor([0.2, 0.3, 0.5]) @ model.w.softmax(-1)
    torch.testing.assert_close(model.p_c().probs, expected)
    torch.testing.assert_close(model.o(torch.arange(3)), expected.log())


def test_zero_times_a_logarithm_of_zero_is_zero() -> None:
    model = compiled("""
        a, b : boolean
        p(a) = Bernoulli(0.3)
        p(b|a) = Bernoulli(a)
        p(b) = sum_a p(a) p(b|a)
        p(a|b) = p(a) p(b|a) / p(b)
        h = H[p(a|b)]
        e = E_{p(a|b)}[log p(b|a)]
        k = KL[p(a|b) || p(a)]
    """).Model()
    found = model.terms(torch.tensor([0.0, 1.0]))
    none = torch.zeros(2)
    for name, expected in (("h", none), ("e", none), ("k", -torch.tensor([0.7, 0.3]).log())):
        torch.testing.assert_close(found[name], expected, atol=1e-6, rtol=1e-6)


def test_shared_methods_that_call_each_other() -> None:
    """A piece of a shared method is shared by others: it stands before those that call it."""
    program = compiled("""
        a : category[4]
        b : boolean
        x : real
        d : one_hot[2]
        param w : real = 0.4
        p(a) = Categorical([0.1, 0.2, 0.3, 0.4])
        p(b) = Bernoulli(0.4)
        p(x|a,b) = Normal(w + b, 1.5)
        p(d|b,a) = OneHotCategorical(logits = [0.1, 0.2] + b)
        p(a,x,d) = ∫ p(a) p(b) p(x|a,b) p(d|b,a) db
        p(b|d,x,a) = p(a) p(b) p(x|a,b) p(d|b,a) / p(a,x,d)
        p(x|a) = ∫ p(b) p(x|a,b) db
        p(b,d|a,x) = p(b) p(x|a,b) p(d|b,a) / p(x|a)
        one = log p(b|d,x,a)
        two = exp(log p(b|d,x,a)) - 1
    """)
    model = program.Model().double()
    x, a = torch.tensor([0.3, -1.0, 2.0]).double(), torch.tensor([0, 3, 1])
    d = torch.eye(2, dtype=torch.float64)[torch.tensor([0, 1, 1])]

    def joint(b: float) -> Tensor:
        prior = torch.tensor(0.4 if b else 0.6, dtype=torch.float64).log()
        first = torch.distributions.Normal(0.4 + b, 1.5).log_prob(x)
        second = (d * (torch.tensor([0.1, 0.2], dtype=torch.float64) + b).log_softmax(-1)).sum(-1)
        return prior + first + second

    total = torch.logaddexp(joint(0.0), joint(1.0))
    for b in (0.0, 1.0):
        values = {"a": a, "b": torch.full((3,), b, dtype=torch.float64), "d": d, "x": x}
        torch.testing.assert_close(model.one(**values), joint(b) - total)
        torch.testing.assert_close(model.two(**values), (joint(b) - total).exp() - 1)
    assert all(check.passed for check in program.verify())


def test_a_table_without_conditions_asks_the_objective_at_every_value() -> None:
    program = compiled("""
        h, b : boolean
        k : category[3]
        o : one_hot[2]
        param w : real[3, 2] = normal(1)
        param v : real[3] = normal(1)
        p(h) = Bernoulli(0.3)
        p(k|h) = Categorical(logits = v * (1 + h))
        p(b|k,h) = Bernoulli(logits = v[k] - h)
        p(o|k,h) = OneHotCategorical(logits = w[k] * (2 - h))
        p(b,k,o) = ∫ p(h) p(k|h) p(b|k,h) p(o|k,h) dh
        t = log p(b,k,o)
    """)
    assert "self.t(" in program.source.split("def p_b_k_o(")[1].split("def ")[0]
    model = program.Model()
    table = model.p_b_k_o()
    expected = torch.zeros(2, 3, 2)
    for h in (0, 1):
        weight = 0.3 if h else 0.7
        states = (model.v * (1 + h)).softmax(-1)
        for b in (0, 1):
            for k in range(3):
                yes = (model.v[k] - h).sigmoid()
                corners = (model.w[k] * (2 - h)).softmax(-1)
                expected[b, k] += weight * states[k].detach() * (yes if b else 1 - yes).detach() * corners.detach()
    torch.testing.assert_close(table.probs, expected)
    b, k, o = torch.tensor([1.0, 0.0]), torch.tensor([2, 0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    chosen = torch.stack([expected[1, 2, 1], expected[0, 0, 0]]).log()
    torch.testing.assert_close(model.log_prob_of("p(b,k,o)", b=b, k=k, o=o), chosen)
    drawn = table.sample((4000,))
    assert {name: tuple(value.shape) for name, value in drawn.items()} == {"b": (4000,), "k": (4000,), "o": (4000, 2)}
    share = (drawn["k"] == 1).double().mean()
    right = float(expected[:, 1].sum())
    assert abs(float(share) - right) < 5 * (right * (1 - right) / 4000) ** 0.5


def test_no_name_is_told_apart_by_a_mark() -> None:
    """What is summed out has no name that a message or a line of code could show."""
    program = compiled("""
        x : real[2]
        k, j : boolean
        param m : real[2] = normal(1)
        p(k) = Bernoulli(0.3)
        p(j|k) = Bernoulli(logits = k)
        p(x|k,j) = Normal(m * (1 + k + j), 1)
        p(x) = ∫ p(x|k,j) p(j|k) p(k) dk dj
        p(k|x) = (∫ p(x|k,j) p(j|k) p(k) dj) / p(x)
        goal = log p(x) + E_{p(k|x)}[log p(k|x)]
        maximize goal using Adam
    """)
    said = "".join(f"{d.message} {d.help} {' '.join(d.reasons)}" for d in program.diagnostics)
    assert "W113" not in {d.code for d in program.diagnostics}
    assert "\u2032" not in said + program.source
    assert all(check.passed for check in program.verify())


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_a_joint_is_scored_in_the_order_of_its_name(order: tuple[str, ...]) -> None:
    name = ",".join(order)
    model = compiled(f"""
        a, b, c : boolean
        p(a) = Bernoulli(0.3)
        p(b|a) = Bernoulli(0.2 + 0.5 * a)  # pgc: allow W102
        p(c|a,b) = Bernoulli(0.1 + 0.3 * a + 0.5 * b)  # pgc: allow W102
        p({name}) = p(c|a,b) p(a) p(b|a)
        o = log p(a)
    """).Model()
    table = model.factor(f"p({name})")()
    for values in itertools.product((0, 1), repeat=3):
        a, b, c = values
        expected = bernoulli(0.3, a) * bernoulli(0.2 + 0.5 * a, b) * bernoulli(0.1 + 0.3 * a + 0.5 * b, c)
        named = dict(zip("abc", (torch.tensor([float(v)]) for v in values), strict=True))
        for found in (model.log_prob_of(f"p({name})", **named), table.log_prob(*(named[v] for v in order))):
            assert float(found.exp()) == pytest.approx(expected, rel=1e-5)
        assert float(table.probs[tuple(dict(zip("abc", values, strict=True))[v] for v in order)]) == pytest.approx(
            expected, rel=1e-5
        )
