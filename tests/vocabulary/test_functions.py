"""The rows of functions against torch and against derivatives taken numerically."""

import math

import pytest
import sympy
import torch

from pgcompile.diagnostics import NOWHERE
from pgcompile.inference.expression_maker import Maker
from pgcompile.inference.invert import invert
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS, OF_TERMS, Function

FOLDED = [f for f in FUNCTIONS.values() if f.fold is not None and f.arguments == 1 and f.name != "detach"]
INVERTIBLE = [f for f in FUNCTIONS.values() if f.inverse is not None]


def _points(function: Function) -> tuple[float, ...]:
    inside = function.domain == "unit_interval" or function.name == "erfinv"
    return (0.1, 0.6, 0.95) if inside else (0.2, 0.7, 1.8)


@pytest.mark.parametrize("function", FOLDED, ids=lambda f: f.name)
def test_folded_values_are_torchs(function: Function) -> None:
    known = {"softplus": torch.nn.functional.softplus, "relu": torch.relu}
    for x in _points(function):
        computed = known.get(function.name) or getattr(torch, function.name)
        assert function.fold is not None
        assert function.fold(x) == pytest.approx(float(computed(torch.tensor(x, dtype=torch.double))), abs=1e-12)


def _evaluated(expr: tree.Expr, v: float) -> float:
    """An expression at a number, by the standard library."""
    match expr:
        case tree.Number(text):
            return float(text)
        case tree.Name():
            return v
        case tree.Negative(operand):
            return -_evaluated(operand, v)
        case tree.Log(operand):
            return math.log(_evaluated(operand, v))
        case tree.Sum(items):
            return sum(sign * _evaluated(item, v) for sign, item in items)
        case tree.Product(factors):
            return math.prod(_evaluated(f, v) for f in factors)
        case tree.Call(name, (argument,)):
            x = _evaluated(argument.value, v)
            own = {
                "logit": lambda: math.log(x / (1 - x)),
                "sigmoid": lambda: 1 / (1 + math.exp(-x)),
                "softplus": lambda: math.log(1 + math.exp(x)),
            }
            return own[name]() if name in own else float(getattr(math, name)(x))
    raise AssertionError(expr)


@pytest.mark.parametrize("function", INVERTIBLE, ids=lambda f: f.name)
def test_inverses_give_the_argument_back_and_their_slope(function: Function) -> None:
    make = Maker(NOWHERE)
    call = make.call(function.name, tree.Name("x"))
    moves = lambda e: any(isinstance(n, tree.Name) for n in tree.walk(e))  # noqa: E731
    found = invert(call, "x", tree.Name("v"), moves, make)
    for x in _points(function):
        v = _evaluated(call, x)
        assert _evaluated(found.value, v) == pytest.approx(x, abs=1e-9)
        step = 1e-6
        derivative = (_evaluated(found.value, v + step) - _evaluated(found.value, v - step)) / (2 * step)
        assert sum(_evaluated(s, v) for s in found.log_slope) == pytest.approx(math.log(abs(derivative)), abs=1e-6)


def test_functions_of_terms_have_a_symbolic_form() -> None:
    assert "sin" not in OF_TERMS
    for name in OF_TERMS:
        module, _, head = FUNCTIONS[name].symbol.rpartition(".")
        assert head, name
        assert not module or hasattr(sympy, head), name
