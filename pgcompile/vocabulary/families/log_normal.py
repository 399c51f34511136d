"""LogNormal: the exponential of a Normal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import erfinv

    from pgcompile.vocabulary.symbols import (
        LEVEL,
        Expm1,
        Facts,
        LogNdtr,
        StandardNormal,
        X,
        exp,
        first_two_moments,
        log,
        pi,
        sqrt,
    )

    loc, scale = p["loc"], p["scale"]
    return Facts(
        log_density=-(((log(X) - loc) / scale) ** 2) / 2 - log(X) - log(scale) - log(2 * pi) / 2,
        draw=exp(loc + scale * StandardNormal(1)),
        mean=exp(loc + scale**2 / 2),
        moments={
            **first_two_moments(exp(loc + scale**2 / 2), exp(2 * loc + scale**2) * Expm1(scale**2)),
            "1/x": exp(-loc + scale**2 / 2),
            "log x": loc,
            "(log x-c)^2": lambda c: scale**2 + (loc - c) ** 2,
        },
        log_cdf=LogNdtr((log(X) - loc) / scale),
        log_survival=LogNdtr((loc - log(X)) / scale),
        quantile=exp(loc + scale * sqrt(2) * erfinv(2 * LEVEL - 1)),
    )


FAMILY = Family(
    name="LogNormal",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="positive",
    torch_class="LogNormal",
    equation="log p(x) = -((log x - loc) / scale)^2 / 2 - log x - log scale - log(2 pi) / 2",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
