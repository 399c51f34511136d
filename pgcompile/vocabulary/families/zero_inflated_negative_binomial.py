"""ZeroInflatedNegativeBinomial: an overdispersed count that is zero more often, by the probability of a gate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Greene 1994)."""
    from pgcompile.vocabulary.symbols import (
        BernoulliDraw,
        Facts,
        PoissonDraw,
        Sigmoid,
        Softplus,
        StandardGamma,
        X,
        exp,
        first_two_moments,
        log,
        loggamma,
        runtime,
    )

    n = p["total_count"]
    choose = loggamma(n + X) - loggamma(X + 1) - loggamma(n)
    if "logits" in p:
        logits = p["logits"]
        count, odds = choose + X * logits - (n + X) * Softplus(logits), exp(logits)
    else:
        probs = p["probs"]
        count, odds = choose + X * log(probs) + n * log(1 - probs), probs / (1 - probs)
    if "gate_logits" in p:
        gate, rest = Sigmoid(p["gate_logits"]), Sigmoid(-p["gate_logits"])
        log_density = runtime("zero_inflated_by_logits")(X, count, p["gate_logits"])
    else:
        gate, rest = p["gate"], 1 - p["gate"]
        log_density = runtime("zero_inflated")(X, count, gate)
    mean = n * odds
    return Facts(
        log_density=log_density,
        draw=(1 - BernoulliDraw(gate)) * PoissonDraw(StandardGamma(n) * odds),
        mean=rest * mean,
        moments=first_two_moments(rest * mean, rest * mean * (1 + odds + gate * mean)),
    )


FAMILY = Family(
    name="ZeroInflatedNegativeBinomial",
    parameters=(
        Parameter("total_count", "positive"),
        Parameter("probs", "unit_interval"),
        Parameter("gate", "unit_interval"),
        Parameter("logits", "real"),
        Parameter("gate_logits", "real"),
    ),
    one_of=("probs", "logits"),
    also_one_of=("gate", "gate_logits"),
    support="nonnegative_integer",
    pathwise=False,
    also_called=("ZINB",),
    equation="log p(x) = log(gate [x = 0] + (1 - gate) NegativeBinomial(x))",
    facts=facts,
)
