"""GeneralizedPareto: what exceeds a high threshold, with tails from bounded to heavy (Pickands 1975)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import Facts, StandardExponential, X, log, runtime

    loc, scale, shape = p["loc"], p["scale"], p["concentration"]
    noise = StandardExponential(1)
    return Facts(
        log_density=runtime("log_generalized_pareto")(X - loc, shape, log(scale)),
        draw=loc + scale * noise * runtime("expm1_ratio")(shape * noise),
        mean=loc + scale / (1 - shape),  # for a concentration below 1
        entropy=log(scale) + shape + 1,
    )


FAMILY = Family(
    name="GeneralizedPareto",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive"), Parameter("concentration", "real")),
    support="real",
    also_called=("GPD", "GeneralisedPareto"),
    equation="log p(x) = -log scale - (1 / k + 1) log(1 + k z), z = (x - loc) / scale >= 0, 1 + k z > 0; -z at k = 0",
    facts=facts,
)
