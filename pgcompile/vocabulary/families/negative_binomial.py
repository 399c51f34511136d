"""NegativeBinomial: successes before a number of failures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        Facts,
        PoissonDraw,
        Softplus,
        StandardGamma,
        X,
        exp,
        first_two_moments,
        log,
        loggamma,
    )

    n = p["total_count"]
    choose = loggamma(n + X) - loggamma(X + 1) - loggamma(n)
    if "logits" in p:
        logits = p["logits"]
        log_density, odds = choose + X * logits - (n + X) * Softplus(logits), exp(logits)
    else:
        probs = p["probs"]
        log_density, odds = choose + X * log(probs) + n * log(1 - probs), probs / (1 - probs)
    return Facts(
        log_density=log_density,
        draw=PoissonDraw(StandardGamma(n) * odds),
        mean=n * odds,
        moments=first_two_moments(n * odds, n * odds * (1 + odds)),
    )


FAMILY = Family(
    name="NegativeBinomial",
    parameters=(Parameter("total_count", "positive"), Parameter("probs", "unit_interval"), Parameter("logits", "real")),
    one_of=("probs", "logits"),
    support="nonnegative_integer",
    pathwise=False,
    torch_class="NegativeBinomial",
    equation="log p(x) = log G(n + x) - log x! - log G(n) + n log(1 - probs) + x log probs",
    facts=facts,
)
