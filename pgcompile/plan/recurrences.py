"""Recurrences: values at other places of an index, and the loops that what depends on itself takes.

Everything is planned for all places at once. A variable at another place, `z_{t-1}`, stands for itself until the
method is whole; then it is known whether z depends on it. If not, it is z moved by a place. If so, the values between
the two are the body of a loop, and nothing else is: what they need is computed before it, and what needs them after.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import networkx as nx

from pgcompile.diagnostics import InternalError
from pgcompile.model.nets import ModuleSegment
from pgcompile.plan.builder import Builder
from pgcompile.plan.expansion import expand_full, standard_noise
from pgcompile.plan.loop_body import LoopBody
from pgcompile.plan.values import Attribute, Axis, Value, live_values
from pgcompile.plan.whole_cells import whole_cell

_SHAPED_BY = {"randn_like": "randn", "rand_like": "rand", "exponential_like": "exponential"}
"""Noise that asks its argument for nothing but the shape."""


@dataclass(eq=False)
class Delay:
    """A variable at another place, while the method is planned.

    Args:
        value: what stands for it.
        axis: of the index.
        offset: -1 for the place before.
        source: makes the variable itself.
        starts: make the values outside the range, the farthest first.
    """

    value: Value
    axis: Axis
    offset: int
    source: Callable[[], Value]
    starts: tuple[Callable[[], Value], ...]


@dataclass
class Recurrences:
    """The variables of one method at other places, by name.

    Args:
        build: makes the values of the method.
        modules: the modules of the class, by their attributes.
    """

    build: Builder
    modules: Mapping[str, ModuleSegment]
    delays: dict[str, Delay] = field(default_factory=dict)

    def closed(self, outputs: list[Value]) -> list[Value]:
        """The outputs with every variable at another place computed; values made on the way may ask for more."""
        if not self.delays:
            return outputs
        sources = self._sources()
        return Closing(self.build, self.modules, self.delays, sources).run(outputs)

    def _sources(self) -> dict[str, Value]:
        """The variables themselves, with all dimensions of what stands for them."""
        found: dict[str, Value] = {}
        while len(found) < len(self.delays):
            for name, delay in list(self.delays.items()):
                if name not in found:
                    found[name] = _filled(self.build, delay.source(), delay.value, delay.value.axes)
        return found


def _filled(build: Builder, value: Value, like: Value, axes: tuple[Axis, ...]) -> Value:
    if any(axis not in axes for axis in value.axes):
        raise InternalError(f"what recurs as {like.attributes[1]} has an axis that was not foreseen")
    return expand_full(build, build.tensor(build.as_tensor(value)), like.shape, axes, None)


@dataclass
class Closing:
    """Replaces what stands for variables at other places in the values of a method."""

    build: Builder
    modules: Mapping[str, ModuleSegment]
    delays: dict[str, Delay]
    sources: dict[str, Value]
    made: dict[int, Value] = field(default_factory=dict)
    group_of: dict[int, "frozenset[int]"] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)
    users: dict[int, set[int]] = field(default_factory=dict)
    """The numbers of what takes each value; an output is taken by -1."""

    def run(self, outputs: list[Value]) -> list[Value]:
        needed = live_values([*outputs, *self.sources.values()])
        self.values = {value.number: value for value in needed}
        graph = nx.DiGraph()
        for value in needed:
            graph.add_edges_from((arg.number, value.number) for arg in value.args)
        for name, delay in self.delays.items():
            graph.add_edge(self.sources[name].number, delay.value.number)
        self.users = {number: set(graph.successors(number)) for number in graph}
        for value in outputs:
            self.users.setdefault(value.number, set()).add(-1)
        for group in nx.strongly_connected_components(graph):
            if len(group) > 1 or any(graph.has_edge(n, n) for n in group):
                whole = frozenset(group)
                self.group_of.update(dict.fromkeys(whole, whole))
        return [self._of(value) for value in outputs]

    def _of(self, value: Value) -> Value:
        """A value with what stands for others replaced; in order, without recursion on long methods."""
        pending = [value]
        while pending:
            here = pending[-1]
            if here.number in self.made:
                pending.pop()
                continue
            group = self.group_of.get(here.number)
            wanted = self._outside(group) if group is not None else self._needs(here)
            unknown = [v for v in wanted if v.number not in self.made]
            if unknown:
                pending += unknown
                continue
            pending.pop()
            if group is not None:
                self._loop(group)
            else:
                self.made[here.number] = self.remade(here)
        return self.made[value.number]

    def delay_of(self, value: Value) -> tuple[str, Delay] | None:
        return next(((n, d) for n, d in self.delays.items() if d.value is value), None)

    def _needs(self, value: Value) -> list[Value]:
        found = self.delay_of(value)
        if found is None:
            return list(value.args)
        name, delay = found
        return [self.sources[name], *self.starts(delay)]

    def starts(self, delay: Delay) -> list[Value]:
        """The values outside the range, with all dimensions but that of the index."""
        axes = tuple(axis for axis in delay.value.axes if axis is not delay.axis)
        found = [_filled(self.build, start(), delay.value, axes) for start in delay.starts]
        self.values.update({v.number: v for v in live_values(found)})
        return found

    def remade(self, value: Value) -> Value:
        """A value outside every loop."""
        found = self.delay_of(value)
        if found is not None:
            name, delay = found
            at = value.axes.index(delay.axis)
            args = (self.made[self.sources[name].number], *(self.made[s.number] for s in self.starts(delay)))
            moved = self.build.make(
                "moved", args, (delay.offset, at), shape=value.shape, batched=value.batched, axes=value.axes
            )
            return self.build.name(moved, *value.hints)
        args = tuple(self.made[arg.number] for arg in value.args)
        if all(new is old for new, old in zip(args, value.args, strict=True)):
            return value
        return self.copied(value, args, value.axes, value.attributes)

    def copied(
        self, value: Value, args: tuple[Value, ...], axes: tuple[Axis, ...], attributes: tuple[Attribute, ...]
    ) -> Value:
        """A value of other arguments, which keeps everything that is said of it."""
        aligned = tuple(axis for axis in value.aligned_to if axis in axes or axis in value.axes)
        made = replace(
            value,
            args=args,
            axes=axes,
            attributes=attributes,
            number=len(self.build.values),
            hints=list(value.hints),
            aligned_to=aligned,
        )
        self.build.values.append(made)
        return made

    # --- loops ---

    def _members(self, group: frozenset[int]) -> list[Value]:
        return [self.values[number] for number in sorted(group)]

    def _outside(self, group: frozenset[int]) -> list[Value]:
        """Values that a loop needs and that are computed before it."""
        found: dict[int, Value] = {}
        for value in self._members(group):
            delay = self.delay_of(value)
            if delay is not None:
                found.update({s.number: s for s in self.starts(delay[1])})
                continue
            if self.is_noise(value):
                found[self.noise_before(value).number] = self.noise_before(value)
                continue
            found.update({arg.number: arg for arg in value.args if arg.number not in group})
        return list(found.values())

    def is_noise(self, value: Value) -> bool:
        return value.op in _SHAPED_BY

    def noise_before(self, value: Value) -> Value:
        """Noise of all places at once, drawn before the loop."""
        made = standard_noise(self.build, _SHAPED_BY[value.op], value.shape, value.axes, [], ("before", value.number))
        made.source = value.source
        made.section, made.origins = value.section, value.origins
        self.build.name(made, "noise", *(f"noise_{hint}" for hint in value.hints), materialize=True)
        self.values.update({v.number: v for v in live_values([made])})
        return made

    def _loop(self, group: frozenset[int]) -> None:
        """Make the loop of some values that depend on themselves."""
        members = self._members(group)
        delays = [(value, *found) for value in members if (found := self.delay_of(value)) is not None]
        axis = delays[0][2].axis
        if any(delay.axis is not axis or delay.offset * delays[0][2].offset < 0 for _, _, delay in delays):
            raise InternalError("a loop would go both ways")
        if whole_cell(self, members, delays, axis):
            return
        body = LoopBody(self, group, axis)
        carried = body.carry(delays)
        for value in members:
            if self.delay_of(value) is None:
                body.value(value)
        body.finish(members, carried, backwards=delays[0][2].offset > 0)
