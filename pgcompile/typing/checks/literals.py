"""Numbers that are given as parameters, against the domains of those parameters."""

from collections.abc import Callable
from fractions import Fraction

from pgcompile.model.literals import flatten
from pgcompile.model.typed import Constant
from pgcompile.syntax import tree
from pgcompile.typing.checks.context import FamilyContext
from pgcompile.vocabulary.family import Parameter
from pgcompile.vocabulary.spaces import KINDS

_DOMAINS: dict[str, Callable[[Fraction], bool]] = {
    "positive": lambda value: value > 0,
    "nonnegative": lambda value: value >= 0,
    "simplex": lambda value: value >= 0,
    "unit_interval": lambda value: 0 <= value <= 1,
    "nonnegative_integer": lambda value: value >= 0 and value.denominator == 1,
    "positive_integer": lambda value: value > 0 and value.denominator == 1,
}
"""The numbers that a parameter may be, by its constraint; any number where the constraint has no row."""
_HELP = {
    "scale": "scale is a standard deviation: write a positive number",
    "probs": "give it as `logits = ...` if it is a log-odds",
}
"""The help for a number outside a domain, by the name of the parameter."""


def check_literal(context: FamilyContext, parameter: Parameter, expr: tree.Expr, literal: Constant) -> None:
    """Report a number outside the domain of its parameter, and probabilities that do not sum to one.

    Args:
        context: the factor.
        parameter: the parameter.
        expr: as it is written.
        literal: its value.
    """
    numbers = flatten(literal)
    simplex = parameter.constraint == "simplex"
    within = _DOMAINS.get(parameter.constraint)
    bad = next((n for n in numbers if within is not None and not within(n)), None)
    if bad is None and simplex and sum(numbers) <= 0:
        bad = sum(numbers, Fraction(0))
    if bad is not None:
        context.sink.add(
            "PGC306",
            expr.span,
            f"{parameter.name} of {context.factor.label} is {float(bad):g}, "
            f"and it must be {KINDS[parameter.constraint].what}",
            help=_HELP.get(parameter.name, f"write a number that is {KINDS[parameter.constraint].what}"),
        )
    elif simplex and isinstance(literal, tuple):
        _check_sum(context, parameter, expr, literal)


def _check_sum(context: FamilyContext, parameter: Parameter, expr: tree.Expr, table: tuple[Constant, ...]) -> None:
    """Warn of probabilities that are divided by their sum, which is seldom what was meant."""
    while isinstance(table[0], tuple):
        table = table[0]
    total = sum(flatten(table), Fraction(0))
    if abs(total - 1) < Fraction(1, 1000) or len(set(table)) == 1:  # equal weights need no explanation
        return
    context.sink.add(
        "W121",
        expr.span,
        f"{parameter.name} of {context.factor.label} sum to {float(total):g}, not to 1",
        reasons=["they are divided by their sum"],
        help="write probabilities that sum to 1",
    )
