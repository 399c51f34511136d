"""Normal (Gaussian) with location and scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from sympy import Expr, Integer, binomial, erfinv, factorial2

    from pgcompile.vocabulary.symbols import (
        LEVEL,
        Facts,
        LogNdtr,
        StandardNormal,
        X,
        erf,
        exp,
        first_two_moments,
        log,
        pi,
        sqrt,
    )

    loc, scale = p["loc"], p["scale"]

    def power(a: Expr, b: Expr, n: int) -> Expr:
        """Central moments of even order are (k-1)!! scale^k."""
        mean, size = a * loc + b, a * scale
        orders = range(0, n + 1, 2)
        return sum((binomial(n, k) * factorial2(k - 1) * size**k * mean ** (n - k) for k in orders), Integer(0))

    return Facts(
        log_density=-(((X - loc) / scale) ** 2) / 2 - log(scale) - log(2 * pi) / 2,
        draw=loc + scale * StandardNormal(1),
        mean=loc,
        moments={
            **first_two_moments(loc, scale**2),
            "(ax+b)^n": power,
            "|x-c|": lambda c: (
                scale * sqrt(2 / pi) * exp(-(((loc - c) / scale) ** 2) / 2)
                + (loc - c) * erf((loc - c) / scale / sqrt(2))
            ),
            "exp(ax+b)": lambda a, b: exp(a * loc + b + (a * scale) ** 2 / 2),
        },
        log_cdf=LogNdtr((X - loc) / scale),
        log_survival=LogNdtr((loc - X) / scale),
        quantile=loc + scale * sqrt(2) * erfinv(2 * LEVEL - 1),
    )


FAMILY = Family(
    name="Normal",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    torch_class="Normal",
    also_called=("Gaussian", "N"),
    equation="log p(x) = -((x - loc) / scale)^2 / 2 - log scale - log(2 pi) / 2",
    facts=facts,
    tails=("cdf", "survival", "quantile"),
)
