"""Binomial: successes among a number of trials."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import BinomialDraw, Facts, Sigmoid, Softplus, X, first_two_moments, log, loggamma

    n = p["total_count"]
    choose = loggamma(n + 1) - loggamma(X + 1) - loggamma(n - X + 1)
    if "logits" in p:
        logits = p["logits"]
        log_density, probs = choose + X * logits - n * Softplus(logits), Sigmoid(logits)
    else:
        probs = p["probs"]
        log_density = choose + X * log(probs) + (n - X) * log(1 - probs)
    return Facts(
        log_density=log_density,
        draw=BinomialDraw(n, probs),
        mean=n * probs,
        moments=first_two_moments(n * probs, n * probs * (1 - probs)),
    )


FAMILY = Family(
    name="Binomial",
    parameters=(
        Parameter("total_count", "nonnegative_integer", default="1"),
        Parameter("probs", "unit_interval"),
        Parameter("logits", "real"),
    ),
    one_of=("probs", "logits"),
    support="nonnegative_integer",
    pathwise=False,
    equation="log p(x) = log C(n, x) + x log probs + (n - x) log(1 - probs)",
    facts=facts,
)
