"""Kumaraswamy: close to a Beta, with a distribution function that can be inverted (Kumaraswamy 1980)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import EulerGamma

    from pgcompile.vocabulary.symbols import (
        LEVEL,
        ClippedUnit,
        Expm1,
        Facts,
        Log1p,
        StandardExponential,
        X,
        digamma,
        exp,
        first_two_moments,
        log,
        loggamma,
    )

    a, b = p["concentration1"], p["concentration0"]

    def moment(n: int) -> Any:
        return exp(log(b) + loggamma(1 + n / a) + loggamma(b) - loggamma(1 + n / a + b))

    harmonic = digamma(b + 1) + EulerGamma
    return Facts(
        # 1 - x^a keeps its digits near 1 by expm1, and in the tails near 0 by log1p.
        log_density=log(a) + log(b) + (a - 1) * log(X) + (b - 1) * log(-Expm1(a * log(X))),
        draw=ClippedUnit(exp(log(-Expm1(-StandardExponential(1) / b)) / a)),
        mean=moment(1),
        moments={**first_two_moments(moment(1), moment(2) - moment(1) ** 2), "log x": -harmonic / a},
        entropy=1 - 1 / b + (1 - 1 / a) * harmonic - log(a) - log(b),
        log_cdf=log(-Expm1(b * Log1p(-exp(a * log(X))))),
        log_survival=b * Log1p(-exp(a * log(X))),
        quantile=exp(log(-Expm1(Log1p(-LEVEL) / b)) / a),
    )


FAMILY = Family(
    name="Kumaraswamy",
    parameters=(Parameter("concentration1", "positive"), Parameter("concentration0", "positive")),
    support="unit_interval",
    equation="log p(x) = log(a b) + (a - 1) log x + (b - 1) log(1 - x^a)",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
