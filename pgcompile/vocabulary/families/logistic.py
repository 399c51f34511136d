"""Logistic: like a Normal, with heavier tails."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        LEVEL,
        ClippedUnit,
        Facts,
        Log1p,
        Softplus,
        StandardUniform,
        X,
        first_two_moments,
        log,
        pi,
    )

    loc, scale = p["loc"], p["scale"]
    z, uniform = (X - loc) / scale, ClippedUnit(StandardUniform(1))
    return Facts(
        log_density=-z - 2 * Softplus(-z) - log(scale),
        draw=loc + scale * (log(uniform) - Log1p(-uniform)),
        mean=loc,
        moments=first_two_moments(loc, pi**2 / 3 * scale**2),
        entropy=log(scale) + 2,
        log_cdf=-Softplus(-z),
        log_survival=-Softplus(z),
        quantile=loc + scale * (log(LEVEL) - Log1p(-LEVEL)),
    )


FAMILY = Family(
    name="Logistic",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    equation="log p(x) = -z - 2 softplus(-z) - log scale, z = (x - loc) / scale",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
