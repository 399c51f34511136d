"""Weibull: a power of an exponential, the time to a failure whose rate grows or falls."""

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
        ClippedPositive,
        Facts,
        Log1p,
        StandardExponential,
        X,
        exp,
        first_two_moments,
        log,
        log_of_one_less,
        loggamma,
    )

    scale, k = p["scale"], p["concentration"]
    ratio = log(X) - log(scale)
    mean = scale * exp(loggamma(1 + 1 / k))
    square = scale**2 * exp(loggamma(1 + 2 / k))
    return Facts(
        log_density=log(k) - log(scale) + (k - 1) * ratio - exp(k * ratio),
        draw=scale * exp(log(ClippedPositive(StandardExponential(1))) / k),
        mean=mean,
        moments={**first_two_moments(mean, square - mean**2), "log x": log(scale) - EulerGamma / k},
        entropy=EulerGamma * (1 - 1 / k) + log(scale) - log(k) + 1,
        log_cdf=log_of_one_less(k * ratio),
        log_survival=-exp(k * ratio),
        quantile=scale * exp(log(-Log1p(-LEVEL)) / k),
    )


FAMILY = Family(
    name="Weibull",
    parameters=(Parameter("scale", "positive"), Parameter("concentration", "positive")),
    support="positive",
    equation="log p(x) = log(k / scale) + (k - 1) log(x / scale) - (x / scale)^k",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
