"""Geometric: failures before the first success."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        Expm1,
        Facts,
        Floor,
        Softplus,
        StandardExponential,
        X,
        exp,
        first_two_moments,
        log,
    )

    if "logits" in p:
        logits = p["logits"]
        log_density = logits - (X + 1) * Softplus(logits)
        mean = exp(-logits)
        draw = Floor(StandardExponential(1) / Softplus(logits))
    else:
        probs = p["probs"]
        log_density = X * log(1 - probs) + log(probs)
        mean = (1 - probs) / probs
        draw = Floor(StandardExponential(1) / -log(1 - probs))
    log_failure = -Softplus(p["logits"]) if "logits" in p else log(1 - p["probs"])
    log_survival = (X + 1) * log_failure
    return Facts(
        log_density=log_density,
        draw=draw,
        mean=mean,
        moments=first_two_moments(mean, mean * (mean + 1)),
        log_cdf=log(-Expm1(log_survival)),
        log_survival=log_survival,
    )


FAMILY = Family(
    name="Geometric",
    parameters=(Parameter("probs", "unit_interval"), Parameter("logits", "real")),
    one_of=("probs", "logits"),
    support="nonnegative_integer",
    pathwise=False,
    equation="log p(x) = x log(1 - probs) + log probs",
    facts=facts,
    tails=("cdf", "survival"),
)
