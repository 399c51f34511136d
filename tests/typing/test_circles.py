"""Factors whose variable is among what they are conditioned on: they are scored, not drawn."""

import math

import pytest
import torch

import pgcompile as pgc
from tests.conftest import compiled

HEAD = """
x : real[2]
k : category[3]
d, e : real
param m, w : real[3] = normal(1)
q(k|x) = Categorical(logits = x[0] * m)
"""


@pytest.mark.parametrize(
    ("definitions", "circle"),
    [
        ("d = m[k]\nr(k|d) = Categorical(logits = d * w)", "k -> d -> k"),
        ("d = m[k]\ne = d + 1\nr(k|e) = Categorical(logits = e * w)", "k -> d -> e -> k"),
        ("d = m[k]\nextern r(k|d)", "k -> d -> k"),
    ],
)
def test_a_circle_through_deterministic_variables(definitions: str, circle: str) -> None:
    variable = "e" if "(k|e)" in definitions else "d"
    with pytest.raises(pgc.CompileError) as found:
        compiled(f"{HEAD}{definitions}\nt = E_{{r(k|{variable})}}[m[k]]")
    (report,) = found.value.diagnostics
    assert (report.code, report.reasons) == ("PGC209", (circle,))
    assert f"{variable} is made from k" in (report.help or "")


def test_an_autoencoder_scores_what_it_reconstructs() -> None:
    program = compiled("""
        x : real[3]
        z : real[2]
        net e = Linear(2)
        net d = Linear(3)
        z = e(x)
        p(x|z) = Normal(d(z), 1)
        ll = log p(x|z)
        maximize ll using Adam
    """)
    module, x = program.Model(), torch.randn(5, 3)
    reconstructed = module.d(module.e(x))
    expected = -0.5 * (x - reconstructed).square().sum(-1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(module.ll(x), expected)
    torch.testing.assert_close(module.loss(x), -expected.mean())
    assert not hasattr(module, "sample")
    assert all(check.passed for check in program.verify())


def test_another_variable_may_depend_on_a_deterministic_one() -> None:
    compiled(HEAD + "j : category[3]\nd = m[k]\nr(j|d) = Categorical(logits = d * w)\nt = E_{q(k|x)}[E_{r(j|d)}[m[j]]]")
