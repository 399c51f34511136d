"""Loops: a part of a plan that is computed once for each place of an axis, with values carried from place to place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgcompile.diagnostics import InternalError
from pgcompile.plan.ops import NOISE
from pgcompile.plan.values import Axis, Value, live_values

if TYPE_CHECKING:
    from pgcompile.plan.builder import Builder

PLACEHOLDER = "placeholder"


@dataclass(frozen=True, eq=False)
class Region:
    """A loop over an axis.

    Its value takes the sequences, what is carried into the first turn, and everything else that the body needs and that
    is the same in each turn: that is computed before the loop. The items of its value are what is carried out of the
    last turn, then the outputs of all turns along the axis.

    Args:
        axis: what the loop runs over; None where the body is a function of what is carried, which is differentiated.
        elements: in the body, the place of each sequence whose turn it is.
        carried: in the body, what comes from the turn before.
        body: the values of one turn, in order.
        following: what is carried to the next turn, one for each of `carried`.
        outputs: what is kept of each turn.
        backwards: whether it goes from the last place to the first.
    """

    axis: Axis | None
    elements: tuple[Value, ...]
    carried: tuple[Value, ...]
    body: tuple[Value, ...]
    following: tuple[Value, ...]
    outputs: tuple[Value, ...]
    backwards: bool = False


Turn = Callable[[list[Value], list[Value]], tuple[list[Value], list[Value]]]
"""Makes the values of one turn of the elements and of what is carried: what is carried on, and what is kept."""


def loop(
    build: "Builder", axis: Axis, sequences: Sequence[Value], initial: Sequence[Value], turn: Turn
) -> tuple[list[Value], list[Value]]:
    """A loop over an axis, in its order.

    Args:
        build: where values are made.
        axis: what the loop runs over.
        sequences: values that have the axis as their first dimension.
        initial: what is carried into the first turn.
        turn: makes the values of one turn; called once.

    Returns:
        What is carried out of the last turn, and the outputs of all turns with the axis as their first dimension.

    Raises:
        InternalError: a sequence lacks the axis, or what is carried changes its shape from turn to turn.
    """
    if any(not sequence.axes or sequence.axes[0] is not axis for sequence in sequences):
        raise InternalError("a sequence of a loop does not begin with its axis")
    start = len(build.values)
    elements = [_placeholder(build, axis, "element", i, value) for i, value in enumerate(sequences)]
    carried = [_placeholder(build, axis, "carried", i, value) for i, value in enumerate(initial)]
    following, outputs = turn(elements, carried)
    for before, after in zip(initial, following, strict=True):
        if (before.shape, before.axes, before.batched) != (after.shape, after.axes, after.batched):
            raise InternalError(f"what a loop carries changes from {before.shape} to {after.shape}")
    body = _body([*following, *outputs], {*elements, *carried}, start)
    inside = {id(value) for value in (*body, *elements, *carried)}
    needed = [arg for value in body for arg in value.args] + [*following, *outputs]
    captured = [value for value in dict.fromkeys(needed) if id(value) not in inside]
    region = Region(axis, tuple(elements), tuple(carried), tuple(body), tuple(following), tuple(outputs))
    results = len(following) + len(outputs)
    whole = build.make(
        "region", (*sequences, *initial, *captured), (results,), shape=(), batched=False, axes=(), fresh=region
    )
    whole.region = region
    last = [
        build.make("item", (whole,), (i,), shape=value.shape, batched=value.batched, axes=value.axes)
        for i, value in enumerate(following)
    ]
    kept = [
        build.make(
            "item",
            (whole,),
            (len(following) + i,),
            shape=value.shape,
            batched=value.batched,
            axes=(axis, *value.axes),
        )
        for i, value in enumerate(outputs)
    ]
    for item, before, after in zip(last, initial, following, strict=True):
        build.name(item, *(after.hints or before.hints))
    for item, value in zip(kept, outputs, strict=True):
        build.name(item, *(f"{hint}_all" for hint in value.hints))
    return last, kept


def derivative(build: "Builder", op: str, at: Value, function: Callable[[Value], Value]) -> Value:
    """A derivative of a function of one value.

    Args:
        build: where values are made.
        op: `gradient` of a number, or `jacobian` of a vector.
        at: the value, which has every axis that the function's value has.
        function: makes the function's value of its argument; called once.
    """
    argument = _placeholder(build, None, "argument", 0, at)
    result = function(argument)
    body = _body([result], {argument}, len(build.values))
    inside = {id(value) for value in (*body, argument)}
    captured = [v for v in dict.fromkeys([*(arg for b in body for arg in b.args), result]) if id(v) not in inside]
    region = Region(None, (), (argument,), tuple(body), (), (result,))
    shape = at.shape if op == "gradient" else (*result.shape, *at.shape)
    whole = build.make(op, (at, *captured), (result.rank,), shape=shape, batched=at.batched, axes=at.axes, fresh=region)
    whole.region = region
    return whole


def _placeholder(build: "Builder", axis: Axis | None, kind: str, position: int, value: Value) -> Value:
    axes = value.axes[1:] if kind == "element" else value.axes
    made = build.make(
        PLACEHOLDER,
        (),
        (kind, position),
        shape=value.shape,
        batched=value.batched,
        axes=axes,
        fresh=(axis, kind, position, len(build.values)),
    )
    names = value.hints or ([str(value.attributes[0])] if value.op == "argument" else [])
    ending = {"carried": "", "element": "_here", "argument": "_at"}[kind]
    made.hints.extend(f"{name}{ending}" for name in names)
    return made


def _body(results: list[Value], placeholders: set[Value], start: int) -> list[Value]:
    """The values that change from turn to turn: those that depend on a placeholder, and draws."""
    changing = set(placeholders)
    for value in live_values(results):
        if (value.op in NOISE and value.number >= start) or any(arg in changing for arg in value.args):
            changing.add(value)
    return sorted(changing - placeholders, key=lambda value: value.number)
