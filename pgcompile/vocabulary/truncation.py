"""Families between bounds, each by the coordinate in which it is a standard exponential, normal, logistic, ..."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.family import Family, Parameter
from pgcompile.vocabulary.truncated_names import TRUNCATED, is_truncated

if TYPE_CHECKING:
    from sympy import Expr

    from pgcompile.vocabulary.symbols import Facts

Values = Mapping[str, Any]
_BOUNDS = ("low", "high")


@dataclass(frozen=True)
class _Coordinate:
    """How a family follows from a standard one: a value and its coordinate, each a monotone function of the other.

    Args:
        standard: `exponential`, `normal`, `logistic`, `laplace` or `cauchy`; the library has its mass between two
            bounds and its value at a share of that.
        of: the coordinate of a value inside the support.
        value: the value of a coordinate.
        hold: of a value, the nearest inside the support; None where every number is.
        ends: numbers outside of which a bound bounds nothing.
        first: the coordinate of the lower end of the support; None where it is that of the standard family.
        falling: whether the coordinate falls as the value grows.
        fixed: whether the support is the same for all parameters.
        share: one over the mass of the standard family on the whole support.
        mean: the mean, of the coordinates of both bounds; None where it has no formula.
    """

    standard: str
    of: "Callable[[Values, Any], Expr]"
    value: "Callable[[Values, Any], Expr]"
    hold: "Callable[[Values, Any], Expr] | None" = None
    ends: tuple[float | None, float | None] = (None, None)
    first: float | None = None
    falling: bool = False
    fixed: bool = True
    share: float = 1
    mean: "Callable[[Values, Any, Any], Expr] | None" = None


def _location_scale(standard: str) -> _Coordinate:
    return _Coordinate(standard, lambda p, x: (x - p["loc"]) / p["scale"], lambda p, s: p["loc"] + p["scale"] * s)


@cache
def _coordinates() -> dict[str, _Coordinate]:
    """The coordinate of every family that has one and can be truncated; imports sympy."""
    symmetric = {
        "Logistic": _location_scale("logistic"),
        "Laplace": _location_scale("laplace"),
        "Cauchy": _location_scale("cauchy"),
    }
    return {**symmetric, **_of_normal(), **_of_exponential()}


def _positive(p: Values, x: Any) -> Any:
    from pgcompile.vocabulary.symbols import ClippedPositive

    return ClippedPositive(x)


def _unit(p: Values, x: Any) -> Any:
    from pgcompile.vocabulary.symbols import ClippedUnit

    return ClippedUnit(x)


def _of_normal() -> dict[str, _Coordinate]:
    """Families that are functions of a normal variable."""
    from sympy import Function

    from pgcompile.vocabulary.symbols import Log1p, Sigmoid, exp, log, runtime

    maximum, slopes, mass = Function("Maximum"), runtime("normal_slopes"), runtime("log_normal_mass")

    def normal_mean(p: Values, a: Any, b: Any) -> Any:
        return p.get("loc", 0) + p["scale"] * slopes(a, b)

    return {
        "Normal": replace(_location_scale("normal"), mean=normal_mean),
        "HalfNormal": _Coordinate(
            "normal",
            lambda p, x: x / p["scale"],
            lambda p, s: p["scale"] * s,
            hold=lambda p, x: maximum(x, 0),
            first=0,
            share=2,
            mean=normal_mean,
        ),
        "LogNormal": _Coordinate(
            "normal",
            lambda p, x: (log(x) - p["loc"]) / p["scale"],
            lambda p, s: exp(p["loc"] + p["scale"] * s),
            hold=_positive,
            ends=(0, None),
            mean=lambda p, a, b: exp(
                p["loc"] + p["scale"] ** 2 / 2 + mass(a - p["scale"], b - p["scale"]) - mass(a, b)
            ),
        ),
        "LogitNormal": _Coordinate(
            "normal",
            lambda p, x: (log(x) - Log1p(-x) - p["loc"]) / p["scale"],
            lambda p, s: Sigmoid(p["loc"] + p["scale"] * s),
            hold=_unit,
            ends=(0, 1),
        ),
    }


def _of_exponential() -> dict[str, _Coordinate]:
    """Families that are functions of an exponential variable."""
    from sympy import Function

    from pgcompile.vocabulary.symbols import ClippedPositive, Expm1, exp, log, runtime

    maximum, bend, stretch = Function("Maximum"), runtime("log1p_bend"), runtime("expm1_ratio")
    lack, less = runtime("exponential_mean"), runtime("log1m_exp")
    return {
        "Gumbel": _Coordinate(
            "exponential",
            lambda p, x: exp(-(x - p["loc"]) / p["scale"]),
            lambda p, s: p["loc"] - p["scale"] * log(ClippedPositive(s)),
            falling=True,
        ),
        "Exponential": _Coordinate(
            "exponential",
            lambda p, x: p["rate"] * x,
            lambda p, s: s / p["rate"],
            hold=lambda p, x: maximum(x, 0),
            ends=(0, None),
            mean=lambda p, a, b: lack(a, b) / p["rate"],
        ),
        "Weibull": _Coordinate(
            "exponential",
            lambda p, x: exp(p["concentration"] * (log(x) - log(p["scale"]))),
            lambda p, s: p["scale"] * exp(log(ClippedPositive(s)) / p["concentration"]),
            hold=_positive,
            ends=(0, None),
        ),
        "Pareto": _Coordinate(
            "exponential",
            lambda p, x: p["alpha"] * (log(x) - log(p["scale"])),
            lambda p, s: p["scale"] * exp(s / p["alpha"]),
            hold=lambda p, x: maximum(x, p["scale"]),
            ends=(0, None),
            fixed=False,
        ),
        "Kumaraswamy": _Coordinate(
            "exponential",
            lambda p, x: -p["concentration0"] * less(p["concentration1"] * log(x)),
            lambda p, s: exp(log(-Expm1(-ClippedPositive(s) / p["concentration0"])) / p["concentration1"]),
            hold=_unit,
            ends=(0, 1),
        ),
        "GeneralizedPareto": _Coordinate(
            "exponential",
            lambda p, x: bend((x - p["loc"]) / p["scale"], p["concentration"]),
            lambda p, s: p["loc"] + p["scale"] * s * stretch(p["concentration"] * s),
            hold=lambda p, x: maximum(x, p["loc"]),
            fixed=False,
        ),
    }


def _facts_of(base: Family, p: Values) -> "Facts":
    """The formulas of a family between the bounds in `p`, or beyond the one of them that is there."""
    from sympy import Function, oo

    from pgcompile.vocabulary.symbols import LEVEL, ClippedUnit, Facts, Inside, StandardUniform, X, log, runtime

    minimum, maximum = Function("Minimum"), Function("Maximum")
    known = _coordinates()[base.name]
    inner = {name: value for name, value in p.items() if name not in _BOUNDS}
    whole = base.facts(inner)
    low, high = (_bound(p.get(name), known.ends[i], least=name == "low") for i, name in enumerate(_BOUNDS))
    first, last = (0 if known.standard == "exponential" or known.first == 0 else -oo), oo
    below, above = (last, first) if known.falling else (first, last)

    def at(value: Any) -> Any:
        inside = value if known.hold is None or _is_inside(value, known) else known.hold(inner, value)
        return known.of(inner, inside)

    def sided(lower: Any, upper: Any) -> Any:
        return log_mass(upper, lower) if known.falling else log_mass(lower, upper)

    log_mass, between = runtime(f"log_{known.standard}_mass"), runtime(f"{known.standard}_between")
    start = below if low is None else at(low)
    end = above if high is None else at(high)
    total = sided(start, end)
    # Outside the bounds the density is that of the nearest one inside, which is finite, and so are its slopes.
    held = X if low is None else maximum(X, low)
    held = held if high is None else minimum(held, high)
    needed = [bound for bound, end in zip((low, high), known.ends, strict=True) if end is not None]
    if known.hold is not None and not (needed and all(b is not None and _is_inside(b, known) for b in needed)):
        held = known.hold(inner, held)
    least = next((v for v in (low, known.ends[0]) if v is not None), -oo)
    most = next((v for v in (high, known.ends[1]) if v is not None), oo)

    def value(share: Any) -> Any:
        found = between(end, start, 1 - share) if known.falling else between(start, end, share)
        made = known.value(inner, found)
        made = made if low is None else maximum(made, low)
        return made if high is None else minimum(made, high)

    return Facts(
        log_density=whole.log_density.subs(X, held) - log(known.share) - total + Inside(X, least, most),
        draw=value(ClippedUnit(StandardUniform(1))),
        mean=None if known.mean is None else known.mean(inner, start, end),
        log_cdf=sided(start, known.of(inner, held)) - total + Inside(X, least, oo),
        log_survival=sided(known.of(inner, held), end) - total + Inside(X, -oo, most),
        quantile=value(LEVEL),
    )


def _bound(value: Any, end: float | None, *, least: bool) -> Any:
    """A bound; None where there is none, or it is a number outside the support."""
    from sympy import sympify

    if value is None or end is None or not sympify(value).is_number:
        return value
    return None if (value <= end if least else value >= end) else value


def _is_inside(value: Any, known: _Coordinate) -> bool:
    """True of a number that is inside the support, whatever the parameters."""
    from sympy import sympify

    return known.fixed and bool(sympify(value).is_number)


def truncated(base: str, *, low: bool, high: bool) -> Family | None:
    """The family that a family is between bounds; None where its distribution function has no inverse in closed form.

    Args:
        base: its name.
        low: whether it has a lower bound.
        high: whether it has an upper bound.
    """
    if base == "Normal" and low and high:
        return families()["TruncatedNormal"]
    return _truncated(base, low, high)


@cache
def _truncated(base: str, low: bool, high: bool) -> Family | None:
    if base not in TRUNCATED or not (low or high):
        return None
    family = families()[base]
    known = _coordinates()[base]
    bounds = tuple(Parameter(name, "real") for name, given in zip(_BOUNDS, (low, high), strict=True) if given)
    return replace(
        family,
        name=f"Truncated{base}",
        parameters=(*family.parameters, *bounds),
        facts=lambda p: _facts_of(family, p),
        torch_class=None,
        centre="median" if known.mean is None else "mean",
        also_called=(),
        tails=("cdf", "survival", "quantile"),
        truncates=base,
        equation=f"log p(x) = log {base}(x) - log(F(high) - F(low)), low <= x <= high",
    )


def family_named(name: str, given: tuple[str, ...] = ()) -> Family | None:
    """A family by its name, `TruncatedWeibull` among them; None where there is none.

    Args:
        name: of the family.
        given: names of the parameters that a use names; the bounds among them are all that a truncated family has.
    """
    if name in families() and name != "TruncatedNormal":
        return families()[name]
    if not is_truncated(name):
        return None
    low, high = "low" in given, "high" in given
    return truncated(name.removeprefix("Truncated"), low=low or not high, high=high or not low)
