"""Normal (Gaussian) with location and scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import Facts, StandardNormal, X, log, pi

    loc, scale = p["loc"], p["scale"]
    return Facts(
        log_density=-(((X - loc) / scale) ** 2) / 2 - log(scale) - log(2 * pi) / 2,
        draw=loc + scale * StandardNormal(1),
        mean=loc,
        moments={"x": loc, "(x-c)^2": lambda c: scale**2 + (loc - c) ** 2},
    )


FAMILY = Family(
    name="Normal",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive")),
    support="real",
    torch_class="Normal",
    also_called=("Gaussian", "N"),
    equation="log p(x) = -((x - loc) / scale)^2 / 2 - log scale - log(2 pi) / 2",
    facts=facts,
)
