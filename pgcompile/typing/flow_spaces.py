"""Kinds of numbers along a flow: what leads from one to another, and the bases that fit them."""

from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.transform_options import Value
from pgcompile.vocabulary.transforms import Word

SAID = {
    "real": "real numbers",
    "positive": "positive numbers",
    "unit_interval": "numbers between 0 and 1",
    "interval": "numbers of an interval",
    "nonnegative_integer": "whole grey levels",
    "nonnegative": "numbers that may be 0",
    "circle": "angles from -pi to pi",
}
# What leads from numbers of one kind to those of another.
BRIDGES = {
    ("positive", "real"): "Log",
    ("unit_interval", "real"): "Logit",
    ("real", "positive"): "Exp or Softplus",
    ("real", "unit_interval"): "Sigmoid",
    ("nonnegative_integer", "real"): "Dequantise(levels=256) >> Logit",
    ("nonnegative_integer", "unit_interval"): "Dequantise(levels=256)",
}
BASES = {"circle": "write Uniform(-pi, pi) as the base"}
# What may follow where nothing leads on.
STAYING = {
    "interval": "use a spline, Bernstein or SumOfSquares there: draws come back through it into the interval",
    "circle": "use CircularSplineCoupling, or a spline whose bound is pi",
}


def supports(family: Family, kind: str) -> bool:
    """True if a base has its density on the numbers that a flow ends in."""
    if kind in ("interval", "circle") or family.name == "Uniform":
        return family.name == "Uniform"
    return family.support == kind or (family.support == "nonnegative" and kind == "positive")


def kept_kinds(word: Word, options: dict[str, Value]) -> tuple[str, ...]:
    """The kinds of space that a transform takes to themselves, with these options."""
    return tuple(
        kind
        for kind, most in word.also_takes.items()
        if all(isinstance(v := options[name], float) and v <= limit for name, limit in most.items())
    )
