"""Recurrences: values at other places of an index, and the loops that what depends on itself takes.

Everything is planned for all places at once. A variable at another place, `z_{t-1}`, stands for itself until the
method is whole; then it is known whether z depends on it. If not, it is z moved by a place. If so, the values between
the two are the body of a loop, and nothing else is: what they need is computed before it, and what needs them after.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import networkx as nx

from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import Builder, in_order
from pgcompile.plan.expansion import expand_full, standard_noise
from pgcompile.plan.ops import LEAVES
from pgcompile.plan.region import PLACEHOLDER, Region
from pgcompile.plan.values import Attribute, Axis, Value, live_values
from pgcompile.syntax.places import python_name

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
    """The variables of one method at other places, by name."""

    build: Builder
    delays: dict[str, Delay] = field(default_factory=dict)

    def closed(self, outputs: list[Value]) -> list[Value]:
        """The outputs with every variable at another place computed; values made on the way may ask for more."""
        if not self.delays:
            return outputs
        sources = self._sources()
        return _Closing(self.build, self.delays, sources).run(outputs)

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
class _Closing:
    """Replaces what stands for variables at other places in the values of a method."""

    build: Builder
    delays: dict[str, Delay]
    sources: dict[str, Value]
    made: dict[int, Value] = field(default_factory=dict)
    group_of: dict[int, "frozenset[int]"] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)

    def run(self, outputs: list[Value]) -> list[Value]:
        needed = live_values([*outputs, *self.sources.values()])
        self.values = {value.number: value for value in needed}
        graph = nx.DiGraph()
        for value in needed:
            graph.add_edges_from((arg.number, value.number) for arg in value.args)
        for name, delay in self.delays.items():
            graph.add_edge(self.sources[name].number, delay.value.number)
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
                self.made[here.number] = self._remade(here)
        return self.made[value.number]

    def _delay(self, value: Value) -> tuple[str, Delay] | None:
        return next(((n, d) for n, d in self.delays.items() if d.value is value), None)

    def _needs(self, value: Value) -> list[Value]:
        found = self._delay(value)
        if found is None:
            return list(value.args)
        name, delay = found
        return [self.sources[name], *self._starts(delay)]

    def _starts(self, delay: Delay) -> list[Value]:
        """The values outside the range, with all dimensions but that of the index."""
        axes = tuple(axis for axis in delay.value.axes if axis is not delay.axis)
        found = [_filled(self.build, start(), delay.value, axes) for start in delay.starts]
        self.values.update({v.number: v for v in live_values(found)})
        return found

    def _remade(self, value: Value) -> Value:
        """A value outside every loop."""
        found = self._delay(value)
        if found is not None:
            name, delay = found
            at = value.axes.index(delay.axis)
            args = (self.made[self.sources[name].number], *(self.made[s.number] for s in self._starts(delay)))
            moved = self.build.make(
                "moved", args, (delay.offset, at), shape=value.shape, batched=value.batched, axes=value.axes
            )
            return self.build.name(moved, *value.hints)
        args = tuple(self.made[arg.number] for arg in value.args)
        if all(new is old for new, old in zip(args, value.args, strict=True)):
            return value
        return self._copied(value, args, value.axes, value.attributes)

    def _copied(
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
            delay = self._delay(value)
            if delay is not None:
                found.update({s.number: s for s in self._starts(delay[1])})
                continue
            if self._is_hoisted(value):
                found[self._noise(value).number] = self._noise(value)
                continue
            found.update({arg.number: arg for arg in value.args if arg.number not in group})
        return list(found.values())

    def _is_hoisted(self, value: Value) -> bool:
        return value.op in _SHAPED_BY

    def _noise(self, value: Value) -> Value:
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
        delays = [(value, *found) for value in members if (found := self._delay(value)) is not None]
        axis = delays[0][2].axis
        if any(delay.axis is not axis or delay.offset * delays[0][2].offset < 0 for _, _, delay in delays):
            raise InternalError("a loop would go both ways")
        body = _LoopBody(self, group, axis)
        carried = body.carry(delays)
        for value in members:
            if self._delay(value) is None:
                body.value(value)
        body.finish(members, carried, backwards=delays[0][2].offset > 0)


@dataclass
class _Carried:
    """A variable that is carried from turn to turn, at one distance."""

    initial: Value
    placeholder: Value
    source: Value
    distance: int


@dataclass
class _LoopBody:
    """The values of one turn."""

    closing: _Closing
    group: frozenset[int]
    axis: Axis
    inside: dict[int, Value] = field(default_factory=dict)
    elements: dict[int, tuple[Value, Value]] = field(default_factory=dict)
    captured: dict[int, Value] = field(default_factory=dict)
    body: list[Value] = field(default_factory=list)

    def carry(self, delays: Iterable[tuple[Value, str, Delay]]) -> list[_Carried]:
        """Carry the placeholders of variables at other places, at every distance up to the largest."""
        build = self.closing.build
        farthest: dict[int, tuple[Value, str, Delay]] = {}
        for value, name, delay in delays:
            source = self.closing.sources[name]
            known = farthest.get(source.number)
            if known is None or abs(known[2].offset) < abs(delay.offset):
                farthest[source.number] = (value, name, delay)
        carried: list[_Carried] = []
        for value, name, delay in farthest.values():
            starts = [self.closing.made[s.number] for s in self.closing._starts(delay)]
            axes = self._without(value.axes)
            for distance in range(1, len(starts) + 1):
                initial = starts[len(starts) - distance]
                made = build.make(
                    PLACEHOLDER,
                    (),
                    ("carried", len(carried)),
                    shape=value.shape,
                    batched=value.batched,
                    axes=axes,
                    fresh=("carried", value.number, distance),
                )
                made.hints.extend(value.hints if distance == 1 else [f"{h}_{distance}" for h in value.hints])
                carried.append(_Carried(initial, made, self.closing.sources[name], distance))
        for value, name, delay in delays:
            source = self.closing.sources[name]
            own = next(c for c in carried if c.source is source and c.distance == abs(delay.offset))
            self.inside[value.number] = own.placeholder
        return carried

    def _without(self, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(axis for axis in axes if axis is not self.axis)

    def value(self, value: Value) -> Value:
        """A value of the loop in its turn."""
        if value.number in self.inside:
            return self.inside[value.number]
        if self.closing._is_hoisted(value):
            noise = self.closing.made[self.closing._noise(value).number]
            self.inside[value.number] = self._element(noise)
            return self.inside[value.number]
        args = tuple(self._argument(arg) for arg in value.args)
        if value.op == "unsqueeze_axes" and value.axes:
            made = self._realigned(value, args[0])
        else:
            made = self.closing._copied(value, args, self._without(value.axes), self._attributes(value))
        self.inside[value.number] = made
        self.body.append(made)
        return made

    def _attributes(self, value: Value) -> tuple[Attribute, ...]:
        """Attributes without the size of the index, which comes last among the axes."""
        match value.op:
            case "expand":
                sizes, shape = value.attributes
                assert isinstance(sizes, tuple)
                return (sizes[:-1], shape)
            case "expand_axes":
                return value.attributes[:-1]
            case "extern_draw":
                name, sizes, rooted = value.attributes
                assert isinstance(sizes, tuple)
                return (name, sizes[:-1] if self.axis in value.axes else sizes, rooted)
            case _:
                return value.attributes

    def _realigned(self, value: Value, inner: Value) -> Value:
        wanted = self._without(value.aligned_to)
        return self.closing.build.insert_axes(inner, wanted)

    def _argument(self, arg: Value) -> Value:
        """An argument of a value of the loop: of its turn, a place of what came before it, or the same each turn."""
        if arg.number in self.group:
            return self.value(arg)
        outside = self.closing.made[arg.number]
        if outside.op in ("flatten_batch", "unsqueeze") and self.axis in outside.axes and outside.args:
            # Rows of all places would not be those of one, and a view costs nothing in each turn.
            rows = self.closing._copied(
                outside, (self._argument(arg.args[0]),), self._without(outside.axes), outside.attributes
            )
            self.body.append(rows)
            return rows
        if self.axis in outside.axes:
            return self._element(outside)
        if outside.op == "unsqueeze_axes" and self.axis in outside.aligned_to:
            outside = self._realigned(outside, outside.args[0])
        self.captured[outside.number] = outside
        return outside

    def _element(self, sequence: Value) -> Value:
        """The place of a sequence whose turn it is."""
        sequence.materialize = sequence.op not in LEAVES
        if sequence.number not in self.elements:
            made = self.closing.build.make(
                PLACEHOLDER,
                (),
                ("element", len(self.elements)),
                shape=sequence.shape,
                batched=sequence.batched,
                axes=self._without(sequence.axes),
                fresh=("element", sequence.number, id(self)),
            )
            names = sequence.hints or ["here"]
            made.hints.extend(f"{name.removesuffix('_all')}_{self.axis.owner}" for name in names)
            self.elements[sequence.number] = (sequence, made)
        return self.elements[sequence.number][1]

    def finish(self, members: list[Value], carried: list[_Carried], *, backwards: bool) -> None:
        """Make the loop, and what is kept of its turns."""
        build = self.closing.build
        following = [
            self.inside[c.source.number]
            if c.distance == 1
            else next(o.placeholder for o in carried if o.source is c.source and o.distance == c.distance - 1)
            for c in carried
        ]
        kept = [value for value in members if not self.closing._is_hoisted(value)]
        outputs = [self.inside[value.number] for value in kept]
        sequences = [sequence for sequence, _ in self.elements.values()]
        placeholders = {c.placeholder.number for c in carried} | {e.number for _, e in self.elements.values()}
        needed = {arg.number: arg for value in self.body for arg in value.args}
        inside = {value.number for value in self.body} | placeholders
        captured = [arg for number, arg in needed.items() if number not in inside]
        region = Region(
            self.axis,
            tuple(element for _, element in self.elements.values()),
            tuple(c.placeholder for c in carried),
            tuple(self.body),
            tuple(following),
            tuple(outputs),
            backwards,
        )
        whole = build.make(
            "region",
            (*sequences, *(c.initial for c in carried), *captured),
            (len(following) + len(outputs),),
            shape=(),
            batched=False,
            axes=(),
            fresh=region,
        )
        whole.region = region
        whole.section = None
        for at, (value, output) in enumerate(zip(kept, outputs, strict=True)):
            item = build.make(
                "item",
                (whole,),
                (len(following) + at,),
                shape=value.shape,
                batched=value.batched,
                axes=in_order((*output.axes, self.axis)),
            )
            build.name(item, *(f"{python_name(hint)}_all" for hint in value.hints))
            self.closing.made[value.number] = item
        for value in members:
            if self.closing._is_hoisted(value):
                self.closing.made[value.number] = self.closing.made[self.closing._noise(value).number]
