"""Poisson: a count with a rate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import Facts, PoissonDraw, X, first_two_moments, log, loggamma

    rate = p["rate"]
    return Facts(
        log_density=X * log(rate) - rate - loggamma(X + 1),
        draw=PoissonDraw(rate),
        mean=rate,
        moments=first_two_moments(rate, rate),
    )


FAMILY = Family(
    name="Poisson",
    parameters=(Parameter("rate", "nonnegative"),),
    support="nonnegative_integer",
    pathwise=False,
    torch_class="Poisson",
    equation="log p(x) = x log rate - rate - log x!",
    facts=facts,
)
