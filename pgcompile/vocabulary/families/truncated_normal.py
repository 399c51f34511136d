"""TruncatedNormal: a Normal between two bounds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import Function, erfinv

    from pgcompile.vocabulary.symbols import LEVEL, Facts, Inside, StandardUniform, X, erf, exp, log, pi, sqrt

    loc, scale, low, high = p["loc"], p["scale"], p["low"], p["high"]
    minimum, maximum = Function("Minimum"), Function("Maximum")
    a, b, z = (low - loc) / scale, (high - loc) / scale, (X - loc) / scale
    below, above = erf(a / sqrt(2)), erf(b / sqrt(2))
    mass = (above - below) / 2
    uniform = StandardUniform(1)
    drawn = loc + scale * sqrt(2) * erfinv(below + uniform * (above - below))
    slopes = (exp(-(a**2) / 2) - exp(-(b**2) / 2)) / sqrt(2 * pi)
    return Facts(
        log_density=-(z**2) / 2 - log(scale) - log(2 * pi) / 2 - log(mass) + Inside(X, low, high),
        draw=minimum(maximum(drawn, low), high),
        mean=loc + scale * slopes / mass,
        log_cdf=log(erf(z / sqrt(2)) - below) - log(2 * mass) + Inside(X, low, high),
        log_survival=log(above - erf(z / sqrt(2))) - log(2 * mass) + Inside(X, low, high),
        quantile=loc + scale * sqrt(2) * erfinv(below + LEVEL * (above - below)),
    )


FAMILY = Family(
    name="TruncatedNormal",
    parameters=(
        Parameter("loc", "real"),
        Parameter("scale", "positive"),
        Parameter("low", "real"),
        Parameter("high", "real"),
    ),
    support="real",
    equation="log p(x) = log Normal(x) - log(Phi(high) - Phi(low)), low <= x <= high",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
