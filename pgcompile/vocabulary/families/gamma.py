"""Gamma with concentration and rate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import (
        ClippedPositive,
        Expr,
        Facts,
        StandardGamma,
        X,
        digamma,
        exp,
        first_two_moments,
        log,
        loggamma,
    )

    a, b = p["concentration"], p["rate"]

    def gumbel(c: Expr, s: Expr) -> Expr:
        """The Laplace transform at 1/s."""
        return exp(c / s) * (1 + 1 / (b * s)) ** -a

    return Facts(
        log_density=a * log(b) + (a - 1) * log(X) - b * X - loggamma(a),
        draw=ClippedPositive(StandardGamma(a) / b),
        mean=a / b,
        moments={**first_two_moments(a / b, a / b**2), "exp(-(x-c)/s)": gumbel, "log x": digamma(a) - log(b)},
    )


FAMILY = Family(
    name="Gamma",
    parameters=(Parameter("concentration", "positive"), Parameter("rate", "positive")),
    support="positive",
    torch_class="Gamma",
    equation="log p(x) = a log b + (a - 1) log x - b x - log G(a)",
    facts=facts,
)
