"""Bars around values: which pairs are norms, and which part a factor or a divergence."""

import pytest
import torch

import pgcompile as pgc
from pgcompile.diagnostics import CompileError, Source
from pgcompile.pipeline import parse_only
from pgcompile.syntax.format import format_program

HEAD = """
param w : real[4] = normal(1)
x : real[4]
z : real[2]
net f = Linear(4)
net e = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(f(z), 1)
q(z|x) = Normal(e(x), 0.1)
"""


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("||w||", "norm(w)"),
        ("||w||^2", "norm(w)^2"),
        ("‖w‖_2^2", "norm(w)^2"),
        ("||w||_1", "sum(abs(w))"),
        (r"\lVert w \rVert_{2}", "norm(w)"),
        (r"\left\| w - x \right\|_1", "sum(abs(w - x))"),
        ("|w[0]|", "abs(w[0])"),
        ("0.5 |w[0] - 1| + 1", "0.5 * abs(w[0] - 1) + 1"),
        ("log |w[0]|", "log abs(w[0])"),
        (r"\lvert w[0] \rvert", "abs(w[0])"),
        ("2 ||x - f(z)|| |w[0]|", "2 * norm(x - f(z)) * abs(w[0])"),
        ("E_{q(z|x)}[||x - f(z)||^2] - KL[q(z|x) || p(z)]", "E_{q(z|x)}[norm(x - f(z))^2] - KL[q(z|x) || p(z)]"),
        ("KL(q(z|x) || p(z)) + ||w||", "KL[q(z|x) || p(z)] + norm(w)"),
        ("sum(|w| * ||w||)", "sum(abs(w) norm(w))"),
        ("||w - |x|||", None),
        ("log p(x|z) + |w[0]", None),
    ],
)
def test_pairs_are_calls(written: str, plain: str | None) -> None:
    source = Source(f"l = {written}\nm = 1\n")
    if plain is None:
        with pytest.raises(CompileError):
            parse_only(source)
    else:
        assert format_program(parse_only(source), source).split("\n")[0] == f"l = {plain}"


def test_values_are_those_of_torch() -> None:
    formula = "||x - w||^2 + 0.5 ||x||_1 - |x[0] - w[1]| + ||w||"
    model = pgc.compile(f"{HEAD}\nl = {formula}\nminimize l using Adam(lr = 1e-3)").Model().double()
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = model.w.detach()
    wanted = ((x - w) ** 2).sum(-1) + 0.5 * x.abs().sum(-1) - (x[:, 0] - w[1]).abs() + (w**2).sum().sqrt()
    torch.testing.assert_close(model.l(x=x), wanted)


def test_a_squared_norm_has_no_root_and_its_expectation_is_exact() -> None:
    program = pgc.compile(f"{HEAD}\nl = E_{{q(z|x)}}[||z||^2]\nminimize l using Adam(lr = 1e-3)")
    assert "vector_norm" not in program.source
    model = program.Model().double()
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean = x @ model.e.weight.T + model.e.bias
    torch.testing.assert_close(model.l(x=x), (mean**2 + 0.01).sum(-1))


def test_a_bar_at_the_end_of_a_line_ends_the_statement() -> None:
    assert len(parse_only(Source("a = |x|\nb = ||x||\nc = 1\n")).statements) == 3
