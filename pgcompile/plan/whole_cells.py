"""Recurrent cells over what is known before the loop: one call of torch's recurrent net, and no loop."""

from typing import TYPE_CHECKING

from pgcompile.plan.values import Axis, Value

if TYPE_CHECKING:
    from pgcompile.plan.recurrences import Closing, Delay

_VIEWS = ("cell", "flatten_batch", "unflatten_batch", "item")


def whole_cell(closing: "Closing", members: list[Value], delays: "list[tuple[Value, str, Delay]]", axis: Axis) -> bool:
    """Compute the states of a cell at all places, where it alone recurs; True if it was.

    Args:
        closing: knows what is computed before.
        members: the values of the loop.
        delays: its variables at other places, with their names.
        axis: of the loop.
    """
    group = {value.number for value in members}
    cells = [value for value in members if value.op == "cell"]
    moved = {value.number for value, _, _ in delays}
    if len(cells) != 1 or any(v.op not in _VIEWS and v.number not in moved for v in members):
        return False
    (cell,) = cells
    x, *states = (arg.args[0] if arg.op == "flatten_batch" else arg for arg in cell.args)
    if x.number in group or closing.made[x.number].axes != (axis,):
        return False
    sources = [closing.sources[name] for _, name, _ in delays]
    initial: list[Value] = []
    for at, state in enumerate(states):
        delay = next((found for value, _, found in delays if value is state), None)
        if delay is None or abs(delay.offset) != 1 or state.axes != (axis,):
            return False
        source = next(s for (value, _, _), s in zip(delays, sources, strict=True) if value is state)
        if not _is_state(source, cell, at, len(states)):
            return False
        initial.append(closing.made[closing.starts(delay)[0].number])
    # torch gives every state of h, and the last one only of an LSTM's c.
    shown = [v for v in members if closing.users.get(v.number, set()) - group]
    known = {sources[next(i for i, (v, _, _) in enumerate(delays) if v is states[0])].number, states[0].number}
    if len(delays) != len(states) or any(v.number not in known for v in shown):
        return False
    build, source = closing.build, closing.values[min(known - moved)]
    with build.section(cell.section or "", *cell.origins):
        args = (closing.made[x.number], *initial)
        attributes = (str(cell.attributes[0]), delays[0][2].offset > 0)
        whole = build.make("over_cells", args, attributes, shape=source.shape, batched=source.batched, axes=(axis,))
    build.name(whole, *(f"{hint}_all" for hint in source.hints), materialize=True)
    closing.made[source.number] = whole
    closing.made.update({v.number: whole for v in members if v.number not in {*moved, source.number}})
    for value, _, _ in delays:
        closing.made[value.number] = closing.remade(value)
    return True


def _is_state(source: Value, cell: Value, at: int, count: int) -> bool:
    """True if a variable is one of the states that a cell gives."""
    inside = source.args[0] if source.op == "unflatten_batch" else source
    if count == 1:
        return inside is cell
    return inside.op == "item" and inside.args[0] is cell and inside.attributes[0] == at
