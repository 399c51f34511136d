"""The values of one turn of a loop, and what is kept of all turns."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgcompile.plan.after_loops import kept_of
from pgcompile.plan.builder import Builder, in_order
from pgcompile.plan.ops import LEAVES
from pgcompile.plan.region import PLACEHOLDER, Region
from pgcompile.plan.split_products import split
from pgcompile.plan.values import Attribute, Axis, Value, live_values
from pgcompile.syntax.places import python_name

if TYPE_CHECKING:
    from pgcompile.plan.recurrences import Closing, Delay


@dataclass
class _Carried:
    """A variable that is carried from turn to turn, at one distance."""

    initial: Value
    placeholder: Value
    source: Value
    distance: int


@dataclass
class LoopBody:
    """The values of one turn."""

    closing: "Closing"
    group: frozenset[int]
    axis: Axis
    inside: dict[int, Value] = field(default_factory=dict)
    elements: dict[int, tuple[Value, Value]] = field(default_factory=dict)
    body: list[Value] = field(default_factory=list)
    stepped: set[int] = field(default_factory=set)
    """The cells whose step is computed from their gates, for any batch."""

    @property
    def build(self) -> Builder:
        """Makes the values of the method."""
        return self.closing.build

    @contextmanager
    def stamped(self, value: Value) -> Iterator[None]:
        """A section of the plan: values made inside have the origins and the section of `value`."""
        with self.build.section(value.section or "", *value.origins):
            yield

    def own(self, value: Value) -> Value:
        """A new value of the turn, and what lines up its arguments."""
        known = {v.number for v in self.body}
        for arg in value.args:
            if arg.number not in known and self._changes(arg):
                self.own(arg)
        self.body.append(value)
        return value

    def _changes(self, value: Value) -> bool:
        """True if a new value is made of others of the turn, but none of the program's."""
        known = {v.number for v in self.body}
        return value.op != PLACEHOLDER and any(
            arg.number in known or arg.op == PLACEHOLDER or self._changes(arg) for arg in value.args
        )

    def outside(self, value: Value) -> Value:
        """A new value that is computed before the loop, as a turn has it."""
        if self.axis in value.axes:
            return self._element(value)
        return self.build.name(value, materialize=True)

    def carry(self, delays: "Iterable[tuple[Value, str, Delay]]") -> list[_Carried]:
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
            starts = [self.closing.made[s.number] for s in self.closing.starts(delay)]
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
        if self.closing.is_noise(value):
            noise = self.closing.made[self.closing.noise_before(value).number]
            self.inside[value.number] = self._element(noise)
            return self.inside[value.number]
        made = self._in_parts(value)
        if made is not None:
            self.inside[value.number] = made
            return made
        args = tuple(self.argument(arg) for arg in value.args)
        if value.op == "unsqueeze_axes" and value.axes:
            made = self._realigned(value, args[0])
        else:
            made = self.closing.copied(value, args, self._without(value.axes), self._attributes(value))
        self.inside[value.number] = made
        self.body.append(made)
        return made

    def _in_parts(self, value: Value) -> Value | None:
        """A net or cell whose product is taken in parts, or the state that such a cell gives; None of anything else."""
        if value.op == "unflatten_batch":
            state = value.args[0]
            cell = state.args[0] if state.op == "item" else state
            if cell.number in self.stepped:
                return self.inside[state.number]
        made = split(self, value, self.closing.modules)
        if made is not None:
            self.build.name(made, *value.hints)
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

    def argument(self, arg: Value) -> Value:
        """An argument of a value of the loop: of its turn, a place of what came before it, or the same each turn."""
        if arg.number in self.group:
            return self.value(arg)
        outside = self.closing.made[arg.number]
        if outside.op in ("flatten_batch", "unsqueeze") and self.axis in outside.axes and outside.args:
            # Rows of all places would not be those of one, and a view costs nothing in each turn.
            rows = self.closing.copied(
                outside, (self.argument(arg.args[0]),), self._without(outside.axes), outside.attributes
            )
            self.body.append(rows)
            return rows
        if self.axis in outside.axes:
            return self._element(outside)
        if outside.op == "unsqueeze_axes" and self.axis in outside.aligned_to:
            outside = self._realigned(outside, outside.args[0])
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
        wanted = [value for value in members if self.closing.users.get(value.number, set()) - self.group]
        numbers = kept_of(wanted, self.group, self.closing.is_noise, self._source)
        kept = [value for value in members if value.number in numbers]
        outputs = [self.inside[value.number] for value in kept]
        live = {value.number for value in live_values([*following, *outputs])}
        turn = [value for value in self.body if value.number in live]
        elements = [pair for pair in self.elements.values() if pair[1].number in live]
        placeholders = {c.placeholder.number for c in carried} | {e.number for _, e in elements}
        needed = {arg.number: arg for value in turn for arg in value.args}
        inside = {value.number for value in turn} | placeholders
        captured = [arg for number, arg in needed.items() if number not in inside]
        region = Region(
            self.axis,
            tuple(element for _, element in elements),
            tuple(c.placeholder for c in carried),
            tuple(turn),
            tuple(following),
            tuple(outputs),
            backwards,
        )
        whole = build.make(
            "region",
            (*(sequence for sequence, _ in elements), *(c.initial for c in carried), *captured),
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
            if self.closing.is_noise(value):
                self.closing.made[value.number] = self.closing.made[self.closing.noise_before(value).number]
        self._follow(members, wanted, numbers)

    def _follow(self, members: list[Value], wanted: list[Value], kept: set[int]) -> None:
        """Compute what follows from what is kept of the loop from it, for all places at once."""
        known = {n: self.closing.made[n] for n in kept}
        known |= {value.number: self.closing.made[value.number] for value in members if self.closing.is_noise(value)}

        def again(value: Value) -> Value:
            if value.number not in self.group:
                return self.closing.made[value.number]
            source = self._source(value)
            if value.number not in known and source is not None:
                self.closing.made[source.number] = again(source)
                known[value.number] = self.closing.remade(value)
            elif value.number not in known:
                known[value.number] = self.closing.copied(
                    value, tuple(map(again, value.args)), value.axes, value.attributes
                )
            return known[value.number]

        for value in wanted:
            self.closing.made[value.number] = again(value)

    def _source(self, value: Value) -> Value | None:
        """The variable that a value is at another place."""
        found = self.closing.delay_of(value)
        return None if found is None else self.closing.sources[found[0]]
