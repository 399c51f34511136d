"""How far a formula reaches along an index: the places, counted from its own, that it takes something from."""

from dataclasses import dataclass
from math import inf

from pgcompile.model.indices import Indices
from pgcompile.syntax.subscripts import Shift, Slice, Subscript


@dataclass(frozen=True)
class Reach:
    """The places from `low` to `high`, counted from the place of a formula; infinite where a run has no end."""

    low: float
    high: float

    def plus(self, other: "Reach") -> "Reach":
        """What is reached from every place of this reach."""
        return Reach(self.low + other.low, self.high + other.high)

    def with_(self, other: "Reach", *, to_the_end: bool = False) -> "Reach":
        """Both; where one goes further and a recurrence goes on for ever, as far as there are places."""
        low, high = min(self.low, other.low), max(self.high, other.high)
        if to_the_end:
            low, high = (-inf if low < self.low else low), (inf if high > self.high else high)
        return Reach(low, high)


HERE = Reach(0, 0)
EVERYWHERE = Reach(-inf, inf)


def reach_of(parts: tuple[Subscript, ...], indices: Indices) -> Reach:
    """The places that a name with these subscripts stands for; of several indices, its own place only is known.

    A name without any is the same at every place.
    """
    if not parts:
        return EVERYWHERE
    if all(isinstance(part, Shift) for part in parts):
        offsets = [part.offset for part in parts if isinstance(part, Shift)]
        if not any(offsets):
            return HERE
        return Reach(offsets[0], offsets[0]) if len(offsets) == 1 else EVERYWHERE
    (part, *others) = parts
    if others or not isinstance(part, Slice):
        return EVERYWHERE
    for name in indices.ranges:
        match part.text:
            case text if text == f"<{name}":
                return Reach(-inf, -1)
            case text if text == f"1:{name}":
                return Reach(-inf, 0)
            case text if text.startswith(f"{name}:"):
                return Reach(0, inf)
    return EVERYWHERE


def covered(wanted: Reach, given: list[Reach]) -> bool:
    """True if some runs of places together hold all places of another."""
    at = wanted.low
    for reach in sorted(given, key=lambda r: r.low):
        if reach.low <= at and reach.high >= at:
            if reach.high >= wanted.high:
                return True
            at = reach.high + 1
    return False
