"""OrderedLogistic: an index of ordered categories, cut from a logistic variable at thresholds, taken in their order."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (McCullagh 1980)."""
    from pgcompile.vocabulary.symbols import CategoryDraw, Facts, OrderedLogProbs, Pick, Total, X, exp

    log_probs = OrderedLogProbs(p["predictor"], p["cutpoints"])
    return Facts(
        log_density=Pick(log_probs, X),
        draw=CategoryDraw(log_probs),
        mean=None,
        moments={"pick v": lambda v: Total(exp(log_probs) * v)},
    )


FAMILY = Family(
    name="OrderedLogistic",
    parameters=(Parameter("predictor", "real"), Parameter("cutpoints", "real", rank=1, fewer=1)),
    support="category",
    pathwise=False,
    index_valued=True,
    centre="mode",
    also_called=("OrderedLogit", "CumulativeLogit", "ProportionalOdds"),
    equation="log p(k) = log(sigmoid(cutpoints[k] - predictor) - sigmoid(cutpoints[k - 1] - predictor))",
    facts=facts,
)
