"""Numbers of formulas as texts: whatever is written, Python computes the number."""

import math

import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import Builder
from pgcompile.plan.check import check_values
from pgcompile.plan.meaning import meaning, size_of, times
from tests.conftest import compiled

_ATOMS = st.one_of(
    st.integers(2, 9).map(sympy.Integer),
    st.fractions(min_value="1/8", max_value=9, max_denominator=8).map(
        lambda f: sympy.Rational(f.numerator, f.denominator)
    ),
    st.just(sympy.pi),
)


def _grown(inner: st.SearchStrategy[sympy.Expr]) -> st.SearchStrategy[sympy.Expr]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda e: sympy.log(1 + e)),
        inner.map(sympy.sqrt),
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] * p[1]),
    )


NUMBERS = st.recursive(_ATOMS, _grown, max_leaves=6)


def python(text: str) -> float:
    """What Python makes of a text."""
    return float(eval(text, {"math": math, "__builtins__": {}}))  # noqa: S307


@given(NUMBERS, st.integers(1, 40))
def test_a_text_is_its_number(number: sympy.Expr, count: int) -> None:
    text = meaning(number)
    if text is None:
        return
    assert math.isclose(python(text), float(number), rel_tol=1e-9)
    repeated = times(count, text)
    assert repeated is not None
    assert math.isclose(python(repeated), count * float(number), rel_tol=1e-9)
    assert math.isclose(size_of(repeated), count * float(number), rel_tol=1e-9)


@pytest.mark.parametrize("text", ["x", "math.exp(1)", "1 +", "[1]", "'a'", "math.log(1, 2)"])
def test_what_is_no_such_text(text: str) -> None:
    with pytest.raises(ValueError):
        size_of(text)


def test_a_plan_whose_text_is_another_number_is_our_fault() -> None:
    build = Builder()
    wrong = build.constant(2.0, "0.5 * 2 * math.pi")
    with pytest.raises(InternalError, match="and not"):
        check_values([wrong], "f", [], set())


@pytest.mark.parametrize(
    ("factor", "make"),
    [
        ("Normal(w, 3.5)", lambda w: torch.distributions.Normal(w, 3.5)),
        ("Laplace(w, 2.5)", lambda w: torch.distributions.Laplace(w, 2.5)),
        ("StudentT(df = 3.5, loc = w, scale = 1.7)", lambda w: torch.distributions.StudentT(3.5, w, 1.7)),
        ("Cauchy(w, 0.3)", lambda w: torch.distributions.Cauchy(w, 0.3)),
        ("Gumbel(w, 2.5)", lambda w: torch.distributions.Gumbel(w, 2.5)),
    ],
)
def test_constants_are_counted_once_for_each_element(factor: str, make) -> None:  # type: ignore[no-untyped-def]
    """A scale that is a number: its logarithm stands beside the constant of the family."""
    module = compiled(f"z : real[3]\nparam w : real = 0.4\np(z) = {factor}\nll = log p(z)").Model()
    z = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, -0.7]])
    torch.testing.assert_close(module.ll(z), make(torch.tensor(0.4)).log_prob(z).sum(-1))
