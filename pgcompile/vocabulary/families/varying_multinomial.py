"""VaryingMultinomial: a Multinomial whose number of outcomes is that of each data point, as in bags of words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.families.multinomial import facts as facts_of_multinomial
from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from dataclasses import replace

    from pgcompile.vocabulary.symbols import Point, Total, X

    known = facts_of_multinomial(p)
    return replace(known, log_density=known.log_density + Point(Total(X), p["total_count"]))


FAMILY = Family(
    name="VaryingMultinomial",
    parameters=(
        Parameter("total_count", "nonnegative_integer", per_event=True),
        Parameter("probs", "simplex", rank=1),
        Parameter("logits", "real", rank=1),
    ),
    one_of=("probs", "logits"),
    support="nonnegative_integer",
    event_rank=1,
    pathwise=False,
    equation="log p(x) = log n! - sum log x! + sum x log probs for sum x = n; Multinomial(n, ...) with n a variable",
    facts=facts,
)
