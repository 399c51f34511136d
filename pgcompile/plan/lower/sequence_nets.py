"""Nets of whole sequences, in one call: all places along an axis, or the last place of what is given."""

from typing import TYPE_CHECKING

from pgcompile.diagnostics import InternalError
from pgcompile.model.nets import FunctionSegment, ModuleSegment, Net, NetSegment
from pgcompile.plan.expansion import expand_full, joined
from pgcompile.plan.lower.function_calls import function_value
from pgcompile.plan.values import AxisKind, Value
from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.plan.lower.expressions import ExpressionLowering


def sequence_value(
    whole: "ExpressionLowering", net: Net, values: list[Value], shapes: tuple[tuple[int, ...], ...], expr: tree.Along
) -> Value:
    """The result of a net at each place: of all places, or of those up to it.

    Args:
        whole: the formula.
        net: the net.
        values: its inputs, which have the axis of the index, or (in what is computed for one place) its places.
        shapes: of the inputs, their places first.
        expr: the call, and how far it reaches.
    """
    build = whole.builder
    places = next((axis for axis in values[0].axes if axis.kind is AxisKind.PLATE and axis.owner == expr.index), None)
    if places is None:
        return _at_last(whole, net, values, shapes, expr)
    value = _through(whole, net, values, shapes)
    if expr.reach != "past":
        return value
    assert build.device is not None
    axes = tuple(axis for axis in value.axes if axis is not places)
    start = expand_full(build, build.device(), value.shape, axes, None)
    return build.make(
        "moved",
        (value, start),
        (-1, value.axes.index(places)),
        shape=value.shape,
        batched=value.batched,
        axes=value.axes,
    )


def _through(whole: "ExpressionLowering", net: Net, values: list[Value], shapes: tuple[tuple[int, ...], ...]) -> Value:
    build = whole.builder
    value = joined(build, values)
    segments = net.segments_for(shapes)
    assert segments is not None
    at = next(i for i, axis in enumerate(value.axes) if axis.kind is AxisKind.PLATE)
    for segment in segments:
        match segment:
            case ModuleSegment():
                attributes = (whole.tensors.module(segment), at, value.rank)
                shape = segment.output.shape[1:]
                value = build.make("over_sequence", (value,), attributes, shape=shape)
            case FunctionSegment(function):
                value = function_value(build, function, [value], {})
            case NetSegment(other):
                inner = whole.model.nets[other]
                assert isinstance(inner, Net)
                value = _through(whole, inner, [value], ((shapes[0][0], *value.shape),))
            case _:
                raise InternalError(f"{net.name} was let through as a net of sequences")
    return value


def _at_last(
    whole: "ExpressionLowering",
    net: Net,
    values: list[Value],
    shapes: tuple[tuple[int, ...], ...],
    expr: tree.Along,
) -> Value:
    """The last place of a net's result; zeros where there is none yet."""
    build = whole.builder
    value = joined(build, values)
    segments = net.segments_for(shapes)
    assert segments is not None
    if expr.reach == "all" or any(not isinstance(segment, ModuleSegment) for segment in segments) or len(segments) > 1:
        # Its places are computed by the formula of a variable, which others are conditioned on.
        raise InternalError(f"{net.name} of a whole sequence stands where one place is computed")
    (segment,) = segments
    assert isinstance(segment, ModuleSegment)
    shape = segment.output.shape[1:]
    attributes = (whole.tensors.module(segment), value.rank - 1, shape)
    return build.make("after_past", (value,), attributes, shape=shape)
