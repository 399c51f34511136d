"""Gumbel: the largest of many."""

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
        StandardExponential,
        X,
        exp,
        first_two_moments,
        log,
        log_of_one_less,
        loggamma,
        pi,
    )

    loc, scale = p["loc"], p["scale"]
    mean = loc + EulerGamma * scale
    return Facts(
        log_density=-(X - loc) / scale - exp(-(X - loc) / scale) - log(scale),
        draw=loc - scale * log(ClippedPositive(StandardExponential(1))),
        mean=mean,
        moments={
            **first_two_moments(mean, pi**2 / 6 * scale**2),
            "exp(-(x-c)/s)": lambda c, s: exp(loggamma(1 + scale / s) - (loc - c) / s),
        },
        log_cdf=-exp(-(X - loc) / scale),
        log_survival=log_of_one_less(-(X - loc) / scale),
        quantile=loc - scale * log(-log(LEVEL)),
    )


FAMILY = Family(
    name="Gumbel",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    torch_class="Gumbel",
    equation="log p(x) = -z - exp(-z) - log scale, z = (x - loc) / scale",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
