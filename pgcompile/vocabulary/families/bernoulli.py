"""Bernoulli: one binary outcome."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import BernoulliDraw, Facts, Sigmoid, Softplus, X, first_two_moments, log

    if "logits" in p:
        logits = p["logits"]
        log_density, probs = X * logits - Softplus(logits), Sigmoid(logits)
    else:
        probs = p["probs"]
        log_density = X * log(probs) + (1 - X) * log(1 - probs)
    return Facts(
        log_density=log_density,
        draw=BernoulliDraw(probs),
        mean=probs,
        moments={**first_two_moments(probs, probs * (1 - probs)), "log x!": 0},
    )


FAMILY = Family(
    name="Bernoulli",
    parameters=(Parameter("probs", "unit_interval"), Parameter("logits", "real")),
    one_of=("probs", "logits"),
    support="boolean",
    pathwise=False,
    torch_class="Bernoulli",
    also_called=("Binary",),
    equation="log p(x) = x log probs + (1 - x) log(1 - probs)",
    facts=facts,
)
