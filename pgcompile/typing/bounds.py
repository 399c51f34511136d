"""Least and largest values of expressions, by interval arithmetic (Moore 1966): `0.2 + 0.6 * b` of a boolean b.

The bounds are closed, as those of floating point are: the sigmoid of a large number is 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import exp, inf, isnan

from pgcompile.model.literals import evaluate, flatten
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.vocabulary.spaces import Space, contains

Bounds = tuple[float, float]
ANYTHING: Bounds = (-inf, inf)

_OF_KINDS: dict[str, Bounds] = {
    "boolean": (0, 1),
    "unit_interval": (0, 1),
    "simplex": (0, 1),
    "one_hot": (0, 1),
    "positive_integer": (1, inf),
}
_RANGES: dict[str, Bounds] = {
    "sigmoid": (0, 1),
    "softmax": (0, 1),
    "tanh": (-1, 1),
    "sin": (-1, 1),
    "cos": (-1, 1),
    "erf": (-1, 1),
    "sign": (-1, 1),
}
"""Functions that are bounded whatever they are applied to."""


def _increasing(function: Callable[[float], float]) -> Callable[[Bounds], Bounds]:
    return lambda inside: (function(inside[0]), function(inside[1]))


def _exp(x: float) -> float:
    return exp(x) if x < 700 else inf


def _square(inside: Bounds) -> Bounds:
    low, high = inside
    ends = (low * low, high * high)
    return (0 if low <= 0 <= high else min(ends), max(ends))


def _abs(inside: Bounds) -> Bounds:
    low, high = inside
    return (0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high)))


_MAPS: dict[str, Callable[[Bounds], Bounds]] = {
    "exp": _increasing(_exp),
    "relu": _increasing(lambda x: max(x, 0.0)),
    "square": _square,
    "abs": _abs,
    "detach": lambda inside: inside,
    "mean": lambda inside: inside,
    "sort": lambda inside: inside,
    "reshape": lambda inside: inside,
}


@dataclass(frozen=True)
class Intervals:
    """Bounds of the expressions of one formula.

    Args:
        model: the tensors and sizes of the program.
        bindings: what `where` binds, by name.
        type_of: the type of an expression, None where it has none.
    """

    model: Model
    bindings: dict[str, tree.Binding]
    type_of: Callable[[tree.Expr], Typed | None]

    def of(self, expr: tree.Expr) -> Bounds:
        """The least and the largest value of an expression at any entry: what its kind says, and what it is made of."""
        literal = evaluate(expr, self.model.constants)
        if literal is not None:
            numbers = [float(x) for x in flatten(literal)]
            return (min(numbers), max(numbers)) if numbers else ANYTHING
        low, high = self._made(expr)
        kind_low, kind_high = self._of_kind(expr)
        return (max(low, kind_low), min(high, kind_high))

    def _of_kind(self, expr: tree.Expr) -> Bounds:
        found = self.type_of(expr)
        return ANYTHING if found is None else bounds_of(found.space)

    def _made(self, expr: tree.Expr) -> Bounds:
        match expr:
            case tree.Name(id):
                return self._of_name(id)
            case tree.Negative(operand):
                low, high = self.of(operand)
                return (-high, -low)
            case tree.Sum(terms):
                inside = [(sign, self.of(term)) for sign, term in terms]
                lows = [low if sign > 0 else -high for sign, (low, high) in inside]
                highs = [high if sign > 0 else -low for sign, (low, high) in inside]
                return (sum(lows), sum(highs))
            case tree.Product(factors):
                whole: Bounds = (1, 1)
                for factor in factors:
                    whole = _times(whole, self.of(factor))
                return whole
            case tree.Quotient(top, bottom):
                low, high = self.of(bottom)
                return _times(self.of(top), (_over(high), _over(low))) if low > 0 or high < 0 else ANYTHING
            case tree.Power(base, exponent) if evaluate(exponent, self.model.constants) == Fraction(2):
                return _square(self.of(base))
            case tree.Index(base):
                return self.of(base)
            case tree.Call(name=name, args=args):
                return self._of_call(name, [a.value for a in args if a.name is None], expr)
            case _:
                return ANYTHING

    def _of_name(self, name: str) -> Bounds:
        if name in self.bindings and len(self.bindings[name].names) == 1:
            return self.of(self.bindings[name].value)
        tensor = self.model.tensors.get(name)
        if name not in self.bindings and tensor is not None and tensor.kind == "buffer" and tensor.initial is not None:
            return self.of(tensor.initial)
        return ANYTHING

    def _of_call(self, name: str, args: list[tree.Expr], call: tree.Call) -> Bounds:
        if name in self.model.nets:
            return ANYTHING
        if name in _RANGES:
            return _RANGES[name]
        if name in _MAPS and args:
            return _MAPS[name](self.of(args[0]))
        if name in ("min", "max", "where", "cat", "stack") and len(args) > 1:
            parts = [self.of(a) for a in (args[1:] if name == "where" else args)]
            lows, highs = [low for low, _ in parts], [high for _, high in parts]
            if name == "min":
                return (min(lows), min(highs))
            if name == "max":
                return (max(lows), max(highs))
            return (min(lows), max(highs))
        if name == "clamp":
            return self._clamped(args, call)
        return ANYTHING

    def _clamped(self, args: list[tree.Expr], call: tree.Call) -> Bounds:
        """Bounds of `clamp(x, low, high)`, whose bounds may be named."""
        named = {a.name: a.value for a in call.args if a.name is not None}
        values = [*args, *named.values()]
        inside = self.of(values[0])
        ends = [self.of(v) for v in values[1:3]]
        low = max(inside[0], ends[0][0]) if ends else inside[0]
        high = min(inside[1], ends[1][1]) if len(ends) > 1 else inside[1]
        return (low, max(low, high))


def bounds_of(space: Space) -> Bounds:
    """The least and the largest value of a space."""
    if space.kind == "category":
        return (0, (space.categories or 1) - 1)
    if space.kind in _OF_KINDS:
        return _OF_KINDS[space.kind]
    return (0, inf) if contains("nonnegative", space.kind) else ANYTHING


def _times(a: Bounds, b: Bounds) -> Bounds:
    ends = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return (min(ends), max(ends))


def _over(x: float) -> float:
    return 1 / x if x else inf


def lies_in(bounds: Bounds, kind: str) -> bool:
    """True if numbers between two bounds are of a kind, so far as bounds can say."""
    low, high = bounds
    if isnan(low) or isnan(high):
        return False
    match kind:
        case "positive":
            return low > 0
        case "nonnegative":
            return low >= 0
        case "unit_interval":
            return low >= 0 and high <= 1
        case _:
            return False
