"""Cauchy: no mean, no variance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import Facts, Log1p, Rational, StandardUniform, X, log, pi, sqrt, tan

    loc, scale = p["loc"], p["scale"]
    return Facts(
        log_density=-log(scale) - log(pi) - Log1p(((X - loc) / scale) ** 2),
        draw=loc + scale * tan(pi * (StandardUniform(1) - Rational(1, 2))),
        mean=None,
        moments={"log(1+b(x-c)^2)": lambda b, c: log((1 + sqrt(b) * scale) ** 2 + b * (loc - c) ** 2)},
        entropy=log(scale) + log(4 * pi),
    )


FAMILY = Family(
    name="Cauchy",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    torch_class="Cauchy",
    centre="mode",
    equation="log p(x) = -log(pi scale) - log(1 + ((x - loc) / scale)^2)",
    facts=facts,
)
