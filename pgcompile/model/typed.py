"""Types of expressions: the space of each, and its value where that is known at compile time."""

from dataclasses import dataclass
from fractions import Fraction

from pgcompile.vocabulary.spaces import Space

Constant = Fraction | tuple["Constant", ...]


@dataclass(frozen=True)
class Typed:
    """The type of an expression: its space, and its value if it is a literal."""

    space: Space
    literal: Constant | None = None
    differentiable: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Event shape."""
        return self.space.shape


@dataclass(frozen=True)
class TypedMany:
    """The results of a net with several outputs; names are None where they have none."""

    names: tuple[str | None, ...]
    items: tuple[Typed, ...]
