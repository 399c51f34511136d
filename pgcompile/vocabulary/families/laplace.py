"""Laplace: a double exponential around a location."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import Function

    from pgcompile.vocabulary.symbols import LEVEL, Abs, Facts, Log1p, StandardExponential, X, exp, log

    loc, scale = p["loc"], p["scale"]
    minimum, maximum = Function("Minimum"), Function("Maximum")

    def below(z: Any) -> Any:
        """log P(x <= X): z - log 2 below the centre, log(1 - exp(-z) / 2) above."""
        return minimum(z, 0) + Log1p(-exp(-maximum(z, 0)) / 2)

    # A Laplace draw is the difference of two exponentials.
    return Facts(
        log_density=-Abs(X - loc) / scale - log(scale) - log(2),
        draw=loc + scale * (StandardExponential(1) - StandardExponential(2)),
        mean=loc,
        moments={
            "x": loc,
            "|x-c|": lambda c: Abs(loc - c) + scale * exp(-Abs(loc - c) / scale),
            "(x-c)^2": lambda c: 2 * scale**2 + (loc - c) ** 2,
        },
        log_cdf=below((X - loc) / scale),
        log_survival=below((loc - X) / scale),
        quantile=loc + scale * (log(minimum(2 * LEVEL, 1)) - log(minimum(2 - 2 * LEVEL, 1))),
    )


FAMILY = Family(
    name="Laplace",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    torch_class="Laplace",
    equation="log p(x) = -|x - loc| / scale - log(2 scale)",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
