"""Distances between samples: MMD, Wasserstein, and the gradient penalty."""

from math import prod
from typing import TYPE_CHECKING

from pgcompile.model.nets import ModuleSegment, Net
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Discrepancy
from pgcompile.plan.axes import AxisPool
from pgcompile.plan.builder import Builder, merge_axes
from pgcompile.plan.expansion import expand_full
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def discrepancy(lowering: "FactorLowering", term: Discrepancy) -> Value:
    """A discrepancy between the samples of two distributions."""
    build = lowering.builder
    with build.section(term.label):
        sides = [[lowering.variable(v, env) for v in term.variables] for env in (term.left_env, term.right_env)]
        shapes = [target_shape(lowering, term, v) for v in term.variables]
        if term.kind == "GP":
            return build.name(penalty(lowering, term, sides[0][0], sides[1][0]), "penalty", materialize=True)
        if term.kind == "W":
            right = [_along(build, value, term, lowering.axes) for value in sides[1]]
            return build.name(paired_distance(lowering, sides[0], right), "distance", materialize=True)
        size = sum(prod(shape) for shape in shapes)
        points = [rows_of(lowering, side, shapes, size) for side in sides]
        if term.kind == "SW":
            directions = (size, term.settings.projections)
            zero = lowering.tensors.like(build)
            template = build.make("expand", (zero,), ((), directions), shape=directions, batched=False, axes=())
            noise = build.make("randn_like", (template,), shape=template.shape, batched=False, fresh=term.label)
            value = build.make("special", (*points, noise), ("sliced_wasserstein",), shape=(), batched=False, axes=())
        else:
            widths = term.settings.widths or (round(size**0.5, 6),)
            kernel = f"{term.settings.kernel}_mmd"
            value = build.make("special", tuple(points), (kernel, widths), shape=(), batched=False, axes=())
    return build.name(value, term.kind.lower(), materialize=True)


def penalty(lowering: "FactorLowering", term: Discrepancy, first: Value, second: Value) -> Value:
    """(||grad d|| - 1)^2 at a point between two draws (Gulrajani et al. 2017)."""
    build = lowering.builder
    net = lowering.model.nets[term.settings.kernel]
    assert isinstance(net, Net) and net.segments is not None and isinstance(net.segments[0], ModuleSegment)
    module = lowering.tensors.module(net.segments[0])
    first, second = build.align_all([first, second])  # points of one shape
    one = build.make("select", (first,), (first.rank, *(0 for _ in first.shape)), shape=()) if first.rank else first
    along = build.make("rand_like", (one,), shape=(), fresh=term.label)
    between = build.make("special", (first, second, along), ("interpolate", first.rank), shape=first.shape)
    build.name(between, "point")
    value = build.make("gradient_penalty", (between,), (module, first.rank), shape=())
    while value.axes:
        value = build.make("mean_axis", (value,), (0,), shape=(), axes=value.axes[1:])
    return value


def target_shape(lowering: "FactorLowering", term: Discrepancy, variable: Variable) -> tuple[int, ...]:
    atom = term.left.atom_of(variable) or term.right.atom_of(variable)
    return lowering.model.spaces[atom.name_of(variable) if atom is not None else variable.name].shape


def _along(build: Builder, value: Value, term: Discrepancy, pool: AxisPool) -> Value:
    """A draw of the right side along the axis of those of the left: each is paired with one of them."""
    if term.left.samples == 1 or pool.samples(term.right) not in value.axes:
        return value
    axes = tuple(pool.samples(term.left) if axis is pool.samples(term.right) else axis for axis in value.axes)
    return build.make("along", (value,), (), axes=axes)


def rows_of(lowering: "FactorLowering", values: list[Value], shapes: list[tuple[int, ...]], size: int) -> Value:
    """Samples as rows, their variables side by side."""
    build = lowering.builder
    axes = merge_axes(tuple(values))
    rows = []
    for value, shape in zip(values, shapes, strict=True):
        whole = expand_full(build, value, shape, axes, None) if len(values) > 1 else value
        rows.append(build.make("as_rows", (whole,), (prod(shape),), shape=(prod(shape),), batched=True, axes=()))
    return rows[0] if len(rows) == 1 else build.make("cat", tuple(rows), shape=(size,), batched=True, axes=())


def paired_distance(lowering: "FactorLowering", left: list[Value], right: list[Value]) -> Value:
    """The distance of each draw from one of the other side, averaged over the samples."""
    build = lowering.builder
    distances = []
    for a, b in zip(left, right, strict=True):
        difference = build.binary("sub", a, b)
        op = ("norm", (difference.rank,)) if difference.rank else ("abs", ())
        distances.append(build.make(op[0], (difference,), op[1], shape=()))
    value = distances[0]
    if len(distances) > 1:
        squares = [build.unary("square", d) for d in distances]
        total = squares[0]
        for square in squares[1:]:
            total = build.binary("add", total, square)
        value = build.unary("sqrt", total)
    while value.axes:
        value = build.make("mean_axis", (value,), (0,), shape=(), axes=value.axes[1:])
    return value
