"""RelaxedOneHotCategorical (concrete, Gumbel-softmax; Maddison et al. 2017, Jang et al. 2017)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        DIM,
        ClippedPositive,
        Facts,
        LogSoftmax,
        LogSumExp,
        StandardExponential,
        Total,
        X,
        exp,
        log,
        loggamma,
    )

    t = p["temperature"]
    logits = p["logits"] if "logits" in p else log(p["probs"])
    scores = logits - t * log(X)
    return Facts(
        log_density=loggamma(DIM) + (DIM - 1) * log(t) + Total(scores - log(X)) - DIM * LogSumExp(scores),
        # -log of a standard exponential is a Gumbel draw
        draw=ClippedPositive(exp(LogSoftmax((logits - log(ClippedPositive(StandardExponential(1)))) / t))),
        mean=None,
    )


FAMILY = Family(
    name="RelaxedOneHotCategorical",
    parameters=(
        Parameter("temperature", "positive", shared=True),
        Parameter("probs", "simplex", rank=1),
        Parameter("logits", "real", rank=1),
    ),
    one_of=("probs", "logits"),
    support="simplex",
    event_rank=1,
    torch_class="RelaxedOneHotCategorical",
    centre="probs",
    also_called=("GumbelSoftmax", "ConcreteCategorical"),
    equation="log p(x) = log (K-1)! + (K-1) log t + sum(l - (t+1) log x) - K log sum exp(l - t log x), l = logits",
    facts=facts,
)
