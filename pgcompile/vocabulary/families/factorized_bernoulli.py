"""FactorizedBernoulli: a Bernoulli scored on its ones only (Vedantam et al. 2017, "Generative Models of
Visually Grounded Imagination"): what is not observed to be present says nothing. Not a normalised density."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import BernoulliDraw, Facts, Sigmoid, Softplus, X, log

    if "logits" in p:
        logits = p["logits"]
        log_density, probs = -X * Softplus(-logits), Sigmoid(logits)
    else:
        probs = p["probs"]
        log_density = X * log(probs)
    return Facts(log_density=log_density, draw=BernoulliDraw(probs), mean=probs, moments={"x": probs})


FAMILY = Family(
    name="FactorizedBernoulli",
    parameters=(Parameter("probs", "unit_interval"), Parameter("logits", "real")),
    one_of=("probs", "logits"),
    support="boolean",
    pathwise=False,
    equation="log p(x) = x log probs",
    facts=facts,
)
