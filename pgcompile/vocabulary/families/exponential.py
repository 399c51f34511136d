"""Exponential with a rate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        LEVEL,
        ClippedPositive,
        Expm1,
        Facts,
        Log1p,
        StandardExponential,
        X,
        digamma,
        exp,
        first_two_moments,
        log,
    )

    rate = p["rate"]
    return Facts(
        log_density=log(rate) - rate * X,
        draw=ClippedPositive(StandardExponential(1)) / rate,
        mean=1 / rate,
        moments={
            **first_two_moments(1 / rate, 1 / rate**2),
            "log x": digamma(1) - log(rate),
            "exp(-(x-c)/s)": lambda c, s: exp(c / s) / (1 + 1 / (rate * s)),
        },
        log_cdf=log(-Expm1(-rate * X)),
        log_survival=-rate * X,
        quantile=-Log1p(-LEVEL) / rate,
    )


FAMILY = Family(
    name="Exponential",
    parameters=(Parameter("rate", "positive"),),
    support="nonnegative",
    torch_class="Exponential",
    equation="log p(x) = log rate - rate x",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
