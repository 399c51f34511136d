"""HalfNormal: the absolute value of a Normal around 0."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import erfinv

    from pgcompile.vocabulary.symbols import LEVEL, Abs, Facts, LogNdtr, StandardNormal, X, erf, log, pi, sqrt

    scale = p["scale"]
    mean = scale * sqrt(2 / pi)
    return Facts(
        log_density=-((X / scale) ** 2) / 2 - log(scale) + log(2 / pi) / 2,
        draw=scale * Abs(StandardNormal(1)),
        mean=mean,
        moments={"x": mean, "(x-c)^2": lambda c: scale**2 * (1 - 2 / pi) + (mean - c) ** 2, "x^2": scale**2},
        log_cdf=log(erf(X / scale / sqrt(2))),
        log_survival=log(2) + LogNdtr(-X / scale),
        quantile=scale * sqrt(2) * erfinv(LEVEL),
    )


FAMILY = Family(
    name="HalfNormal",
    parameters=(Parameter("scale", "positive"),),
    support="nonnegative",
    torch_class="HalfNormal",
    equation="log p(x) = -(x / scale)^2 / 2 - log scale + log(2 / pi) / 2",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
