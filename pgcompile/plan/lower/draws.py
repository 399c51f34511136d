"""Values of drawn variables: enumerated, relaxed, or drawn from their factors."""

from typing import TYPE_CHECKING

from pgcompile.inference.elimination import states
from pgcompile.model.factors import FactorInstance
from pgcompile.model.kinds import is_pathwise
from pgcompile.model.variable import Variable
from pgcompile.objective.dependence import own_row
from pgcompile.objective.terms import Draw
from pgcompile.plan.builder import in_order
from pgcompile.plan.expansion import every_value, expand_full, standard_noise
from pgcompile.plan.lower.places import place_axes
from pgcompile.plan.lower.requests import DrawRequest
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Axis, Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def drawn_value(lowering: "FactorLowering", draw: Draw, variable: Variable) -> Value:
    """A variable of a draw: data, every value in turn, a relaxation, or a draw from its factor."""
    if draw.rows:
        return other_rows(lowering, draw, variable)
    atom = draw.atom_of(variable)
    if atom is None or atom.factor.is_data:
        return lowering.argument(variable.name)
    if variable in draw.enumerated:
        return enumerated_value(lowering, draw, atom, variable)
    axes = (lowering.axes.samples(draw),) if draw.samples > 1 else ()
    axes = (*axes, *place_axes(lowering, variable.name))
    comment = f"E_{{{draw.distribution.label}}}: "
    if variable in draw.relaxed:
        soft = relaxed_draw(lowering, draw, atom, axes, comment)
        return _fixed(lowering, soft, variable) if draw.estimator.detached else soft
    pathwise = is_pathwise(atom.factor)
    word = "pathwise sample" if pathwise and variable not in draw.scored else "sample"
    count = f"one {word}" if draw.samples == 1 else f"{draw.samples} {word}s"
    request = DrawRequest(axes, f"{comment}{count} of {variable}", (draw, variable))
    value = lowering.draw(atom, draw.inside, request)
    if draw.estimator.detached and pathwise:
        return _fixed(lowering, value, variable)
    if variable not in draw.scored or not pathwise:
        return value
    # The score function carries the gradient: the path through the draw would count it twice.
    return _fixed(lowering, value, variable)


def other_rows(lowering: "FactorLowering", draw: Draw, variable: Variable) -> Value:
    """A variable at every row of the batch, along an axis of its own."""
    build = lowering.builder
    value = lowering.variable(own_row(variable, lowering.model), draw.env)
    source = build.batch_source
    if not value.batched or source is None:
        return value
    axis = lowering.axes.pairs(draw)
    axes = in_order({*value.axes, axis})
    with build.section(f"every row of {own_row(variable, lowering.model)}"):
        args = (value, source)
        attributes = (value.rank, len(value.axes), axes.index(axis))
        rows = build.make("other_rows", args, attributes, shape=value.shape, axes=axes)
    return build.name(rows, str(variable), materialize=True)


def _fixed(lowering: "FactorLowering", value: Value, variable: Variable) -> Value:
    """A draw that passes no gradient to what it was drawn from."""
    return lowering.builder.name(lowering.builder.unary("detach", value), str(variable), materialize=True)


def enumerated_value(
    lowering: "FactorLowering",
    draw: Draw,
    atom: FactorInstance,
    variable: Variable,
    comment: str | None = None,
    *,
    entries: int | None = None,
) -> Value:
    """Every value of a finite variable, along an axis of its own.

    Args:
        lowering: the method.
        draw: that it belongs to.
        atom: the factor of the variable.
        variable: what takes every value.
        comment: the line above it.
        entries: the number of values of an entry, where all entries take the same one together.
    """
    space = lowering.model.spaces[atom.factor.targets[0]]
    count = states(atom, lowering.model) if entries is None else entries
    assert count is not None
    axis = lowering.axes.values(draw, variable, count)
    kind = space.kind if space.kind in ("one_hot", "category") else "boolean"
    comment = comment or f"E_{{{draw.distribution.label}}}: every value of {variable}"
    with lowering.builder.section(comment, origin_of(atom)):
        shape = space.shape if entries is None else ()
        value = every_value(lowering.builder, kind, space.categories or 0, shape, axis)
        value = expand_full(lowering.builder, value, space.shape, (axis,), None)
    return lowering.builder.name(value, str(variable), materialize=True)


def relaxed_draw(
    lowering: "FactorLowering", draw: Draw, atom: FactorInstance, axes: tuple[Axis, ...], comment: str
) -> Value:
    """A differentiable stand-in for a discrete draw (Jang, Gu & Poole 2017; Maddison, Mnih & Teh 2017)."""
    build = lowering.builder
    parameters = lowering.parameters(atom, draw.inside)
    shape = lowering.shape(atom)
    one_hot = lowering.family(atom).name == "OneHotCategorical"
    with build.section(f"{comment}a relaxed sample of {atom.targets[0]}", origin_of(atom)):
        if "logits" in parameters:
            logits = build.tensor(parameters["logits"])
        else:
            logits = build.unary("log" if one_hot else "logit", build.tensor(parameters["probs"]))
        uniform = standard_noise(
            build, "rand", shape, (*axes, *logits.axes), [logits], ((draw, atom.targets[0]), "", "")
        )
        logits, uniform = build.align(logits, uniform)
        soft = build.make(
            "special",
            (logits, uniform),
            (f"relaxed_{'one_hot' if one_hot else 'bernoulli'}", draw.estimator.temperature),
            shape=uniform.shape,
        )
        if draw.estimator.relax == "straight_through":
            hard = build.make("special", (soft,), (f"hard_{'one_hot' if one_hot else 'bernoulli'}",), shape=soft.shape)
            soft = build.name(soft, "soft", materialize=True)
            # The value of the hard draw, the gradient of the soft one (Bengio, Leonard & Courville 2013).
            soft = build.binary("add", soft, build.unary("detach", build.binary("sub", hard, soft)))
    return build.name(soft, str(atom.targets[0]), materialize=True)
