"""Uniform on an interval."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import Function

    from pgcompile.vocabulary.symbols import LEVEL, Facts, Inside, StandardUniform, X, exp, log

    minimum, maximum = Function("Minimum"), Function("Maximum")
    low, high = p["low"], p["high"]
    held = minimum(maximum(X, low), high)
    return Facts(
        log_density=Inside(X, low, high) - log(high - low),
        draw=low + (high - low) * StandardUniform(1),
        mean=(low + high) / 2,
        moments={
            "x": (low + high) / 2,
            "log x": (high * log(high) - low * log(low)) / (high - low) - 1,
            "log(1-x)": ((1 - low) * log(1 - low) - (1 - high) * log(1 - high)) / (high - low) - 1,
            "exp(-(x-c)/s)": lambda c, s: s * (exp(-(low - c) / s) - exp(-(high - c) / s)) / (high - low),
            "(x-c)^2": lambda c: (high - low) ** 2 / 12 + ((low + high) / 2 - c) ** 2,
            # All of the interval is inside another exactly when both ends are.
            "inside(x,a,b)": lambda a, b: Inside(low, a, b) + Inside(high, a, b) if (a, b) != (low, high) else 0,
        },
        entropy=log(high - low),
        log_cdf=log(held - low) - log(high - low),
        log_survival=log(high - held) - log(high - low),
        quantile=low + (high - low) * LEVEL,
    )


FAMILY = Family(
    name="Uniform",
    parameters=(Parameter("low", "real"), Parameter("high", "real")),
    support="real",
    torch_class="Uniform",
    equation="log p(x) = -log(high - low) where low <= x <= high, else -inf",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
