"""Multinomial: counts of a number of categorical outcomes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import Facts, LogSoftmax, MultinomialDraw, Total, X, exp, log, loggamma

    n = p["total_count"]
    logits = p["logits"] if "logits" in p else log(p["probs"])
    log_probs = LogSoftmax(logits) if "logits" in p else logits
    probs = exp(log_probs) if "logits" in p else p["probs"]
    return Facts(
        log_density=loggamma(n + 1) + Total(X * log_probs - loggamma(X + 1)),
        draw=MultinomialDraw(n, logits),
        mean=n * probs,
        moments={"x": n * probs},
    )


FAMILY = Family(
    name="Multinomial",
    parameters=(
        Parameter("total_count", "positive_integer", default="1", shared=True, literal=True),
        Parameter("probs", "simplex", rank=1),
        Parameter("logits", "real", rank=1),
    ),
    one_of=("probs", "logits"),
    support="nonnegative_integer",
    event_rank=1,
    pathwise=False,
    torch_class="Multinomial",
    equation="log p(x) = log n! - sum log x! + sum x log probs",
    facts=facts,
)
