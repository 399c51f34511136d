"""Inverses of elementwise expressions, with the logarithm of their slope: the change of variables of a density."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from pgcompile.diagnostics import InternalError
from pgcompile.inference.expression_maker import Maker, substituted
from pgcompile.syntax import tree
from pgcompile.syntax.grammar import parser
from pgcompile.vocabulary.functions import FUNCTIONS

_TWO = tree.Number("2")


class NotInvertible(Exception):
    """An expression has no inverse that is known; the message says why."""


@dataclass(frozen=True)
class Inverse:
    """`x` as an expression of `y`, and the terms of `log |dx/dy|`."""

    value: tree.Expr
    log_slope: tuple[tree.Expr, ...]


def invert(
    expr: tree.Expr, variable: str, value: tree.Expr, moves: Callable[[tree.Expr], bool], make: Maker
) -> Inverse:
    """The inverse of an expression of one variable.

    Args:
        expr: the expression.
        variable: what it is solved for.
        value: what the expression is equal to.
        moves: whether an expression depends on the variable.
        make: makes expressions.

    Raises:
        NotInvertible: it is not invertible, or its inverse is not known.
    """
    slopes: list[tree.Expr] = []
    while not (isinstance(expr, tree.Name) and expr.id == variable):
        expr, value, slope = _step(expr, value, moves, make)
        slopes += slope
    return Inverse(value, tuple(slopes))


def _step(
    expr: tree.Expr, v: tree.Expr, moves: Callable[[tree.Expr], bool], make: Maker
) -> tuple[tree.Expr, tree.Expr, list[tree.Expr]]:
    """The operand of the outermost operation, the value that it is equal to, and the logarithms of the slope."""

    def negative(e: tree.Expr) -> tree.Expr:
        return tree.Negative(e, span=make.span)

    def log(e: tree.Expr) -> tree.Expr:
        return tree.Log(e, span=make.span)

    match expr:
        case tree.Negative(operand):
            return operand, negative(v), []
        case tree.Sum(items):
            sign, inner = _only([(s, item) for s, item in items if moves(item)])
            rest = [(-s, item) for s, item in items if not moves(item)]
            moved = tree.Sum(((1, v), *rest), span=make.span) if rest else v
            return inner, moved if sign > 0 else negative(moved), []
        case tree.Product(factors):
            _, inner = _only([(1, f) for f in factors if moves(f)])
            scale = make.times(*(f for f in factors if not moves(f)))
            return inner, make.over(v, scale), [negative(log(make.call("abs", scale)))]
        case tree.Quotient(top, bottom) if not moves(bottom):
            return top, make.times(v, bottom), [log(make.call("abs", bottom))]
        case tree.Quotient(top, bottom) if not moves(top):
            slope = make.minus(log(make.call("abs", top)), make.times(_TWO, log(make.call("abs", v))))
            return bottom, make.over(top, v), [slope]
        case tree.Log(operand):
            return operand, make.call("exp", v), [v]
        case tree.Call(name=name, args=(argument,)) if name in FUNCTIONS and FUNCTIONS[name].inverse is not None:
            inverse = FUNCTIONS[name].inverse
            assert inverse is not None
            return argument.value, _at(inverse.value, v, make), [_at(inverse.log_slope, v, make)]
        case tree.Call(name=name):
            raise NotInvertible(f"{name} has no inverse that is known")
        case tree.Power():
            raise NotInvertible("a power is not invertible everywhere")
        case _:
            raise NotInvertible("it is no chain of invertible functions")


def _only(moving: list[tuple[int, tree.Expr]]) -> tuple[int, tree.Expr]:
    if len(moving) != 1:
        raise NotInvertible("the variable stands in it more than once")
    return moving[0]


@cache
def _formula(text: str) -> tree.Expr:
    """A formula of a row of the vocabulary, read once."""
    statement = parser().parse(f"f = {text}")
    if not isinstance(statement, tree.Definition):
        raise InternalError(f"`{text}` is no formula")
    return statement.right


def _at(text: str, v: tree.Expr, make: Maker) -> tree.Expr:
    """A formula of `v` at a value, all of it standing where `make` stands."""
    found: tree.Expr = substituted(_placed(_formula(text), make), {"v": v})
    return found


def _placed(node: Any, make: Maker) -> Any:
    if isinstance(node, tuple):
        return tuple(_placed(item, make) for item in node)
    if not isinstance(node, tree.Node):
        return node
    places = ("span", "name_span")
    return replace(
        node,
        **{
            f.name: make.span if f.name in places else _placed(getattr(node, f.name), make)
            for f in fields(node)
            if f.init
        },
    )
