"""ContinuousBernoulli (Loaiza-Ganem and Cunningham 2019): exponential tilting of the unit interval."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        ContinuousBernoulliDraw,
        ContinuousBernoulliMean,
        ContinuousBernoulliVariance,
        Facts,
        Inside,
        LogExpm1Ratio,
        StandardUniform,
        X,
        first_two_moments,
        log,
    )

    logits = p["logits"] if "logits" in p else log(p["probs"]) - log(1 - p["probs"])
    mean = ContinuousBernoulliMean(logits)
    return Facts(
        log_density=X * logits - LogExpm1Ratio(logits),
        draw=ContinuousBernoulliDraw(logits, StandardUniform(1)),
        mean=mean,
        moments={
            **first_two_moments(mean, ContinuousBernoulliVariance(logits)),
            "inside(x,a,b)": lambda low, high: Inside(0, low, high) + Inside(1, low, high),
        },
    )


FAMILY = Family(
    name="ContinuousBernoulli",
    parameters=(Parameter("probs", "unit_interval"), Parameter("logits", "real")),
    one_of=("probs", "logits"),
    support="unit_interval",
    equation="log p(x) = logits x - log((exp(logits) - 1) / logits)",
    facts=facts,
)
