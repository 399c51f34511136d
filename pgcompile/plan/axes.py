"""The axes of one method: one for each draw of several samples, one for each finite variable that takes every value."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from pgcompile.model.indices import IndexRange
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Draw, Env
from pgcompile.plan.values import Axis, AxisKind
from pgcompile.syntax import tree

_PLACES, _DRAWN, _SUMMED = -1, 0, 1  # what is summed out of a density stands inside every draw


@dataclass
class AxisPool:
    """Makes the axes of a method, the same one for the same purpose."""

    _known: dict[tuple[AxisKind, Hashable], list[Axis]] = field(default_factory=dict)
    _of_variable: dict[tuple[Draw, Variable], Axis] = field(default_factory=dict)
    _outer: dict[Draw, frozenset[Draw]] = field(default_factory=dict)
    """The draws at whose values a sum over a variable is taken."""

    _count: int = 0

    def samples(self, draw: Draw) -> Axis:
        """The axis of the samples of a draw."""
        return self._axis(AxisKind.SAMPLE, draw, draw.samples, (_DRAWN, draw.order, 0))

    def places(self, index: IndexRange, position: int) -> Axis:
        """The axis of the places of an index, which stands right before the batch, after those of every draw."""
        kind = AxisKind.PLATE
        known = self._known.setdefault((kind, index.name), [])
        if not known:
            named = f"n_{index.name}" if index.padded or index.of_data else length_name(index)
            name = "" if index.size is not None else named
            self._count += 1
            known.append(Axis(kind, index.name, index.size or 0, (_PLACES, position, self._count), name))
        return known[0]

    def pairs(self, draw: Draw) -> Axis:
        """The axis of the data with which each draw is compared."""
        return self._axis(AxisKind.PAIRS, draw, 0, (_DRAWN, draw.order, len(draw.variables) + 1))

    def values(self, draw: Draw, variable: Variable, size: int) -> Axis:
        """The axis of the values of an enumerated variable of a draw.

        Expectations over one variable that do not stand inside each other share an axis, and so what is computed for
        every value of it.
        """
        if (draw, variable) not in self._of_variable:
            before = draw.enumerated[: draw.enumerated.index(variable)]
            taken = {self._of_variable[draw, v] for v in before if (draw, v) in self._of_variable}
            taken |= self._around(draw.around) | self._inside(draw)
            order = (_DRAWN, draw.order, 1 + draw.enumerated.index(variable))
            self._of_variable[draw, variable] = self._value_axis(draw, variable, size, order, taken)
        return self._of_variable[draw, variable]

    def summed(
        self, draw: Draw, variable: Variable, size: int, position: int, outer: frozenset[Draw], others: Iterable[Axis]
    ) -> Axis:
        """The axis of the values of a variable that is summed out of a density.

        It is apart from the axes of the `outer` draws, at whose values the density is taken, and from the `others` of
        the same sum.
        """
        if (draw, variable) not in self._of_variable:
            self._outer[draw] = outer
            order = (_SUMMED, position)
            taken = self._around(outer) | {*others}
            self._of_variable[draw, variable] = self._value_axis(draw, variable, size, order, taken)
        return self._of_variable[draw, variable]

    def _around(self, draws: Iterable[Draw]) -> set[Axis]:
        """The axes of values that some draws have, or those in whose expectations they stand."""
        found: set[Axis] = set()
        for draw in _with_those_around(draws):
            found |= {self._of_variable[draw, v] for v in draw.enumerated if (draw, v) in self._of_variable}
        return found

    def _inside(self, draw: Draw) -> set[Axis]:
        """The axes of values of what stands inside an expectation, which may be asked for before its own."""
        return {
            axis
            for (other, _), axis in self._of_variable.items()
            if draw in _with_those_around(self._outer.get(other, other.around))
        }

    def of(self, draw: Draw) -> set[Axis]:
        """Every axis of a draw that was made."""
        samples = self._known.get((AxisKind.SAMPLE, draw), [])
        return {*samples, *(axis for (owner, _), axis in self._of_variable.items() if owner == draw)}

    def _axis(self, kind: AxisKind, owner: Hashable, size: int, order: tuple[int, ...]) -> Axis:
        found = self._known.setdefault((kind, owner), [])
        if not found:
            found.append(self._made(kind, owner, size, order))
        return found[0]

    def _value_axis(self, draw: Draw, variable: Variable, size: int, order: tuple[int, ...], taken: set[Axis]) -> Axis:
        atom = draw.atom_of(variable)
        name = atom.name_of(variable) if atom is not None else variable.name
        known = self._known.setdefault((AxisKind.VALUE, name), [])
        for axis in known:
            if axis not in taken:
                return axis
        known.append(self._made(AxisKind.VALUE, name, size, order))
        return known[-1]

    def _made(self, kind: AxisKind, owner: Hashable, size: int, order: tuple[int, ...]) -> Axis:
        self._count += 1
        return Axis(kind, owner, size, (*order, self._count))


def length_name(index: IndexRange) -> str:
    """The name of the number of places of an index in a method: as the program calls it."""
    return index.high.id if isinstance(index.high, tree.Name) else f"n_{index.name}"


def _with_those_around(draws: Iterable[Draw]) -> set[Draw]:
    """Some draws, and those in whose expectations they stand."""
    found: set[Draw] = set()
    pending = [*draws]
    while pending:
        draw = pending.pop()
        if draw not in found:
            found.add(draw)
            pending.extend(draw.around)
    return found


def bound(env: Env, variables: Iterable[Variable]) -> frozenset[Draw]:
    """The draws that an environment takes some variables from."""
    return frozenset(draw for v in variables if (draw := env.get(v)) is not None)
