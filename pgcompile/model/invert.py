"""Inverses of elementwise expressions, with the logarithm of their slope: the change of variables of a density."""

from collections.abc import Callable
from dataclasses import dataclass

from pgcompile.inference.expression_maker import Maker
from pgcompile.syntax import tree

_TWO, _HALF = tree.Number("2"), tree.Number("0.5")


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
    """What is inside the outermost operation, what it is equal to, and the logarithms of the slope."""

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
        case tree.Call(name=name, args=(argument,)) if name in _FUNCTIONS:
            value, slope = _FUNCTIONS[name](make, v)
            return argument.value, value, [slope]
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


def _exp(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    log = tree.Log(v, span=make.span)
    return log, tree.Negative(log, span=make.span)


def _softplus(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    """`v + log(1 - e^-v)`, whose slope is `1 / (1 - e^-v)`."""
    inside = tree.Log(tree.Negative(make.call("expm1", tree.Negative(v))), span=make.span)
    return make.add(v, inside), tree.Negative(inside, span=make.span)


def _sigmoid(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    return make.call("logit", v), make.minus(
        tree.Negative(tree.Log(v, span=make.span), span=make.span), make.call("log1p", tree.Negative(v))
    )


def _logit(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    both = make.add(make.call("softplus", v), make.call("softplus", tree.Negative(v)))
    return make.call("sigmoid", v), tree.Negative(both, span=make.span)


def _tanh(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    up, down = make.call("log1p", v), make.call("log1p", tree.Negative(v))
    return make.times(_HALF, make.minus(up, down)), tree.Negative(make.add(up, down), span=make.span)


def _log1p(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    return make.call("expm1", v), v


def _expm1(make: Maker, v: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
    log = make.call("log1p", v)
    return log, tree.Negative(log, span=make.span)


_FUNCTIONS: dict[str, Callable[[Maker, tree.Expr], tuple[tree.Expr, tree.Expr]]] = {
    "exp": _exp,
    "softplus": _softplus,
    "sigmoid": _sigmoid,
    "logit": _logit,
    "tanh": _tanh,
    "log1p": _log1p,
    "expm1": _expm1,
}
