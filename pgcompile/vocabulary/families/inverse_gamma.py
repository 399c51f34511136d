"""InverseGamma: the reciprocal of a Gamma."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import ClippedPositive, Facts, StandardGamma, X, digamma, log, loggamma

    a, b = p["concentration"], p["rate"]
    return Facts(
        log_density=a * log(b) - (a + 1) * log(X) - b / X - loggamma(a),
        draw=b / ClippedPositive(StandardGamma(a)),
        mean=b / (a - 1),  # for a > 1
        moments={"1/x": a / b, "log x": log(b) - digamma(a)},
    )


FAMILY = Family(
    name="InverseGamma",
    parameters=(Parameter("concentration", "positive"), Parameter("rate", "positive")),
    support="positive",
    equation="log p(x) = a log b - (a + 1) log x - b / x - log G(a)",
    facts=facts,
)
