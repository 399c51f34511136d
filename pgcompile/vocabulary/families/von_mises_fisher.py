"""VonMisesFisher: a direction around another one, a vector of length 1 in any number of dimensions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Fisher 1953; Mardia & Jupp 2000).

    A draw is a cosine, which moves with the concentration, and a direction around (Davidson et al. 2018).
    """
    from pgcompile.vocabulary.symbols import (
        Facts,
        LogSphereConstant,
        MatrixOf,
        SphereLackDraw,
        SphereMean,
        StandardNormal,
        Symbol,
        Total,
        X,
        sqrt,
    )

    loc, concentration = p["loc"], p["concentration"]
    direction = loc / sqrt(Total(loc**2))
    mean = SphereMean(concentration) * direction
    return Facts(
        log_density=concentration * Total(direction * X) - concentration - LogSphereConstant(concentration),
        draw=MatrixOf(Symbol("sphere_direction"), loc, SphereLackDraw(concentration), StandardNormal(1)),
        mean=mean,
        moments={"x": mean},
        entropy=concentration * (1 - SphereMean(concentration)) + LogSphereConstant(concentration),
    )


FAMILY = Family(
    name="VonMisesFisher",
    parameters=(Parameter("loc", "real", rank=1), Parameter("concentration", "positive", per_event=True)),
    support="real",
    event_rank=1,
    least=2,
    also_called=("vMF", "VMF"),
    equation="log p(x) = k m . x - log C(k), |x| = 1, m = loc / |loc|, C the integral of exp(k m . x) over the sphere",
    facts=facts,
)
