"""Variables with indices while a method is planned: all their places at once, and those at other places."""

from functools import partial
from typing import TYPE_CHECKING

from pgcompile.diagnostics import InternalError
from pgcompile.model.dependence import formula_parents
from pgcompile.model.indices import Lag
from pgcompile.model.variable import Variable
from pgcompile.plan.axes import length_name
from pgcompile.plan.builder import in_order
from pgcompile.plan.expansion import expand_full
from pgcompile.plan.recurrences import Delay
from pgcompile.plan.region import PLACEHOLDER
from pgcompile.plan.values import Axis, AxisKind, Value
from pgcompile.syntax import tree
from pgcompile.syntax.places import python_name
from pgcompile.vocabulary.spaces import filling

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def given(lowering: "FactorLowering", name: str) -> Value:
    """A variable as an argument; one with an index has its places before the batch, where loops run over them."""
    shape = lowering.model.spaces[name].shape
    axes = place_axes(lowering, name)
    build = lowering.builder
    lag = lowering.model.indices.lags.get(name)
    if lag is not None and lag.is_run:
        return build.argument(name, (0, *shape[1:]))  # of one place: as many as came before it
    if not axes:
        return build.argument(name, shape)
    whole = build.argument(name, (*(axis.size for axis in axes), *shape))
    ordered = in_order(axes)
    at = tuple(ordered.index(axis) for axis in axes)
    places = build.make("places", (whole,), (len(shape), *at), shape=shape, axes=ordered)
    for index in lowering.model.indices.of(name):
        if (inside := inside_places(lowering, index)) is not None:
            # What stands behind the end may be anything, NaN too: it enters nothing.
            space = lowering.model.spaces[name]
            filled = _constant(lowering, name, filling(space.kind))
            here, value = build.align(inside, places)
            places = build.make("where", (here, value, filled), shape=shape)
    return build.name(places, f"{python_name(name)}_all", materialize=True)


def _constant(lowering: "FactorLowering", name: str, number: float) -> Value:
    """A number among the values of a variable; 0.0 would make floats of indices."""
    text = "0" if lowering.model.spaces[name].kind == "category" else None
    return lowering.builder.constant(number, text)


def inside_places(lowering: "FactorLowering", index: str) -> Value | None:
    """True at the places that a data point's own sequence has; None where all have one length."""
    lengths = lowering.model.indices.ranges[index].lengths
    if lengths is None or lowering.one_place or lowering.builder.sampler:
        return None
    build, axis = lowering.builder, axis_of(lowering, index)
    given = build.argument(lengths, ())
    value = build.make("inside_places", (given,), (axis.extent,), shape=(), axes=(axis,))
    return build.name(value, f"inside_{index}", materialize=True)


def place_axes(lowering: "FactorLowering", name: str) -> tuple[Axis, ...]:
    """The axes of a variable's indices, in the order in which its tensor has them."""
    if lowering.one_place:
        return ()
    return tuple(axis_of(lowering, index) for index in lowering.model.indices.of(name))


def axis_of(lowering: "FactorLowering", index: str) -> Axis:
    """The axis of the places of an index."""
    ranges = lowering.model.indices.ranges
    return lowering.axes.places(ranges[index], list(ranges).index(index))


def elsewhere(lowering: "FactorLowering", name: str) -> Value:
    """A variable at another place of an index."""
    known = lowering.recurrences.delays.get(name)
    if known is not None:
        return known.value
    lag = lowering.model.indices.lags[name]
    if lag.is_run:
        return lowering.variable(Variable(lag.of), lowering.path)  # all places, of which a net takes what it may
    if lag.reach:
        return _one(lowering, name, lag)
    axes = in_order((*place_axes(lowering, name), *_sample_axes(lowering, Variable(lag.of))))
    value = lowering.builder.make(
        PLACEHOLDER,
        (),
        ("elsewhere", name),
        shape=lowering.model.spaces[name].shape,
        batched=lowering.builder.needs_batch,
        axes=axes,
    )
    value.hints.append(name)
    starts = tuple(partial(_start, lowering, name, start) for start in lag.starts)
    source = partial(_source, lowering, lag)
    lowering.recurrences.delays[name] = Delay(value, axis_of(lowering, lag.index), lag.offset, source, starts)
    return value


