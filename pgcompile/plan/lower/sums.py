"""Sums and products of values, in the order in which a person would write them."""

from sympy import Integer, Rational

from pgcompile.plan.builder import Builder
from pgcompile.plan.values import Value


def chain(build: Builder, terms: list[tuple[Rational, Value]]) -> tuple[Rational, Value]:
    """A sum from left to right, positive terms first; the sign is -1 where every term is negative.

    The terms are those of one entry: a sum that cancels is the number 0, however many entries there are.
    """
    terms = _without_opposites(terms)
    scaled: list[tuple[int, Value]] = []
    for coefficient, value in terms:
        if value.constant is not None and coefficient < 0:
            scaled.append((-1, _times(build, -coefficient, value)))
        else:
            scaled.append((1 if coefficient > 0 else -1, _times(build, abs(coefficient), value)))
    if all(value.constant is not None for _, value in scaled):
        total = sum(sign * (value.constant or 0.0) for sign, value in scaled)
        return Integer(1), build.constant(total)
    constants = [(sign, value) for sign, value in scaled if value.constant is not None]
    numbers = sum(sign * (value.constant or 0.0) for sign, value in constants)
    rest = [(sign, value) for sign, value in scaled if value.constant is None]
    positive = [value for sign, value in rest if sign > 0]
    negative = [value for sign, value in rest if sign < 0]
    flip = not positive and not (len(negative) == 1 and negative[0].op == "mul")
    if flip:
        positive, negative, numbers = negative, [], -numbers
    if not positive:
        positive = [build.unary("neg", negative.pop(0))]
    total_value = positive[0]
    for value in positive[1:]:
        total_value = build.binary("add", total_value, value)
    for value in negative:
        total_value = build.binary("sub", total_value, value)
    if numbers:
        op = "add" if numbers > 0 else "sub"
        alone = constants[0][1] if len(constants) == 1 else build.constant(numbers)
        number = alone if (alone.constant or 0.0) > 0 else build.negated(alone)
        total_value = build.binary(op, total_value, number)
    return Integer(-1 if flip else 1), total_value


def _without_opposites(terms: list[tuple[Rational, Value]]) -> list[tuple[Rational, Value]]:
    """Terms without those that cancel: the locations of two factors may be one value."""
    left: list[tuple[Rational, Value]] = []
    for coefficient, value in terms:
        opposite = next((term for term in left if term[1] is value and term[0] == -coefficient), None)
        if opposite is None:
            left.append((coefficient, value))
        else:
            left.remove(opposite)
    return left


def _times(build: Builder, coefficient: Rational, value: Value) -> Value:
    return value if coefficient == 1 else build.binary("mul", build.constant(float(coefficient)), value)


def product(build: Builder, values: list[Value]) -> Value | None:
    """A product from left to right, None of no values."""
    if not values:
        return None
    result = values[0]
    for value in values[1:]:
        result = build.binary("mul", result, value)
    return result
