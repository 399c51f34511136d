"""Entries of tables, of what nets and draws give too: at numbers, at variables, at every value of a variable."""

import pytest
import torch
from torch import Tensor

import pgcompile as pgc
from tests.conftest import compiled

HEAD = """
k : category[3]
j : category[2]
x : real[4]
y : real
w : real[3, 2]
param T : real[3, 2, 5] = normal(1)
param C : real[3, 2] = normal(1)
net n = Linear(3)
net f = Linear(6) >> Unflatten([3, 2])
p(k) = Categorical(logits = [0, 1, 2])
p(j) = Categorical(logits = [1, 0])
p(w) = Normal(0, 1)
q(w|x) = Normal(f(x), 0.1)
"""


def by_hand(entry: str, model: torch.nn.Module, x: Tensor, k: Tensor, j: Tensor, w: Tensor) -> Tensor:
    """The entry for each data point."""
    rows = []
    for i in range(len(k)):
        a, b = int(k[i]), int(j[i])
        rows.append(
            {
                "C[k, j]": lambda a=a, b=b: model.C[a, b],
                "C[k][j]": lambda a=a, b=b: model.C[a, b],
                "C[k, 1]": lambda a=a: model.C[a, 1],
                "C[2, j]": lambda b=b: model.C[2, b],
                "sum(T[k, j])": lambda a=a, b=b: model.T[a, b].sum(),
                "T[k, j, 4]": lambda a=a, b=b: model.T[a, b, 4],
                "T[k, 0, 4]": lambda a=a: model.T[a, 0, 4],
                "T[1, j, 2]": lambda b=b: model.T[1, b, 2],
                "n(x)[k]": lambda i=i, a=a: model.n(x[i])[a],
                "w[k, j]": lambda i=i, a=a, b=b: w[i, a, b],
                "w[k][j]": lambda i=i, a=a, b=b: w[i, a, b],
                "sum(w[k])": lambda i=i, a=a: w[i, a].sum(),
                "w[1, j]": lambda i=i, b=b: w[i, 1, b],
            }[entry]()
        )
    return torch.stack(rows)


ENTRIES = (
    "C[k, j]",
    "C[k][j]",
    "C[k, 1]",
    "C[2, j]",
    "sum(T[k, j])",
    "T[k, j, 4]",
    "T[k, 0, 4]",
    "T[1, j, 2]",
    "n(x)[k]",
    "w[k, j]",
    "w[k][j]",
    "sum(w[k])",
    "w[1, j]",
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_of_a_table(entry: str) -> None:
    """Of the data, and with the indices summed out."""
    parents = ",".join(v for v in ("k", "j", "x", "w") if v in entry.replace("sum", ""))
    hidden = [v for v in ("k", "j") if f"[{v}" in entry or f" {v}" in entry]
    factors = " ".join(f"p({v})" for v in hidden)
    others = ",".join(v for v in ("x", "w") if v in parents)
    marginal = f"p(y{'|' + others if others else ''})"
    differentials = " ".join(f"d{v}" for v in hidden)
    program = compiled(
        f"{HEAD}p(y|{parents}) = Normal({entry}, 0.5)\n{marginal} = ∫ p(y|{parents}) {factors} {differentials}\n"
        f"a = log p(y|{parents})\nb = log {marginal}"
    )
    model = program.Model().double()
    torch.manual_seed(0)
    k, j = torch.tensor([0, 2, 1, 1]), torch.tensor([1, 0, 0, 1])
    data = {"k": k, "j": j, "x": torch.randn(4, 4).double(), "w": torch.randn(4, 3, 2).double()}
    y = torch.randn(4).double()

    def density(k: Tensor, j: Tensor) -> Tensor:
        centre = by_hand(entry, model, data["x"], k, j, data["w"])
        return torch.distributions.Normal(centre, 0.5).log_prob(y)

    given = {v: data[v] for v in parents.split(",")}
    torch.testing.assert_close(model.a(y=y, **given), density(k, j))
    weights = {
        "k": torch.tensor([0.0, 1.0, 2.0]).double().log_softmax(0),
        "j": torch.tensor([1.0, 0.0]).double().log_softmax(0),
    }
    every = [range(len(weights[v])) if v in hidden else range(1) for v in ("k", "j")]
    terms = []
    for a in every[0]:
        for b in every[1]:
            weight = sum((weights[v][i] for v, i in (("k", a), ("j", b)) if v in hidden), torch.zeros(()))
            terms.append(density(torch.full((4,), a), torch.full((4,), b)) + weight)
    total = torch.stack(terms).logsumexp(0)
    torch.testing.assert_close(model.b(y=y, **{v: data[v] for v in others.split(",") if v}), total)
    assert all(check.passed for check in program.verify())


def test_a_random_mixture() -> None:
    """Weights and centres are drawn: a table that is another for each data point and each draw."""
    program = compiled("""
        x : real[2]
        k : category[3]
        w : simplex[3]
        mu : real[3, 2]
        p(w) = Dirichlet([1, 1, 1])
        p(mu) = Normal(0, 3)
        p(k|w) = Categorical(probs = w)
        p(x|k,mu) = Normal(mu[k], 1)
        q(w) = Dirichlet(a)
        q(mu) = Normal(m, s)
        param a : positive[3] = 1
        param m : real[3, 2] = normal(1)
        param s : positive[3, 2] = 1
        p(x|w,mu) = sum_k p(x|k,mu) p(k|w)
        one = E_{q(w) q(mu)}[log p(x|w,mu)] - (KL[q(w) || p(w)] + KL[q(mu) || p(mu)]) / 500
        many = E_{q(w) q(mu); samples=3}[log p(x|w,mu)]
    """)
    assert all(check.passed for check in program.verify())


@pytest.mark.parametrize("wrong", ["C[j, k]", "C[k, k]", "T[k, j, k]"])
def test_a_variable_indexes_as_many_entries_as_it_has_values(wrong: str) -> None:
    found = [d for d in pgc.check(f"{HEAD}p(y|k,j) = Normal({wrong}, 1)") if d.code == "PGC309"]
    assert found and "values" in found[0].message