def _one(lowering: "FactorLowering", name: str, lag: Lag) -> Value:
    """The variable at one place that is known."""
    build, axis = lowering.builder, axis_of(lowering, lag.index)
    whole = build.tensor(build.as_tensor(lowering.variable(Variable(lag.of), lowering.path)))
    if axis not in whole.axes:
        return whole
    rest = tuple(a for a in whole.axes if a is not axis)
    at = whole.axes.index(axis)
    if lag.offset < 0 and inside_places(lowering, lag.index) is not None:
        return build.name(_at_own_end(lowering, whole, lag), python_name(name), materialize=True)
    value = build.make("one_place", (whole,), (lag.offset, at), shape=whole.shape, batched=whole.batched, axes=rest)
    return build.name(value, python_name(name), materialize=True)


def _at_own_end(lowering: "FactorLowering", whole: Value, lag: Lag) -> Value:
    """The value at the last place of each data point's own sequence."""
    build, axis = lowering.builder, axis_of(lowering, lag.index)
    lengths = lowering.model.indices.ranges[lag.index].lengths
    assert lengths is not None
    ends = build.make("last_places", (build.argument(lengths, ()),), (axis.extent,), shape=(), axes=(axis,))
    at_end, value = build.align(build.name(ends, "at_end", materialize=True), whole)
    kept = build.make("where", (at_end, value, _constant(lowering, lag.of, 0.0)), shape=whole.shape)
    rest = tuple(a for a in kept.axes if a is not axis)
    return build.make("sum_axis", (kept,), (kept.axes.index(axis),), shape=whole.shape, axes=rest)


def _source(lowering: "FactorLowering", lag: Lag) -> Value:
    """The variable at the place itself; a recurrence from the end starts at the end of each sequence."""
    value = lowering.variable(Variable(lag.of), lowering.path)
    inside = inside_places(lowering, lag.index) if lag.offset > 0 else None
    if inside is None:
        return value
    build = lowering.builder
    here, value, start = build.align_all(
        [inside, build.tensor(value), build.tensor(_start(lowering, lag.of, lag.starts[-1]))]
    )
    return build.make("where", (here, value, start))


def _start(lowering: "FactorLowering", name: str, start: tree.Expr) -> Value:
    """What stands for a variable outside the range; a number among indices would make floats of them all."""
    value = lowering.expressions(lowering.path, {}, ()).lower(start)
    if isinstance(start, tree.Name) or lowering.model.spaces[name].kind != "category":
        return value
    tensor = lowering.builder.tensor(value)
    return lowering.builder.make("as_index", (tensor,), shape=tensor.shape)


def _sample_axes(lowering: "FactorLowering", variable: Variable) -> set[Axis]:
    """The axes of samples that a variable has along its path."""
    found: set[Axis] = set()
    pending, seen = [variable], set()
    while pending:
        here = pending.pop()
        if here in seen:
            continue
        seen.add(here)
        lag = lowering.model.indices.lags.get(here.name)
        draw = lowering.path.get(here)
        if lag is not None:
            pending += [Variable(lag.of), *(Variable(s.id) for s in lag.starts if isinstance(s, tree.Name))]
        elif draw is not None:
            found |= {lowering.axes.samples(draw)} if draw.samples > 1 and here not in draw.enumerated else set()
            pending += [p for a in draw.distribution.atoms for p in a.parents]
        else:
            pending += formula_parents(here, lowering.model) or ()
    return found


