"""The statements of a loop: its start, its turns, and what is kept of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pgcompile.backends.torch.layout import WIDTH, Line, collection, statement
from pgcompile.backends.torch.printer import Text
from pgcompile.model.names import identifier
from pgcompile.plan.builder import in_order
from pgcompile.plan.region import Region
from pgcompile.plan.values import Attribute, Axis, AxisKind, InTurns, Noise, Value


class Statements(Protocol):
    """The statements of some values, as `Body` writes them."""

    indent: int
    lines: list[Line]
    noise: list[Noise]

    def write(self) -> list[Text]:
        """Fill `lines`; the result is the source of each output."""
        ...


Inside = Callable[[list[Value], set[str], list[Value], Mapping[int, Text]], Statements]
"""Statements one level further in: of some outputs, with names that are taken, values to write, and texts of others."""


@dataclass(frozen=True)
class Loop:
    """The statements of a loop, and its draws in the order in which they are made."""

    lines: list[Line]
    noise: list[Noise]


def loop(
    inside: Inside,
    value: Value,
    region: Region,
    names: Mapping[Attribute, str],
    texts: Mapping[int, Text],
    taken: set[str],
) -> Loop:
    """The statements of a loop.

    Args:
        inside: makes the statements of a turn.
        value: the loop.
        region: its parts.
        names: of its results that are used, by their places.
        texts: sources of the values before it.
        taken: names that the method uses.
    """
    free = Names({*taken})
    carried = [names.get(i) or free.name(p, "carried") for i, p in enumerate(region.carried)]
    elements = [free.name(p, "element") for p in region.elements]
    count = len(region.carried)
    axis = region.axis
    turns = axis.extent if axis is not None else 1
    backwards = region.backwards
    kept = [(names[count + i], result) for i, result in enumerate(region.outputs) if count + i in names]
    given = dict(texts)
    for placeholder, name in zip((*region.carried, *region.elements), (*carried, *elements), strict=True):
        given[placeholder.number] = Text(name)

    body = inside([*region.following, *(result for _, result in kept)], free.taken, list(region.body), given)
    results = [text.text for text in body.write()]
    indent = body.indent - 4
    following, outputs = results[:count], results[count:]

    sequences = [in_order_of(texts[arg.number], arg, axis, backwards) for arg in value.args[: len(elements)]]
    initial = [texts[arg.number].text for arg in value.args[len(elements) :][:count]]
    lines: list[Line] = []
    for name, first in zip(carried, initial, strict=True):
        lines += statement(f"{name} = {first}", indent)
    for name, _ in kept:
        lines += statement(f"{name} = []", indent)
    lines += loop_head(elements, sequences, turns, indent)
    lines += body.lines
    for (name, _), text in zip(kept, outputs, strict=True):
        lines += statement(f"{name}.append({text})", body.indent)
    changed = [(name, text) for name, text in zip(carried, following, strict=True) if name != text]
    if changed:
        lines += assigned(changed, body.indent)
    for name, result in kept:
        place = place_in(axis, result) if axis is not None and axis.kind is AxisKind.PLATE else 0
        at = f", {place}" if place else ""
        lines += statement(f"{name} = torch.stack({name}{'[::-1]' if backwards else ''}{at})", indent)
    if axis is not None and axis.kind is AxisKind.PLATE:
        noise: list[Noise] = [InTurns(tuple(body.noise), str(axis.owner), backwards)] if body.noise else []
        return Loop(lines, noise)
    assert isinstance(turns, int)
    return Loop(lines, body.noise * turns)


def assigned(pairs: list[tuple[str, str]], indent: int) -> list[Line]:
    """`a, b = f(a), g(b)`, over several lines where one is too short."""
    left = ", ".join(name for name, _ in pairs)
    right = [text for _, text in pairs]
    whole = f"{left} = {', '.join(right)}"
    if len(pairs) == 1 or indent + len(whole) <= WIDTH:
        return statement(whole, indent)
    return collection(f"{left} = (", right, ")", indent)


def place_in(axis: Axis, result: Value) -> int:
    """The dimension at which the places of a loop stand in what is kept of all its turns."""
    return in_order((*result.axes, axis)).index(axis)


def derivative(
    inside: Inside, value: Value, region: Region, name: str, texts: Mapping[int, Text], taken: set[str]
) -> Loop:
    """The statements of a derivative: a function of its own, and what differentiates it.

    Args:
        inside: makes the statements of the function.
        value: the derivative.
        region: the function.
        name: of the derivative.
        texts: sources of the values before it.
        taken: names that the method uses.
    """
    free = Names({*taken})
    (argument,), (result,) = region.carried, region.outputs
    at = free.name(argument, "argument")
    function = free.name(result, "value")
    given = {**texts, argument.number: Text(at)}
    body = inside([result], {*free.taken, name}, list(region.body), given)
    (text,) = body.write()
    indent = body.indent - 4
    lines = [Line(""), *statement(f"def {function}({at}):", indent), *body.lines]
    lines += [*statement(f"return {text.text}", body.indent), Line("")]
    count = f", {result.shape[0]}" if value.op == "jacobian" else ""
    lines += statement(f"{name} = {value.op}({function}, {texts[value.args[0].number].text}{count})", indent)
    return Loop(lines, body.noise)


def in_order_of(text: Text, value: Value, axis: Axis | None, backwards: bool, *, tuples: bool = False) -> str:
    """The places of a sequence in the order of the loop."""
    at = value.axes.index(axis) if axis in value.axes else 0
    if backwards and tuples:
        return f"{text.atom}.unbind({at or ''})[::-1]"
    if backwards:
        return f"reversed({text.atom}.unbind({at or ''}))"
    return f"{text.atom}.unbind({at})" if at else text.text


def loop_head(elements: list[str], sequences: list[str], size: int | str, indent: int) -> list[Line]:
    match elements:
        case []:
            return statement(f"for _ in range({size}):", indent)
        case [element]:
            return statement(f"for {element} in {sequences[0]}:", indent)
        case _:
            names = ", ".join(elements)
            head = f"for {names} in zip("
            if indent + len(head) <= WIDTH:
                return collection(head, [*sequences, "strict=True"], "):", indent)
            # The names do not fit on a line: they are taken apart in the loop.
            whole = collection("for values in zip(", [*sequences, "strict=True"], "):", indent)
            return [*whole, *statement(f"{names} = values", indent + 4)]


@dataclass
class Names:
    """Names of one loop that nothing else in the method has."""

    taken: set[str]

    def name(self, value: Value, otherwise: str) -> str:
        first = identifier(value.hints[0] if value.hints else otherwise)
        name, count = first, 1
        while name in self.taken:
            count += 1
            name = f"{first}_{count}"
        self.taken.add(name)
        return name
