"""A loop over places as a method of its own: it can be compiled by itself, some places at a time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pgcompile.backends.torch.layout import Line, collection, definition, statement
from pgcompile.backends.torch.loops import Inside, Loop, Names, Statements, assigned, in_order_of, loop_head, place_in
from pgcompile.backends.torch.printer import Text
from pgcompile.diagnostics import InternalError
from pgcompile.plan.region import Region
from pgcompile.plan.values import Attribute, Axis, InTurns, Noise, Value


@dataclass
class Turns:
    """Writes one loop.

    Args:
        value: the loop.
        region: its parts.
        names: of its results that are used, by their places.
        texts: sources of the values before it.
        taken: names that the method is not to use for its own.
        method: the name of the method.
    """

    value: Value
    region: Region
    names: Mapping[Attribute, str]
    texts: Mapping[int, Text]
    taken: set[str]
    method: str
    _passed: dict[str, str] = field(default_factory=dict)
    """Further arguments of the method: their sources at the call, by the names of the parameters."""

    _sizes: set[str] = field(default_factory=set)

    def write(self, inside: Inside) -> tuple[Loop, list[Line]]:
        """The statements that call it, and the lines of the method.

        Args:
            inside: makes the statements of a turn.
        """
        region, count = self.region, len(self.region.carried)
        free = Names({*self.taken, "carried", "places", "kept", *map(str, self.names.values())})
        given = self._given(free)
        carried = [free.name(p, "state") for p in region.carried]
        elements = [free.name(p, "element") for p in region.elements]
        kept = [(self.names[count + i], r) for i, r in enumerate(region.outputs) if count + i in self.names]
        for placeholder, name in zip((*region.carried, *region.elements), (*carried, *elements), strict=True):
            given[placeholder.number] = Text(name)
        body = inside([*region.following, *(result for _, result in kept)], free.taken, list(region.body), given)
        results = [text.text for text in body.write()]
        self._add_sizes(body)
        outputs = dict(zip([name for name, _ in kept], results[count:], strict=True))
        lines = self._method(body, carried, elements, results[:count], outputs)
        noise: list[Noise] = [InTurns(tuple(body.noise), str(self.axis.owner), region.backwards)] if body.noise else []
        return Loop(self._call(kept), noise), lines

    @property
    def axis(self) -> Axis:
        """The index of the loop, with its length."""
        if self.region.axis is None:
            raise InternalError("a loop over places has no index")
        return self.region.axis

    def _given(self, free: Names) -> dict[int, Text]:
        """The sources of what stands before the loop, as the method has them."""
        given = dict(self.texts)
        captured = self.value.args[len(self.region.elements) + len(self.region.carried) :]
        free.taken |= {text for a in captured if (text := self.texts[a.number].text).isidentifier()}
        for arg in captured:
            text = self.texts[arg.number].text
            if not _is_of_class(text):
                name = text if text.isidentifier() else free.name(arg, "given")
                self._passed[name], given[arg.number] = text, Text(name)
        return given

    def _add_sizes(self, body: Statements) -> None:
        """Pass on the numbers of places that the turns speak of."""
        axes = [a for v in (*self.region.body, *self.value.args) for a in v.axes]
        spoken = " ".join(line.text.partition("#")[0] for line in body.lines)
        for size in sorted({str(axis.extent) for axis in (*axes, self.axis)}):
            if size.isidentifier() and re.search(rf"\b{size}\b", spoken):
                self._sizes.add(size)
                self._passed.setdefault(size, size)

    def _method(
        self, body: Statements, carried: list[str], elements: list[str], following: list[str], outputs: dict[str, str]
    ) -> list[Line]:
        given = "".join(f", {name}: {'int' if name in self._sizes else 'Tensor'}" for name in self._passed)
        lines = definition(f"    def {self.method}(self, carried: tuple, places: tuple{given}) -> tuple:")
        lines += statement('"""Places in turn: what is carried on, and what is kept of each."""', 8)
        lines += statement(f"{_tuple(carried)} = carried", 8)
        for name in outputs:
            lines += statement(f"{name} = []", 8)
        if len(elements) == 1:
            lines += statement(f"for {elements[0]} in places[0]:", 8)
        else:
            lines += loop_head(elements, ["*places"], self.axis.extent, 8)
        lines += body.lines
        for name, text in outputs.items():
            lines += statement(f"{name}.append({text})", body.indent)
        changed = [(name, text) for name, text in zip(carried, following, strict=True) if name != text]
        if changed:
            lines += assigned(changed, body.indent)
        stacked = [f"torch.stack({name})" for name in outputs]
        if len(stacked) > 1:
            lines += collection("kept = (", stacked, ")", 8)
        elif stacked:
            lines += statement(f"kept = {_tuple(stacked)}", 8)
        return lines + statement(f"return {_tuple(carried)}, {'kept' if outputs else '()'}", 8)

    def _call(self, kept: list[tuple[str, Value]]) -> list[Line]:
        count, entered = len(self.region.carried), self.value.args[: len(self.region.elements)]
        backwards = self.region.backwards
        sequences = [in_order_of(self.texts[a.number], a, self.axis, backwards, tuples=True) for a in entered]
        initial = [self.texts[a.number].text for a in self.value.args[len(entered) :][:count]]
        last = [self.names.get(i, "_") for i in range(count)]
        left = _tuple(last) if any(name != "_" for name in last) else "_"
        right = _tuple([name for name, _ in kept]) if kept else "_"
        given = [_tuple(initial), _tuple(sequences), *self._passed.values()]
        lines = collection(f"{left}, {right} = self.{self.method}(", given, ")", 8)
        for name, result in kept:
            at = place_in(self.axis, result)
            ways = ".flip(0)" * backwards + (f".movedim(0, {at})" if at else "")
            lines += statement(f"{name} = {name}{ways}", 8) if ways else []
        return lines


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _is_of_class(text: str) -> bool:
    """True if a text speaks of the class and of numbers only, and means the same in each of its methods."""
    return not re.findall(r"(?<![\w.])[^\W\d]\w*", re.sub(r"(?<!\w)(self|torch|math|F)\.", ".", text))
