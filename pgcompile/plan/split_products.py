"""Linear layers inside a loop whose input is partly known before it: that part of the product is taken once.

`W [x, h] + b` is `W_x x + b`, for all places at once before the loop, plus `W_h h` in each turn. So it is for the first
layer of a net, and for the input of a recurrent cell (Cho et al. 2014; Hochreiter & Schmidhuber 1997), whose gates are
then computed from both halves.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgcompile.model.nets import LayerUse, ModuleSegment
from pgcompile.plan.values import Value
from pgcompile.vocabulary.layers import ACTIVATIONS

if TYPE_CHECKING:
    from pgcompile.plan.loop_body import LoopBody

_FUNCTIONS = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softplus": "softplus"}
"""Layers that are functions of the plan, where they have no arguments."""

_STEPS = {"GRUCell": ("gru_step", 3), "LSTMCell": ("lstm_step", 4), "RNNCell": ("rnn_step", 1)}
"""The function that makes a cell's next state from its gates, and how many gates there are."""


def split(body: "LoopBody", value: Value, modules: Mapping[str, ModuleSegment]) -> Value | None:
    """A net or a cell of a loop with the known part of its first product taken out; None where there is none.

    Args:
        body: the loop.
        value: a value of it.
        modules: the modules of the class, by their attributes.
    """
    segment = modules.get(str(value.attributes[0])) if value.op in ("module", "body", "cell") else None
    if segment is None or len(value.args) != 1 + segment.cell_states:
        return None
    with body.stamped(value):
        return _cell(body, value, segment) if segment.cell_states else _net(body, value, segment)


def _net(body: "LoopBody", value: Value, segment: ModuleSegment) -> Value | None:
    kept = segment.layers[1:-1] if value.op == "body" else segment.layers[1:]
    if not all(use.layer.name in ACTIVATIONS or _is_linear(use) for use in (segment.layers[0], *kept)):
        return None
    if not _is_linear(segment.layers[0]) or segment.batch_rank is not None:
        return None
    first = segment.attribute if len(segment.layers) == 1 else f"{segment.attribute}[0]"
    bias = None if _option(segment.layers[0], "bias") is False else f"{first}.bias"
    total = _product(body, value.args[0], segment, f"{first}.weight", bias, _width(segment.layers[0]))
    if total is None:
        return None
    for at, use in enumerate(kept, 1):
        total = _layer(body, total, segment, use, at)
    return total


def _cell(body: "LoopBody", value: Value, segment: ModuleSegment) -> Value | None:
    """The step of a cell from the gates that its input gives and from its state."""
    (use,) = segment.layers
    if _option(use, "bias") is False or _option(use, "nonlinearity") not in (None, "tanh"):
        return None
    step, gates = _STEPS[use.layer.name]
    whole, *states = (_rows(arg) for arg in value.args)
    name, size = segment.attribute, gates * _width(use)
    total = _product(body, whole, segment, f"{name}.weight_ih", f"{name}.bias_ih", size)
    if total is None:
        return None
    args = (total, *(body.argument(state) for state in states))
    body.stepped.add(value.number)
    return body.own(body.build.make("cell_step", args, (name, step), shape=value.shape))


def _layer(body: "LoopBody", value: Value, segment: ModuleSegment, use: LayerUse, at: int) -> Value:
    """One layer of a net."""
    function = _FUNCTIONS.get(use.layer.name)
    if function is not None and not use.arguments:
        return body.own(body.build.unary(function, value))
    shape = (_width(use),) if _is_linear(use) else value.shape
    return body.own(body.build.make("layer", (value,), (segment.attribute, at), shape=shape))


def _product(
    body: "LoopBody", whole: Value, segment: ModuleSegment, weight: str, bias: str | None, size: int
) -> Value | None:
    """`W x + b` of joined parts, those that are known before the loop multiplied there."""
    build, name = body.build, segment.attribute
    if whole.op != "cat" or whole.rank != 1:
        return None
    parts, at = [], 0
    for arg in whole.args:
        parts.append((_unspread(body, arg), at, at + arg.shape[-1]))
        at += arg.shape[-1]
    known = [part for part in parts if part[0].number not in body.group]
    if not known or len(known) == len(parts):
        return None
    table = build.attribute(weight, (size, at))
    rest = () if bias is None else (build.attribute(bias, (size,)),)
    total: Value | None = None
    for part, start, stop in known:
        columns = build.make("columns", (table,), (start, stop), shape=(size, stop - start))
        product = build.make("linear", (body.closing.made[part.number], columns, *rest), shape=(size,))
        total = product if total is None else build.binary("add", total, product)
        rest = ()
    assert total is not None
    found = body.outside(build.name(total, f"{name}_before"))
    for part, start, stop in parts:
        if part.number not in body.group:
            continue
        columns = build.make("columns", (table,), (start, stop), shape=(size, stop - start))
        columns = body.outside(build.name(columns, f"{name}_of_{part.hints[0] if part.hints else 'state'}"))
        found = body.own(build.make("add_product", (found, body.argument(part), columns), shape=(size,)))
    return found


def _unspread(body: "LoopBody", part: Value) -> Value:
    """A part without what only repeats it over the dimensions of others, or lines it up with them."""
    while (part.number in body.group and part.op == "expand_lead") or (part.op == "unsqueeze_axes" and part.aligned_to):
        part = part.args[0]
    return part


def _rows(value: Value) -> Value:
    """A value with its own batch dimensions."""
    return value.args[0] if value.op == "flatten_batch" else value


def _is_linear(use: LayerUse) -> bool:
    return use.layer.name == "Linear"


def _width(use: LayerUse) -> int:
    """The size of the result of a linear layer or of the state of a cell."""
    sizes = [number for name, number in use.arguments if name is None]
    assert isinstance(sizes[-1], int)
    return sizes[-1]


def _option(use: LayerUse, name: str) -> object:
    return next((value for key, value in use.arguments if key == name), None)
