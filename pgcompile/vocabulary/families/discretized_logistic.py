"""DiscretizedLogistic: a logistic variable rounded to levels of equal distance, as PixelCNN++ has pixels."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.family import Family, Parameter

if TYPE_CHECKING:
    from pgcompile.vocabulary.symbols import Facts


def facts(p: Mapping[str, Any]) -> "Facts":
    """The formulas, in terms of the symbols of the parameters (Salimans et al. 2017)."""
    from sympy import Function

    from pgcompile.vocabulary.symbols import Facts, Round, StandardUniform, X, runtime

    loc, scale, low, high = p["loc"], p["scale"], p["low"], p["high"]
    minimum, maximum = Function("Minimum"), Function("Maximum")
    step = (high - low) / (p["levels"] - 1)
    drawn = loc + scale * runtime("logit_of")(StandardUniform(1))
    return Facts(
        log_density=runtime("log_binned_logistic")(
            (X - loc) / scale, step / 2 / scale, (low - loc) / scale, (high - loc) / scale
        ),
        draw=low + step * Round((minimum(maximum(drawn, low), high) - low) / step),
        mean=None,
    )


FAMILY = Family(
    name="DiscretizedLogistic",
    parameters=(
        Parameter("loc", "real"),
        Parameter("scale", "positive"),
        Parameter("levels", "positive_integer", default="256", shared=True, literal=True),
        Parameter("low", "real", default="-1", shared=True),
        Parameter("high", "real", default="1", shared=True),
    ),
    support="real",
    pathwise=False,
    also_called=("DiscretisedLogistic", "QuantizedLogistic"),
    equation="log p(x) = log(S(x + h) - S(x - h)), S the distribution function, h half a level; ends take the tails",
    facts=facts,
)
