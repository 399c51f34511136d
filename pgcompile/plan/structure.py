"""The structure of values: equal for equal computations, in whichever methods they stand."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from pgcompile.plan.ops import operation
from pgcompile.plan.values import Axis, Value, live_values


@dataclass
class Structures:
    """Numbers the computations of several methods: two values have one number where they compute the same.

    Draws are the same where they are the same draw of the program, so a value that depends on one is compared with
    what another method makes of its own draw.
    """

    _known: dict[Hashable, int] = field(default_factory=dict)
    _of_value: dict[int, tuple[Value, int]] = field(default_factory=dict)

    def of(self, value: Value) -> int:
        """The number of a value's computation; each value is looked at once, however often it is asked for."""
        pending = [value]
        while pending:
            inner = pending[-1]
            unknown = [arg for arg in inner.args if id(arg) not in self._of_value]
            if unknown and id(inner) not in self._of_value:
                pending += unknown
                continue
            pending.pop()
            if id(inner) not in self._of_value:
                # The value is kept with its number, so that its identity is not given to another.
                self._of_value[id(inner)] = (inner, self._known.setdefault(self._key(inner), len(self._known)))
        return self._of_value[id(value)][1]

    def _key(self, value: Value) -> Hashable:
        """Equal for values that compute the same, whose arguments have their numbers."""
        region = value.region
        return (
            value.op,
            tuple(self._of_value[id(arg)][1] for arg in value.args),
            value.attributes,
            value.shape,
            value.batched,
            tuple(map(_axis, value.axes)),
            value.source if operation(value.op).noise else None,
            region and tuple(self.of(result) for result in (*region.following, *region.outputs)),
        )


def _axis(axis: Axis) -> Hashable:
    return axis.kind, axis.owner, axis.size


def count_operations(outputs: Iterable[Value]) -> int:
    """The number of kernels that some values cost: everything that is computed by a statement or in one."""
    return sum(map(_cost, live_values(list(outputs))))


def _cost(value: Value) -> int:
    row = operation(value.op)
    if value.region is not None:
        turns = 2 if value.region.axis is None else value.region.axis.size  # a function, and its derivative
        return turns * sum(map(_cost, value.region.body))
    return row.cost if row.has_lines else 0
