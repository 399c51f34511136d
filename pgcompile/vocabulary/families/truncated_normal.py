"""TruncatedNormal: a Normal between two bounds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import Function, oo, sympify

    from pgcompile.vocabulary.symbols import LEVEL, Facts, Inside, StandardUniform, X, exp, log, pi, runtime, sqrt

    minimum, maximum = Function("Minimum"), Function("Maximum")
    loc, scale, low, high = p["loc"], p["scale"], p["low"], p["high"]
    log_mass, between = runtime("log_normal_mass"), runtime("normal_between")
    a, b, z = (low - loc) / scale, (high - loc) / scale, (X - loc) / scale
    numbers = sympify(a).is_number and sympify(b).is_number
    whole = _log_mass_of_numbers(a, b) if numbers else log_mass(a, b)
    held = minimum(maximum(z, a), b)
    slopes = (exp(-(a**2) / 2 - whole) - exp(-(b**2) / 2 - whole)) / sqrt(2 * pi)
    return Facts(
        log_density=-(z**2) / 2 - log(scale) - log(2 * pi) / 2 - whole + Inside(X, low, high),
        draw=loc + scale * between(a, b, StandardUniform(1)),
        mean=loc + scale * slopes,
        log_cdf=log_mass(a, held) - whole + Inside(X, low, oo),
        log_survival=log_mass(held, b) - whole + Inside(X, -oo, high),
        quantile=loc + scale * between(a, b, LEVEL),
    )


def _log_mass_of_numbers(low: Any, high: Any) -> Any:
    """log of a standard normal's mass between two numbers, from the tail that it lies in: nothing cancels there."""
    from sympy import erfc, log, sqrt

    a, b = (-high, -low) if low > 0 else (low, high)
    return log((erfc(-b / sqrt(2)) - erfc(-a / sqrt(2))) / 2).evalf(20)


FAMILY = Family(
    name="TruncatedNormal",
    parameters=(
        Parameter("loc", "real"),
        Parameter("scale", "positive"),
        Parameter("low", "real"),
        Parameter("high", "real"),
    ),
    support="real",
    truncates="Normal",
    equation="log p(x) = log Normal(x) - log(Phi(high) - Phi(low)), low <= x <= high",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
