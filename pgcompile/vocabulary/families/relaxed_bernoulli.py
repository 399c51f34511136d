"""RelaxedBernoulli (binary concrete; Maddison et al. 2017, Jang et al. 2017)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import ClippedUnit, Facts, Sigmoid, Softplus, StandardUniform, X, log

    t = p["temperature"]
    logits = p["logits"] if "logits" in p else log(p["probs"]) - log(1 - p["probs"])
    gap = logits - t * (log(X) - log(1 - X))
    u = ClippedUnit(StandardUniform(1))  # a uniform draw may be 0
    return Facts(
        log_density=log(t) + gap - 2 * Softplus(gap) - log(X) - log(1 - X),
        draw=ClippedUnit(Sigmoid((logits + log(u) - log(1 - u)) / t)),
        mean=None,
    )


FAMILY = Family(
    name="RelaxedBernoulli",
    parameters=(
        Parameter("temperature", "positive", shared=True),
        Parameter("probs", "unit_interval"),
        Parameter("logits", "real"),
    ),
    one_of=("probs", "logits"),
    support="unit_interval",
    centre="probs",
    also_called=("BinaryConcrete", "Concrete"),
    equation="log p(x) = log t + d - 2 softplus(d) - log x - log(1 - x), d = logits - t logit(x)",
    facts=facts,
)