def first_place(lowering: "FactorLowering", index: str) -> Value | bool:
    """True at the first place of an index; known in what is computed for one place."""
    if lowering.one_place:
        return lowering.at_first
    build = lowering.builder
    assert build.device is not None
    places = expand_full(build, build.device(), (), (axis_of(lowering, index),), None)
    return build.make("first_place", (places,), shape=(), batched=places.batched, axes=places.axes)


def over_places(lowering: "FactorLowering", value: Value, index: str, *, weighted: bool = True) -> Value:
    """The sum of a value over the places of an index; over data points, as many as there are in all if `weighted`."""
    build, axis = lowering.builder, axis_of(lowering, index)
    inside = inside_places(lowering, index)
    if inside is not None and axis in value.axes:
        a, b = build.align(inside, value)
        value = build.make("where", (a, b, build.constant(0.0)), shape=value.shape)
    if axis not in value.axes:
        return build.binary("mul", place_count(lowering, index), value)
    rest = tuple(a for a in value.axes if a is not axis)
    total = build.make("sum_axis", (value,), (value.axes.index(axis),), shape=value.shape, axes=rest)
    weight = _data_weight(lowering, index) if weighted else None
    return total if weight is None else build.binary("mul", weight, total)


def together(lowering: "FactorLowering", kind: str, index: str, value: Value) -> Value:
    """The sum or the mean of a value over the places of an index, as a formula of a variable says it."""
    if lowering.one_place:
        raise InternalError(f"a {kind} over {index} stands where one place is computed")
    total = over_places(lowering, lowering.builder.tensor(value), index, weighted=False)
    return total if kind == "sum" else lowering.builder.binary("div", total, place_count(lowering, index))


def _data_weight(lowering: "FactorLowering", index: str) -> Value | None:
    """The number of all data points over that of the batch, by which a sum over the batch stands for one over all."""
    known = lowering.model.indices.ranges[index]
    if known.total is None or known.total not in lowering.model.tensors:
        return None
    build = lowering.builder
    count = lowering.tensors.value(build, known.total)
    weight = build.make("data_weight", (count,), (axis_of(lowering, index).extent,), shape=(), batched=False, axes=())
    return build.name(weight, "weight", materialize=True)


def over_all_places(lowering: "FactorLowering", value: Value) -> Value:
    """The sum of a value over all indices that it has."""
    for axis in value.axes:
        if axis.kind is AxisKind.PLATE:
            value = over_places(lowering, value, str(axis.owner))
    return value


def place_count(lowering: "FactorLowering", index: str) -> Value:
    """The number of places of an index."""
    axis = axis_of(lowering, index)
    build = lowering.builder
    lengths = lowering.model.indices.ranges[index].lengths
    if lengths is not None and not build.sampler:
        return build.make("as_float", (build.argument(lengths, ()),), shape=())
    if not axis.name:
        return build.constant(float(axis.size))
    if build.sampler:
        name = length_name(lowering.model.indices.ranges[index])
        return build.make("place_count", (), (name,), shape=(), batched=False, axes=())
    weight = _data_weight(lowering, index)
    if weight is not None:  # it goes into the sum as well
        return build.binary(
            "mul", weight, build.make("place_count", (), (axis.name,), shape=(), batched=False, axes=())
        )
    return build.make("place_count", (), (axis.name,), shape=(), batched=False, axes=())


def path_mean(lowering: "FactorLowering", value: Value) -> Value:
    """The mean over the samples of a path, where a part of a sum depends on it through other places only."""
    for draw in dict.fromkeys(draw for _, draw in lowering.path.bindings):
        axis = lowering.axes.samples(draw) if draw.samples > 1 else None
        if axis is not None and axis in value.axes and axis not in lowering.inside:
            rest = tuple(a for a in value.axes if a is not axis)
            value = lowering.builder.make(
                "mean_axis", (value,), (value.axes.index(axis),), shape=value.shape, axes=rest
            )
    return value
