"""Categorical: an index, with the probabilities of each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import CategoryDraw, Facts, LogSoftmax, Pick, Total, X, exp, log

    if "logits" in p:
        log_probs = LogSoftmax(p["logits"])
        return Facts(
            log_density=Pick(log_probs, X),
            draw=CategoryDraw(p["logits"]),
            mean=None,
            moments={"pick v": lambda v: Total(exp(log_probs) * v)},
        )
    probs = p["probs"]
    return Facts(
        log_density=Pick(log(probs), X),
        draw=CategoryDraw(log(probs)),
        mean=None,
        moments={"pick v": lambda v: Total(probs * v)},
    )


FAMILY = Family(
    name="Categorical",
    parameters=(Parameter("probs", "simplex", rank=1), Parameter("logits", "real", rank=1)),
    one_of=("probs", "logits"),
    support="category",
    pathwise=False,
    index_valued=True,
    torch_class="Categorical",
    centre="mode",
    also_called=("Discrete", "Multinoulli"),
    equation="log p(k) = log probs[k]",
    facts=facts,
)
