"""Student t with degrees of freedom, location and scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        Facts,
        Log1p,
        Rational,
        StandardGamma,
        StandardNormal,
        X,
        digamma,
        log,
        loggamma,
        pi,
        sqrt,
    )

    df, loc, scale = p["df"], p["loc"], p["scale"]
    half = df / 2
    constant = loggamma(half + Rational(1, 2)) - loggamma(half) - log(df) / 2 - log(pi) / 2 - log(scale)
    return Facts(
        log_density=constant - (half + Rational(1, 2)) * Log1p(((X - loc) / scale) ** 2 / df),
        draw=loc + scale * StandardNormal(1) * sqrt(half / StandardGamma(half)),
        mean=loc,  # for df > 1
        moments={"x": loc},
        # E[log(1 + t^2 / df)] = digamma((df+1)/2) - digamma(df/2)
        entropy=-constant + (half + Rational(1, 2)) * (digamma(half + Rational(1, 2)) - digamma(half)),
    )


FAMILY = Family(
    name="StudentT",
    parameters=(
        Parameter("df", "positive"),
        Parameter("loc", "real", default="0"),
        Parameter("scale", "positive", default="1"),
    ),
    support="real",
    torch_class="StudentT",
    also_called=("T", "Student"),
    equation="log p(x) = c(df) - log scale - (df + 1) / 2 log(1 + ((x - loc) / scale)^2 / df)",
    facts=facts,
)
