"""Beta on the unit interval."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        ClippedUnit,
        Facts,
        Inside,
        StandardGamma,
        X,
        digamma,
        first_two_moments,
        log,
        loggamma,
    )

    a, b = p["concentration1"], p["concentration0"]
    one, other = StandardGamma(a, 1), StandardGamma(b, 2)
    return Facts(
        log_density=(a - 1) * log(X) + (b - 1) * log(1 - X) + loggamma(a + b) - loggamma(a) - loggamma(b),
        draw=ClippedUnit(one / (one + other)),
        mean=a / (a + b),
        moments={
            **first_two_moments(a / (a + b), a * b / (a + b) ** 2 / (a + b + 1)),
            "inside(x,a,b)": lambda low, high: Inside(0, low, high) + Inside(1, low, high),
            "log x": digamma(a) - digamma(a + b),
            "log(1-x)": digamma(b) - digamma(a + b),
        },
    )


FAMILY = Family(
    name="Beta",
    parameters=(Parameter("concentration1", "positive"), Parameter("concentration0", "positive")),
    support="unit_interval",
    equation="log p(x) = (a - 1) log x + (b - 1) log(1 - x) + log G(a + b) - log G(a) - log G(b)",
    facts=facts,
)
