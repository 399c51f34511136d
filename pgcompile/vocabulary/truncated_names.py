"""The names of truncated families: `TruncatedWeibull` is a Weibull between bounds."""

from pgcompile.vocabulary.families import families

TRUNCATED = (
    "Cauchy",
    "Exponential",
    "GeneralizedPareto",
    "Gumbel",
    "HalfNormal",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LogitNormal",
    "Normal",
    "Pareto",
    "Weibull",
)
"""Families that can be truncated, beside Uniform: a Uniform between bounds is one again."""


def is_family_name(name: str) -> bool:
    """True of the name of a family, truncated or whole."""
    return name in families() or is_truncated(name)


def is_truncated(name: str) -> bool:
    """True of the name of a truncated family."""
    return name.startswith("Truncated") and name.removeprefix("Truncated") in TRUNCATED
