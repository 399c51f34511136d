"""LogitNormal: the sigmoid of a Normal."""

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
        ClippedUnit,
        Facts,
        Log1p,
        LogNdtr,
        Sigmoid,
        StandardNormal,
        X,
        log,
        pi,
        sqrt,
    )

    loc, scale = p["loc"], p["scale"]
    logit = log(X) - Log1p(-X)
    return Facts(
        log_density=-(((logit - loc) / scale) ** 2) / 2 - log(scale) - log(2 * pi) / 2 - log(X) - Log1p(-X),
        draw=ClippedUnit(Sigmoid(loc + scale * StandardNormal(1))),
        mean=None,
        log_cdf=LogNdtr((logit - loc) / scale),
        log_survival=LogNdtr((loc - logit) / scale),
        quantile=Sigmoid(loc + scale * sqrt(2) * erfinv(2 * LEVEL - 1)),
    )


FAMILY = Family(
    name="LogitNormal",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="unit_interval",
    centre="median",
    equation="log p(x) = log Normal(logit x) - log x - log(1 - x)",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
