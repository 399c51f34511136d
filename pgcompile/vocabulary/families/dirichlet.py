"""Dirichlet on the simplex."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import ClippedPositive, Facts, StandardGamma, Total, X, digamma, log, loggamma

    a = p["concentration"]
    gammas = StandardGamma(a)
    return Facts(
        log_density=Total((a - 1) * log(X) - loggamma(a)) + loggamma(Total(a)),
        draw=ClippedPositive(gammas / Total(gammas)),
        mean=a / Total(a),
        moments={"x": a / Total(a), "log x": digamma(a) - digamma(Total(a))},
    )


FAMILY = Family(
    name="Dirichlet",
    parameters=(Parameter("concentration", "positive", rank=1),),
    support="simplex",
    event_rank=1,
    equation="log p(x) = sum (a - 1) log x + log G(sum a) - sum log G(a)",
    facts=facts,
)
