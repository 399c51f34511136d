"""Delta: all mass at one point. It can be drawn and conditioned on, not scored."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters."""
    from pgcompile.vocabulary.symbols import Facts, Point, X

    v = p["v"]
    return Facts(log_density=Point(X, v), draw=v, mean=v)


FAMILY = Family(
    name="Delta",
    parameters=(Parameter("v", "real"),),
    support="real",
    also_called=("Deterministic", "Dirac"),
    equation="x = v",
    facts=facts,
)
