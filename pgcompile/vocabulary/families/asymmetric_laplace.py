"""AsymmetricLaplace: two exponentials of different scales around a location, as quantile regression has it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Kotz, Kozubowski & Podgorski 2001)."""
    from pgcompile.vocabulary.symbols import Abs, Facts, StandardExponential, X, first_two_moments, log

    loc, scale, asymmetry = p["loc"], p["scale"], p["asymmetry"]
    z = (X - loc) / scale
    above, below = (Abs(z) + z) / 2, (Abs(z) - z) / 2
    mean = loc + scale * (1 / asymmetry - asymmetry)
    return Facts(
        log_density=-asymmetry * above - below / asymmetry - log(scale) - log(asymmetry + 1 / asymmetry),
        # A draw is the difference of two exponentials of different scales.
        draw=loc + scale * (StandardExponential(1) / asymmetry - asymmetry * StandardExponential(2)),
        mean=mean,
        moments=first_two_moments(mean, scale**2 * (1 / asymmetry**2 + asymmetry**2)),
        entropy=1 + log(scale) + log(asymmetry + 1 / asymmetry),
    )


FAMILY = Family(
    name="AsymmetricLaplace",
    parameters=(Parameter("loc", "real"), Parameter("scale", "positive"), Parameter("asymmetry", "positive")),
    support="real",
    equation="log p(x) = -k z - log(scale (k + 1/k)) for z >= 0, z / k - ... below, z = (x - loc) / scale",
    facts=facts,
)
