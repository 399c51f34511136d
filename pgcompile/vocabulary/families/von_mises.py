"""VonMises: an angle around a location."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import BesselRatio, Facts, LogBesselI0, VonMisesDraw, X, cos, log, pi

    loc, concentration = p["loc"], p["concentration"]
    return Facts(
        log_density=concentration * cos(X - loc) - log(2 * pi) - LogBesselI0(concentration),
        draw=VonMisesDraw(loc, concentration),
        mean=loc,
        moments={"cos(x-c)": lambda c: BesselRatio(concentration) * cos(loc - c)},
    )


FAMILY = Family(
    name="VonMises",
    parameters=(Parameter("loc", "real"), Parameter("concentration", "positive")),
    support="real",
    pathwise=False,
    equation="log p(x) = k cos(x - loc) - log(2 pi I0(k))",
    facts=facts,
)
