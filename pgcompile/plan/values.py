"""The values of a plan."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from pgcompile.plan.origin import Origin

if TYPE_CHECKING:
    from pgcompile.plan.region import Region

Attribute = int | float | str | bool | None | tuple["Attribute", ...]


class AxisKind(Enum):
    """The kinds of leading dimension."""

    SAMPLE = "sample"
    """Independent draws of one expectation."""
    VALUE = "value"
    """Every value of a finite variable."""
    PAIRS = "pairs"
    """The data of the batch once more, so that each draw meets the parameters of all."""
    PLATE = "plate"
    """Places that are independent given what they share."""
    TIME = "time"
    """Places of a sequence."""


@dataclass(frozen=True, eq=False)
class Axis:
    """A leading dimension, compared by identity: a method has one for each purpose (`AxisPool`).

    Args:
        kind: what it runs over.
        owner: the draw, or the name of the variable, that it belongs to.
        size: its length; 0 where that is the size of the batch.
        order: place among the axes of a method: those that stand further inside are greater, and come first in a shape.
    """

    kind: AxisKind
    owner: Hashable
    size: int
    order: tuple[int, ...]
    name: str = ""
    """The name of its length in a method, where that is known from data."""

    @property
    def extent(self) -> int | str:
        """Its length as a method writes it."""
        return self.name or self.size


@dataclass(eq=False)
class Value:
    """One value of a plan; made by `Builder`, which gives equal computations the same value.

    Args:
        op: operation, a row of `plan/ops.py`.
        args: values it is computed from.
        attributes: static arguments.
        shape: event shape.
        batched: whether the batch dimensions stand before the event shape.
        axes: draw axes, the innermost expectation first; they stand before the batch dimensions.
        number: order of creation.
        section: the formula that it belongs to, shown as a comment.
        hints: names it would like, the shortest first.
        materialize: whether it gets a line of its own even when it is used once.
        maybe_batched: whether it may have batch dimensions without being known to: what an `input` gives.
        aligned_to: the axes that its dimensions are lined up with already, where ones stand for those it lacks.
        maybe_scalar: whether it is a bare number where an `input` is given as one.
        origins: the places of the program that it comes from, the nearest first.
        numbers: of a constant of the class, its entries.
        region: of a loop, what it computes in each turn.
        source: of noise, what it is for: number and variable of the draw, then what tells its own noises apart.
    """

    op: str
    args: tuple["Value", ...]
    attributes: tuple[Attribute, ...]
    shape: tuple[int, ...]
    batched: bool
    axes: tuple[Axis, ...]
    number: int
    section: str | None = None
    hints: list[str] = field(default_factory=list)
    materialize: bool = False
    source: tuple[Any, ...] | None = None
    origins: tuple[Origin, ...] = ()
    maybe_scalar: bool = False
    maybe_batched: bool = False
    aligned_to: tuple[Axis, ...] = ()
    numbers: tuple[float, ...] | None = None
    region: "Region | None" = None

    @property
    def rank(self) -> int:
        """Event dimensions."""
        return len(self.shape)

    @property
    def constant(self) -> float | None:
        """Its value, where it is a number known at compile time."""
        found = self.attributes[0] if self.op == "constant" else None
        return float(found) if isinstance(found, int | float) else None


@dataclass(frozen=True)
class InTurns:
    """The draws of a loop over an index, which are made again at each place.

    Args:
        noise: the draws of one place, in order.
        index: the index.
        backwards: whether the last place comes first.
    """

    noise: "tuple[Value | InTurns, ...]"
    index: str
    backwards: bool = False

    @property
    def batched(self) -> bool:
        """True if each draw has the batch dimensions."""
        return all(draw.batched for draw in self.noise)


Noise = Value | InTurns
"""A draw of a method, or those of a loop."""


def live_values(outputs: list[Value]) -> list[Value]:
    """The values that the outputs need, in the order of their creation."""
    seen: dict[int, Value] = {}
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value.number not in seen:
            seen[value.number] = value
            stack.extend(value.args)
    return [seen[number] for number in sorted(seen)]


def meets_rows(value: Value) -> bool:
    """True if a value meets other rows of the batch: its own batch dimensions may be ones then."""
    return any(axis.kind is AxisKind.PAIRS for axis in value.axes)
