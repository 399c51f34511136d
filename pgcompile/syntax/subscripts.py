"""Subscripts as a program writes them: places of an index, shifts, single places, and runs of places."""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.model.indices import IndexRange, Indices

_SHIFT = re.compile(r"([^\W\d]\w*)([-+]\d+)?")


@dataclass(frozen=True)
class Shift:
    """`t` or `t-1`."""

    index: str
    offset: int = 0


@dataclass(frozen=True)
class Literal:
    """`0`, or `T+1`, which is one place past the end."""

    place: int
    end: bool = False

    def named(self, base: str) -> str:
        """The name of a variable at this place."""
        if self.end:
            return f"{base}_end" if self.place == 1 else f"{base}_end_{self.place}"
        return f"{base}_{self.place}" if self.place >= 0 else f"{base}_before_{-self.place}"


@dataclass(frozen=True)
class Slice:
    """`1:T`, `1:t`, `t:T`, or `<t`."""

    text: str

    def reach(self, indices: "Indices") -> tuple[str, str] | None:
        """The index and how far a run of its places goes; None for any other run."""
        for name, known in indices.ranges.items():
            if self.is_all(known):
                return name, "all"
            if self.text == f"<{name}":
                return name, "past"
            if self.text == f"1:{name}":
                return name, "here"
        return None

    def is_all(self, within: "IndexRange") -> bool:
        """True if it is every place of an index."""
        low, _, high = self.text.partition(":")
        match within.high:
            case tree.Name(id):
                return low == "1" and high == id
            case tree.Number(text):
                return low == "1" and high == text
            case _:
                return False


Subscript = Shift | Literal | Slice


def subscripts(name: str, indices: "Indices", bases: Container[str] = ()) -> tuple[str, tuple[Subscript, ...]] | None:
    """A variable and its places, as a name has them.

    Args:
        name: in its canonical spelling.
        indices: those that the program declares.
        bases: variables that have an index, so that a number behind them is a place.

    Returns:
        None where the name stands for itself.
    """
    if name.endswith("}"):
        base, _, inside = name[:-1].partition("_{")
        parts = inside.split(",")
    else:
        words = name.split("_")
        count = 0
        while count < len(words) - 1 and words[-1 - count] in indices.ranges:
            count += 1
        if not count and len(words) > 1 and "_".join(words[:-1]) in bases:
            one = _subscript(words[-1], indices)
            if isinstance(one, Literal):
                return "_".join(words[:-1]), (one,)
        if not count:
            return None
        base, parts = "_".join(words[:-count]), words[-count:]
    found = [_subscript(part, indices) for part in parts]
    return None if any(part is None for part in found) else (base, tuple(p for p in found if p is not None))


def _subscript(part: str, indices: "Indices") -> Subscript | None:
    if ":" in part or part.startswith("<"):
        return Slice(part)
    if re.fullmatch(r"-?\d+", part):
        return Literal(int(part))
    found = _SHIFT.fullmatch(part)
    if found is None:
        return None
    name, offset = found[1], int(found[2] or 0)
    if name in indices.ranges:
        return Shift(name, offset)
    ends = {r.high.id for r in indices.ranges.values() if isinstance(r.high, tree.Name)}
    return Literal(offset, end=True) if name in ends and offset >= 0 else None
