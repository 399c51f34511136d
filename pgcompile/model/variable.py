"""Variables as values: what a name of the program stands for at one place of a formula."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgcompile.syntax.places import shown_place


@dataclass(frozen=True, order=True)
class Variable:
    """A variable of a distribution.

    Variables are compared as values, never by how they are spelled: two that print alike may differ.

    Args:
        name: as the program writes it.
        copy: 0 for the variable that the program names; copies with other numbers have been integrated out, so that no
            formula can name them, and are apart from each other.
        base: whether it is what a flow makes of the variable, which no formula can name either.
    """

    name: str
    copy: int = 0
    base: bool = False

    def __str__(self) -> str:
        return shown_place(self.name)

    @property
    def is_named(self) -> bool:
        """True if the program can name it."""
        return self.copy == 0 and not self.base

    def apart_from(self, taken: "Iterable[Variable]") -> "Variable":
        """A copy of it that is none of some variables, nor one that the program can name."""
        used = {other.copy for other in taken if other.name == self.name}
        copy = 1
        while copy in used:
            copy += 1
        return Variable(self.name, copy, self.base)

    def as_base(self) -> "Variable":
        """The variable that a flow makes of it."""
        return Variable(self.name, self.copy, base=True)


def variables(names: Iterable[str]) -> tuple[Variable, ...]:
    """The variables that some names of the program stand for."""
    return tuple(Variable(name) for name in names)


def shown(found: "Iterable[Variable | str]") -> str:
    """`x, z`, for messages."""
    return ", ".join(str(variable) for variable in found)
