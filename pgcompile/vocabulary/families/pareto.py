"""Pareto: a power law above a scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import Function, oo

    from pgcompile.vocabulary.symbols import LEVEL, Expm1, Facts, Inside, Log1p, StandardExponential, X, exp, log

    scale, alpha = p["scale"], p["alpha"]
    held = Function("Maximum")(X, scale)
    return Facts(
        log_density=log(alpha) + alpha * log(scale) - (alpha + 1) * log(X) + Inside(X, scale, oo),
        draw=scale * exp(StandardExponential(1) / alpha),
        mean=alpha * scale / (alpha - 1),  # for alpha > 1
        moments={
            "log x": log(scale) + 1 / alpha,
            # It has no upper end: no bound but infinity holds all of it.
            "inside(x,a,b)": lambda low, high: Inside(scale, low, high) + (0 if high == oo else Inside(1, 2, 3)),
        },
        entropy=log(scale) - log(alpha) + 1 / alpha + 1,
        log_cdf=log(-Expm1(alpha * (log(scale) - log(held)))),
        log_survival=alpha * (log(scale) - log(held)),
        quantile=scale * exp(-Log1p(-LEVEL) / alpha),
    )


FAMILY = Family(
    name="Pareto",
    parameters=(Parameter("scale", "positive"), Parameter("alpha", "positive")),
    support="positive",
    torch_class="Pareto",
    equation="log p(x) = log alpha + alpha log scale - (alpha + 1) log x, x >= scale",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
