"""Expressions as sympy formulas of one variable, so that their expectation can be taken from its moments.

What does not depend on the variable becomes a symbol: a tensor that is computed as it was written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import sympy
from sympy import Expr, Rational, Symbol

from pgcompile.model.factors import Deterministic
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.vocabulary.symbols import X

_FUNCTIONS: dict[str, Callable[[Expr], Expr]] = {
    "exp": sympy.exp,
    "square": lambda x: x**2,
    "abs": sympy.Abs,
}


@dataclass(frozen=True)
class Summand:
    """`sign * coefficient * reduction(inner)`, a summand of a scalar expression.

    Args:
        sign: 1 or -1.
        coefficients: factors that do not depend on the variable; those of a quotient's bottom are inverted.
        inner: what is reduced.
        reduction: `sum`, `mean` or nothing.
    """

    sign: int
    coefficients: tuple[tuple[tree.Expr, bool], ...]
    inner: tree.Expr
    reduction: str = ""


def summands(expr: tree.Expr, depends: Callable[[tree.Expr], bool], sign: int = 1) -> list[Summand] | None:
    """A scalar expression taken apart into sums over events; None where it is not such a sum."""
    match expr:
        case tree.Negative(operand):
            return summands(operand, depends, -sign)
        case tree.Sum(items):
            found = [summands(item, depends, sign * s) for s, item in items]
            return None if None in found else [part for parts in found for part in parts or []]
        case tree.Product(factors):
            moving = [f for f in factors if depends(f)]
            still = tuple((f, False) for f in factors if not depends(f))
            return _scaled(summands(moving[0], depends, sign), still) if len(moving) == 1 else _whole(expr, sign)
        case tree.Quotient(top, bottom) if not depends(bottom):
            return _scaled(summands(top, depends, sign), ((bottom, True),))
        case tree.Call(name="sum" | "mean" as name, args=(argument,)) if argument.name is None:
            return [Summand(sign, (), argument.value, name)]
        case tree.Power(tree.Call(name="norm", args=(argument,)), tree.Number("2")) if argument.name is None:
            return [Summand(sign, (), replace(expr, base=argument.value), "sum")]
        case _:
            return _whole(expr, sign)


def _whole(expr: tree.Expr, sign: int) -> list[Summand]:
    return [Summand(sign, (), expr)]


def _scaled(found: list[Summand] | None, more: tuple[tuple[tree.Expr, bool], ...]) -> list[Summand] | None:
    if found is None:
        return None
    return [Summand(s.sign, (*s.coefficients, *more), s.inner, s.reduction) for s in found]


@dataclass
class OneVariable:
    """Reads elementwise expressions.

    Args:
        model: its deterministic variables are looked through.
        is_variable: whether a name is the variable.
        depends: whether an expression depends on it.
        symbol: the symbol of an expression that does not; None where its shape does not fit.
        bindings: the formula's `where` clauses.
    """

    model: Model
    is_variable: Callable[[str], bool]
    depends: Callable[[tree.Expr], bool]
    symbol: Callable[[tree.Expr], Symbol | None]
    bindings: tuple[tree.Binding, ...] = ()
    _named: dict[str, Expr | None] = field(default_factory=dict)

    def formula(self, expr: tree.Expr) -> Expr | None:
        """The expression in terms of `X`, or None where it is not an elementwise formula of it."""
        literal = evaluate(expr, self.model.constants)
        if isinstance(literal, Fraction):
            return Rational(literal.numerator, literal.denominator)
        if not self.depends(expr):
            return self.symbol(expr)
        match expr:
            case tree.Name(id):
                return self._name(id)
            case tree.Negative(operand):
                return self._all([operand], lambda x: -x)
            case tree.Sum(items):
                signs = [sign for sign, _ in items]
                return self._all(
                    [item for _, item in items],
                    lambda *parts: sympy.Add(*(s * p for s, p in zip(signs, parts, strict=True))),
                )
            case tree.Product(factors):
                return self._all(list(factors), sympy.Mul)
            case tree.Quotient(top, bottom):
                return self._all([top, bottom], lambda a, b: a / b)
            case tree.Power(base, exponent):
                power = evaluate(exponent, self.model.constants)
                whole = isinstance(power, Fraction) and power.denominator == 1
                return self._all([base], lambda x: x ** int(power)) if whole else None  # type: ignore[arg-type]
            case tree.Call(name=name, args=(argument,)) if name in _FUNCTIONS and argument.name is None:
                return self._all([argument.value], _FUNCTIONS[name])
            case tree.Log(operand):
                return self._all([operand], sympy.log)
            case _:
                return None

    def _all(self, parts: list[tree.Expr], made: Callable[..., Expr]) -> Expr | None:
        found = [self.formula(part) for part in parts]
        return None if any(part is None for part in found) else made(*found)

    def _name(self, name: str) -> Expr | None:
        """The formula of a name, looked at once however often it is used."""
        if name not in self._named:
            self._named[name] = self._meaning(name)
        return self._named[name]

    def _meaning(self, name: str) -> Expr | None:
        bound = {n.id: b for b in self.bindings if len(b.names) == 1 for n in b.names}
        if name in bound:
            inside = tuple(b for b in self.bindings if b is not bound[name])
            return OneVariable(self.model, self.is_variable, self.depends, self.symbol, inside).formula(
                bound[name].value
            )
        if self.is_variable(name):
            return X
        factor = self.model.deterministic.get(name)
        if factor is None or not isinstance(factor.definition, Deterministic) or factor.definition.bindings:
            return None
        return self.formula(factor.definition.expr)


def names_below(expr: tree.Expr, bindings: tuple[tree.Binding, ...]) -> set[str]:
    """Names in an expression, those of its `where` clauses replaced by what is in them."""
    bound = {n.id: b.value for b in bindings for n in b.names}
    found: set[str] = set()
    pending = list(names_in(expr))
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in bound:
            pending += names_in(bound[name])
        else:
            found.add(name)
    return found
