"""Multiply, marginalise, rename: what they give and what they forbid."""

import networkx as nx
import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from pgcompile.diagnostics import CompileError
from tests.conftest import compiled


def codes(text: str) -> list[str]:
    return [d.code for d in pgc.check(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p(x|z) p(z)", []),
        ("p(x|z) * p(z)", []),
        ("p(a|b) p(b|c) p(c|d) p(d)", []),
        ("p(a|b) p(b|c) p(c|a)", ["PGC203"]),
        ("p(a|b) p(b|a) p(c)", ["PGC203"]),
        ("p(x|z) p(x)", ["PGC202"]),
        ("p(x,z) p(y|x) p(z|y)", ["PGC202"]),
        ("p(x) = ∫ p(x|z) p(z) dz", []),
        ("p(x,z) = p(z) p(x|z)", []),
        ("p(x|y) = ∫ p(x|z) p(z|y) dz", []),
        ("p(x,z) = ∫ p(x|z) p(z) dz", ["PGC208"]),
        ("p(x) = ∫ p(x|z) p(z) dy", ["PGC204"]),
        ("p(u) = p(x)[x -> u]", []),
        ("p(x,y) = p(x) p(y)", []),
        ("p(y,x|z) = (p(x|z) p(y))[x -> y, y -> x]", []),
        ("p(u|v) = p(x|z)[x -> u, z -> u]", ["PGC206"]),
    ],
)
def test_rules(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_a_marginalised_name_is_free_again() -> None:
    """The z inside the integral is not the z of the later factor."""
    assert codes("p(x) = ∫ p(x|z) p(z) dz\nq(x,y|z) = p(x) r(y|x,z)") == []
    assert "PGC208" in codes("p(x) = ∫ p(x|z) p(z) dz\nq(x,y) = p(x) r(y|x,z)")


def test_the_cycle_is_named_and_shown() -> None:
    [diagnostic] = pgc.check("p(x|z) p(z|x)")
    assert diagnostic.reasons == ("cycle: z -> x -> z",)
    assert "x and z" in diagnostic.message
    assert diagnostic.help is not None
    assert "p(x|z) p(z)" in diagnostic.help


def test_the_graph() -> None:
    program = compiled(
        "x, y : real\nz : real\np(z) = Normal(0, 1)\np(x|z,y) = Normal(z + y, 1)\np(y) = Normal(0, 1)\ns = log p"
    )
    graph = program.graph
    assert isinstance(graph, nx.DiGraph)
    assert set(graph.edges) == {("z", "x"), ("y", "x")}
    assert graph.nodes["x"]["factor"] == "p(x|z,y)"


RENAMED = """x, z, u, v : real[2]
net f = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(f(z), 0.5)
r(u|v) = p(x|z)[x -> u, z -> v]
swapped(z|x) = p(x|z)[x -> z, z -> x]
a = log r(u|v)
b = log swapped(z|x)
"""


def test_a_renamed_factor_shares_its_parameters() -> None:
    model = compiled(RENAMED).Model()
    assert len(list(model.parameters())) == 2
    u, v = torch.randn(3, 2), torch.randn(3, 2)
    expected = model.log_prob_of("p(x|z)", x=u, z=v)
    torch.testing.assert_close(model.a(u=u, v=v), expected)
    torch.testing.assert_close(model.log_prob_of("r(u|v)", u=u, v=v), expected)
    torch.testing.assert_close(model.factor("r(u|v)")(v).mean, model.f(v))


def test_a_renaming_is_simultaneous() -> None:
    model = compiled(RENAMED).Model()
    x, z = torch.randn(3, 2), torch.randn(3, 2)
    torch.testing.assert_close(model.b(x=x, z=z), D.Normal(model.f(x), 0.5).log_prob(z).sum(-1))


def test_kl_of_a_renamed_conditional_factor() -> None:
    text = RENAMED + "c = KL[r(u|v) || s(u)]\ns(u) = Normal(0, 1)"
    model = compiled(text).Model()
    v = torch.randn(4, 2)
    expected = D.kl_divergence(D.Normal(model.f(v), 0.5), D.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(model.c(v=v), expected)


def test_a_barren_variable_is_integrated_out_exactly() -> None:
    text = (
        "x, z, y : real\np(z) = Normal(0, 1)\np(x) = Normal(1, 2)\np(y|x) "
        "= Normal(x, 1)\nm(x) = ∫ p(x) p(y|x) p(z) dy dz\ns = log m(x)"
    )
    model = compiled(text).Model()
    x = torch.randn(5)
    torch.testing.assert_close(model.s(x=x), D.Normal(1.0, 2.0).log_prob(x))
    torch.testing.assert_close(model.log_prob_of("m(x)", x=x), D.Normal(1.0, 2.0).log_prob(x))


def test_a_marginal_without_a_density_is_an_error_that_names_the_bound() -> None:
    text = "x, z : real\np(z) = Normal(0, 1)\np(x|z) = Normal(z^2, 1)\np(x) = ∫ p(x|z) p(z) dz\ns = log p(x)"
    with pytest.raises(CompileError) as caught:
        pgc.compile(text)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "PGC210"
    assert "ELBO" in (diagnostic.help or "")


def test_order_of_factors_does_not_matter() -> None:
    lines = ["x : real[2]", "z : real[2]", "p(z) = Normal(0, 1)", "p(x|z) = Normal(z, 1)"]
    one = pgc.compile("\n".join([*lines, "m(x,z) = p(x|z) p(z)", "s = log p(x|z) p(z)"])).source
    two = pgc.compile("\n".join([*lines, "m(x,z) = p(z) p(x|z)", "s = log p(z) p(x|z)"])).source
    assert one.split("def s(")[1].split('"""')[2] == two.split("def s(")[1].split('"""')[2]


def test_a_thousand_nested_sums() -> None:
    """A chain of them is walked, not entered: Python's recursion ends long before."""
    count = 1200
    lines = [f"z{i} : boolean\np(z{i}) = Bernoulli(logits={i})" for i in range(count)]
    sums, factors = (" ".join(part.format(i) for i in range(count)) for part in ("sum_z{}", "p(z{})"))
    assert codes("\n".join([*lines, f"x : real\np(x|z0) = Normal(z0, 1)\np(x) = {sums} {factors} p(x|z0)"])) == []


def test_a_variable_is_summed_out_once() -> None:
    text = "z : boolean\nx : real\np(z) = Bernoulli(logits=1)\np(x|z) = Normal(z, 1)\n"
    assert codes(text + "p(x) = sum_z sum_z p(x|z) p(z)") == ["PGC204"]
