"""Factors whose variable is among what they are conditioned on."""

import pytest

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
        ("d = m[k]\ne = d + 1\nr(k|e) = Categorical(logits = e * w)", "k -> e -> d -> k"),
        ("d = m[k]\nextern r(k|d)", "k -> d -> k"),
    ],
)
def test_a_circle_through_deterministic_variables(definitions: str, circle: str) -> None:
    with pytest.raises(pgc.CompileError) as found:
        compiled(f"{HEAD}{definitions}\nt = E_{{q(k|x)}}[m[k]]")
    (report,) = found.value.diagnostics
    assert (report.code, report.reasons) == ("PGC209", (circle,))


def test_another_variable_may_depend_on_a_deterministic_one() -> None:
    compiled(HEAD + "j : category[3]\nd = m[k]\nr(j|d) = Categorical(logits = d * w)\nt = E_{q(k|x)}[E_{r(j|d)}[m[j]]]")
