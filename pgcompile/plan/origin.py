"""The place of the program that a value of a plan comes from."""

from dataclasses import dataclass

from pgcompile.diagnostics import Span
from pgcompile.model.factors import FactorInstance


@dataclass(frozen=True)
class Origin:
    """A stretch of the program's text, and what it is.

    Args:
        span: the text that the user wrote.
        label: a short name of it, such as a factor's formula or an objective's name.
    """

    span: Span
    label: str


def merged(*several: tuple[Origin, ...]) -> tuple[Origin, ...]:
    """The origins of all, each once, in the order of their first mention."""
    return tuple(dict.fromkeys(origin for origins in several for origin in origins))


def origin_of(atom: FactorInstance) -> Origin:
    """The declaration of a factor."""
    return Origin(atom.factor.span, atom.label)
