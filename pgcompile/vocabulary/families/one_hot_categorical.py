"""OneHotCategorical: a one-hot vector, with the probabilities of each place."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import CategoryDraw, Facts, LogSoftmax, OneHot, Total, X, exp, log

    logits = p["logits"] if "logits" in p else log(p["probs"])
    log_probs = LogSoftmax(logits) if "logits" in p else logits
    probs = exp(log_probs) if "logits" in p else p["probs"]
    return Facts(
        log_density=Total(X * log_probs),
        draw=OneHot(CategoryDraw(logits)),
        mean=probs,
        moments={"x": probs},
    )


FAMILY = Family(
    name="OneHotCategorical",
    parameters=(Parameter("probs", "simplex", rank=1), Parameter("logits", "real", rank=1)),
    one_of=("probs", "logits"),
    support="one_hot",
    event_rank=1,
    pathwise=False,
    torch_class="OneHotCategorical",
    equation="log p(x) = sum x log probs",
    facts=facts,
)
