"""Options of transforms: the kind of each, its default, and the values that it may have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Value = int | float | bool | str | tuple[int, ...] | tuple[tuple[int, ...], ...] | None

LARGEST = 10**6
_KINDS = {
    "integer",
    "real",
    "flag",
    "sizes",
    "activation",
    "mask",
    "order",
    "adjacency",
    "word",
    "module",
}


class MissingFact(LookupError):
    """A transform that does not state what the compiler has to know of it."""


@dataclass(frozen=True)
class Option:
    """An option of a transform, as its class states it.

    Args:
        name: as it is written.
        default: its value where the program does not say.
        kind: `integer`, `real`, `flag` (true or false), `sizes` (a list of integers), `activation`, `mask` (a word,
            or a 0 or 1 for each feature), `order` (a word, or the place of each feature), `adjacency` (a row of 0 and 1
            for each feature), `word`, or `module` (a net of the program, or a module in Python).
        words: the words that it may be; of an activation, those that it may be if not every one.
        at_least: the least integer, real or size.
        above: an exclusive lower bound of a real.
        at_most: the greatest real.
        below: an exclusive upper bound of a real.
        other_than: a real that it may not be.
        entries: the least length of a list of sizes.
        least: the least number of features, or of channels of an image, that a word needs.
    """

    name: str
    default: Value
    kind: str
    words: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    other_than: float | None = None
    entries: int = 0
    least: Mapping[str, int] = field(default_factory=dict)

    @property
    def wanted(self) -> str:
        """The values that it may have, in words."""
        match self.kind:
            case "integer":
                return "a whole number above 0" if self.at_least == 1 else f"a whole number from {self.at_least}"
            case "real":
                return self._real
            case "flag":
                return "true or false"
            case "module":
                return "a net of the program"
            case "activation":
                return " or ".join(self.words) if self.words else "an activation, such as ReLU"
            case "sizes":
                length = {0: "a list of sizes", 1: "a list of one size or more"}.get(
                    self.entries, f"a list of {self.entries} sizes or more"
                )
                return f"{length}{f' from {self.at_least}' if self.at_least else ''}, such as [64, 64]"
            case "adjacency":
                return "a list of rows of 0 and 1, one a feature"
            case "mask" | "order":
                return f"{' or '.join(self.words)}, or a list" if self.words else "a list"
            case _:
                return " or ".join(self.words)

    @property
    def _real(self) -> str:
        if self.other_than is not None:
            return f"a number other than {self.other_than:g}"
        low = self.above if self.at_least is None else self.at_least
        high = self.below if self.at_most is None else self.at_most
        match low, high:
            case None, None:
                return "a number"
            case None, _:
                return f"a number {'less than' if self.at_most is None else 'up to'} {high:g}"
            case 0, None if self.at_least is None:
                return "a positive number"
            case _, None:
                return f"a number {'above' if self.at_least is None else 'from'} {low:g}"
        if self.at_least is None and self.at_most is None:
            return f"a number between {low:g} and {high:g}"
        start = f"above {low:g}" if self.at_least is None else f"from {low:g}"
        return f"a number {start} {'to less than' if self.at_most is None else 'up to'} {high:g}"

    def holds(self, number: float) -> bool:
        """True if an integer, a real, or one of some sizes is in its range."""
        return (
            math.isfinite(number)
            and (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
            and number != self.other_than
        )


_ALLOWED = {f.name for f in fields(Option)} - {"name", "default"}


def stated_option(transform: str, name: str, stated: Mapping[str, Any], default: Value) -> Option:
    """An option from what its transform states of it.

    Args:
        transform: name of the class.
        name: of the option.
        stated: its entry in `options`.
        default: from the constructor.

    Raises:
        MissingFact: its kind, or the words or the range that its kind needs, are not stated, or something else is.
    """
    kind = stated.get("kind")
    where = f"option `{name}` of the transform {transform}"
    if kind is None:
        raise MissingFact(f"{where} states no `kind`")
    if kind not in _KINDS:
        raise MissingFact(f"{where} is of the unknown kind `{kind}`")
    if kind in ("word", "mask", "order") and "words" not in stated:
        raise MissingFact(f"{where} states no `words`")
    if kind == "integer" and "at_least" not in stated:
        raise MissingFact(f"{where} states no `at_least`")
    unknown = sorted(stated.keys() - _ALLOWED)
    if unknown:
        raise MissingFact(f"{where} states `{unknown[0]}`, which is no fact of an option")
    return Option(name, default, **stated)
