"""Nets, segment by segment, on inputs of one batch dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pgcompile.model.nets import ExprSegment, ExternNetwork, FunctionSegment, ModuleSegment, Net, NetSegment
from pgcompile.reference.fields import Field, joined
from pgcompile.reference.scopes import Scope, elementwise
from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.reference.expressions import Expressions


def layer_tensor(expressions: Expressions, call: tree.Call) -> Field:
    """The bias and the matrix of a linear net, from its values at the origin and the unit vectors."""
    assert isinstance(call.args[0].value, tree.Name)
    name = call.args[0].value.id
    net = expressions.model.nets[name]
    assert isinstance(net, Net) and net.input_spaces is not None
    size = sum(space.shape[-1] if space.shape else 1 for space in net.input_spaces)
    points = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
    values = apply_net(expressions, name, [Field(points, 1)])
    assert isinstance(values, Tensor)
    return Field((values[1:] - values[0]).mT, 2) if call.name == "weight" else Field(values[0], 1)


def call_net(expressions: Expressions, call: tree.Call, scope: Scope) -> Field | tuple[Field, ...]:
    """A net on its inputs; leading dimensions are flattened, so that any layer can take them."""
    arguments = [expressions.evaluate(a.value, scope) for a in call.args]
    leads = [f.tensor.shape[: f.tensor.ndim - f.rank] for f in arguments]
    lead = torch.broadcast_shapes(*leads)
    flat = [
        f.tensor.expand(*lead, *f.tensor.shape[f.tensor.ndim - f.rank :]).flatten(0, len(lead) - 1)
        if lead
        else f.tensor.unsqueeze(0)
        for f in arguments
    ]
    result = apply_net(expressions, call.name, [Field(t, f.rank) for t, f in zip(flat, arguments, strict=True)])

    def restored(value: Tensor) -> Field:
        return Field(value.reshape(*lead, *value.shape[1:]), value.ndim - 1)

    return tuple(map(restored, result)) if isinstance(result, tuple) else restored(result)


def apply_net(expressions: Expressions, name: str, inputs: list[Field]) -> Tensor | tuple[Tensor, ...]:
    """A net on inputs of one batch dimension, segment by segment."""
    net = expressions.model.nets[name]
    if isinstance(net, ExternNetwork):
        return expressions.modules[name](*(f.tensor for f in inputs))
    value: Tensor | None = None
    for segment in net.segments or ():
        match segment:
            case ExprSegment(expr):
                local = dict(zip(net.inputs or (), inputs, strict=True))
                spaces = dict(zip(net.inputs or (), net.input_spaces or (), strict=True))
                found = expressions.evaluate(expr, Scope(local.__getitem__, (), spaces))
                value = found.tensor
            case ModuleSegment(attribute=attribute) if segment.cell_states:
                states = [f.tensor for f in inputs[-segment.cell_states :]]
                entering = inputs[: -segment.cell_states]
                side_by_side = torch.cat([f.tensor if f.rank else f.tensor.unsqueeze(-1) for f in entering], -1)
                return expressions.modules[attribute](side_by_side, states[0] if len(states) == 1 else tuple(states))
            case ModuleSegment(attribute=attribute):
                given = joined(inputs) if value is None else value
                if len(segment.input_shape) == 1 and given.ndim == 1:
                    given = given.unsqueeze(-1)  # a number is a vector of one
                result = expressions.modules[attribute](given)
                assert isinstance(result, Tensor)
                value = result
            case FunctionSegment("softmax" | "log_softmax" as function):
                value = getattr(torch, function)(joined(inputs) if value is None else value, -1)
            case FunctionSegment(function):
                value = elementwise(function)(joined(inputs) if value is None else value)
            case NetSegment(other):
                given = joined(inputs) if value is None else value
                inner = apply_net(expressions, other, [Field(given, given.ndim - 1)])
                assert isinstance(inner, Tensor)
                value = inner
    return joined(inputs) if value is None else value
