"""Terms at each place of an index: the values whose sum over the places a method gives.

Where a method's value is a sum over places, or signed sums and multiples of such, what stands under the sums is there
already: only the signs and the multiples are computed again, without the sums.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pgcompile.plan.values import Axis, AxisKind, Value, live_values

_BEHIND = 10**9
"""A number behind those of all values of a method."""


@dataclass(frozen=True)
class ByPlace:
    """The terms of a method at each place of an index.

    Args:
        index: its name.
        terms: the values by the names of the terms; those that are no sum over the index are not among them.
        own: the values that are made for this alone, in order.
    """

    index: str
    terms: tuple[tuple[str, Value], ...]
    own: tuple[Value, ...]

    @property
    def taken(self) -> list[Value]:
        """The values of the method that these are made of."""
        made = {id(value) for value in self.own}
        found = [value for _, value in self.terms] + [arg for value in self.own for arg in value.args]
        return [value for value in dict.fromkeys(found) if id(value) not in made]


def by_places(outputs: Iterable[tuple[str, Value]], indices: Iterable[str]) -> tuple[ByPlace, ...]:
    """The terms of a method at each place, for every index that some of them are sums over."""
    outputs = list(outputs)
    found = []
    for index in indices:
        undone = _Undone(index)
        terms = [(name, value, undone.of(value)) for name, value in outputs]
        fitting = [
            (name, place) for name, value, place in terms if place is not None and _is_by_place(value, place, index)
        ]
        if fitting:
            needed = {id(value) for value in live_values([place for _, place in fitting])}
            own = tuple(value for value in undone.made if id(value) in needed)
            found.append(ByPlace(index, tuple(fitting), own))
    return tuple(found)


def _is_by_place(whole: Value, place: Value, index: str) -> bool:
    """True if a value has the axis of the index, and is otherwise as the sum."""
    return len(place.axes) == 1 and _runs_over(place.axes[0], index) and place.batched == whole.batched


def _runs_over(axis: Axis, index: str) -> bool:
    return axis.kind is AxisKind.PLATE and str(axis.owner) == index


class _Undone:
    """Values without their sums over an index, which must be linear in these.

    Args:
        index: its name.
    """

    def __init__(self, index: str) -> None:
        self.index = index
        self.made: list[Value] = []
        self.known: dict[int, Value | None] = {}

    def of(self, value: Value) -> Value | None:
        """What a value is the sum of; None where it is no such sum."""
        if id(value) not in self.known:
            self.known[id(value)] = self._found(value)
        return self.known[id(value)]

    def _found(self, value: Value) -> Value | None:
        if value.op == "sum_axis" and self._summed(value) is not None:
            return value.args[0]
        if value.op in ("sum_axis", "mean_axis"):
            return self._over(value)
        if value.op == "neg":
            inner = self.of(value.args[0])
            return None if inner is None else self._with(value, (inner,))
        if value.op in ("add", "sub"):
            first, second = map(self.of, value.args)
            return None if first is None or second is None else self._with(value, (first, second))
        if value.op in ("mul", "div"):
            first, second = value.args
            factors = [(self.of(first), second)] + [(first, self.of(second))] * (value.op == "mul")
            fitting = [(a, b) for a, b in factors if a is not None and b is not None]
            return self._with(value, fitting[0]) if len(fitting) == 1 else None
        return None

    def _summed(self, value: Value) -> Axis | None:
        """The axis of the index, if that is what a sum is over."""
        (at,) = value.attributes
        axis = value.args[0].axes[int(str(at))]
        return axis if _runs_over(axis, self.index) else None

    def _over(self, value: Value) -> Value | None:
        """A sum or mean over another axis."""
        (at,) = value.attributes
        axis = value.args[0].axes[int(str(at))]
        inner = self.of(value.args[0])
        if inner is None or axis not in inner.axes:
            return None
        rest = tuple(a for a in inner.axes if a is not axis)
        return self._made(replace(value, args=(inner,), attributes=(inner.axes.index(axis),), axes=rest))

    def _with(self, value: Value, args: tuple[Value, ...]) -> Value | None:
        """An operation on each element of other values, whose dimensions line up from the last one."""
        longest = max(args, key=lambda arg: len(arg.axes))
        lined_up = all(arg.axes == longest.axes[len(longest.axes) - len(arg.axes) :] for arg in args)
        if not lined_up or any(arg.rank for arg in args):
            return None
        batched = any(arg.batched for arg in args)
        if any(arg.axes and arg.batched != batched for arg in args):
            return None
        return self._made(replace(value, args=args, axes=longest.axes, batched=batched))

    def _made(self, value: Value) -> Value:
        value = replace(value, hints=[], materialize=False, number=_BEHIND + len(self.made))
        self.made.append(value)
        return value
