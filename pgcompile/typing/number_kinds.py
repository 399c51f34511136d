"""Kinds of numbers that arithmetic gives, such as positive from a sum of positive ones."""

from collections.abc import Callable
from fractions import Fraction

from pgcompile.model.typed import Constant, Typed
from pgcompile.vocabulary.spaces import contains

KindRule = Callable[[list[str], list[Typed]], str]
"""The kind of a result, from the kinds and the types of the operands."""


def kind_of_number(value: Fraction) -> str:
    """The smallest kind of space that holds a number."""
    if value in (0, 1):
        return "boolean" if value == 0 else "positive_integer"
    if value.denominator == 1:
        return "positive_integer" if value > 0 else "real"
    if value < 0:
        return "real"
    return "positive"


def common_kind(kinds: list[str], *, any_positive: bool = False) -> str:
    """Positive or nonnegative where all operands are, real where not.

    Args:
        kinds: of the operands.
        any_positive: whether one positive operand among nonnegative ones makes the result positive, as in a sum.
    """
    if any_positive and any(contains("positive", k) for k in kinds) and all(contains("nonnegative", k) for k in kinds):
        return "positive"
    return next((k for k in ("positive", "nonnegative") if all(contains(k, x) for x in kinds)), "real")


def kind_of_sum(signs: list[int]) -> KindRule:
    """Kinds of a sum whose terms have these signs; `1 - p` of a probability is a probability."""

    def kind(kinds: list[str], values: list[Typed]) -> str:
        if all(sign > 0 for sign in signs):
            return common_kind(kinds, any_positive=True)
        complement = signs == [1, -1] and values[0].literal == 1 and contains("unit_interval", kinds[1])
        return "unit_interval" if complement else "real"

    return kind


def kind_of_product(kinds: list[str], values: list[Typed]) -> str:
    """Kind of a product; probabilities have a probability."""
    if all(contains("unit_interval", k) for k in kinds):
        return "unit_interval"
    return common_kind(kinds)


def kind_of_quotient(kinds: list[str], values: list[Typed]) -> str:
    """Kind of `a / b`; real unless b is positive."""
    if contains("positive", kinds[1]):
        return common_kind(kinds) if contains("positive", kinds[0]) else common_kind([kinds[0]])
    return "real"


def kind_of_power(power: Constant | None) -> KindRule:
    """Kinds of a power with this exponent, None where it is not known; even powers are nonnegative."""

    def kind(kinds: list[str], values: list[Typed]) -> str:
        if contains("positive", kinds[0]):
            return "positive"
        if not isinstance(power, Fraction) or power <= 0:
            return "real"
        even = power.denominator == 1 and power % 2 == 0
        return "nonnegative" if even or contains("nonnegative", kinds[0]) else "real"

    return kind
