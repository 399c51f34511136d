"""ZeroInflatedPoisson: a count that is zero more often than a Poisson's, by the probability of a gate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Lambert 1992)."""
    from pgcompile.vocabulary.symbols import (
        BernoulliDraw,
        Facts,
        PoissonDraw,
        Sigmoid,
        X,
        first_two_moments,
        log,
        loggamma,
        runtime,
    )

    rate = p["rate"]
    count = X * log(rate) - rate - loggamma(X + 1)
    if "gate_logits" in p:
        gate, rest = Sigmoid(p["gate_logits"]), Sigmoid(-p["gate_logits"])
        log_density = runtime("zero_inflated_by_logits")(X, count, p["gate_logits"])
    else:
        gate, rest = p["gate"], 1 - p["gate"]
        log_density = runtime("zero_inflated")(X, count, gate)
    return Facts(
        log_density=log_density,
        draw=(1 - BernoulliDraw(gate)) * PoissonDraw(rate),
        mean=rest * rate,
        moments=first_two_moments(rest * rate, rest * rate * (1 + gate * rate)),
    )


FAMILY = Family(
    name="ZeroInflatedPoisson",
    parameters=(Parameter("rate", "nonnegative"), Parameter("gate", "unit_interval"), Parameter("gate_logits", "real")),
    one_of=("gate", "gate_logits"),
    support="nonnegative_integer",
    pathwise=False,
    also_called=("ZIP",),
    equation="log p(x) = log(gate [x = 0] + (1 - gate) Poisson(x))",
    facts=facts,
)
