"""Values with the dimensions of a draw: repeated, drawn as noise, or taking every value of a finite variable."""

from typing import TYPE_CHECKING

from pgcompile.plan.builder import merge_axes
from pgcompile.plan.values import Axis, AxisKind, Value, meets_rows

if TYPE_CHECKING:
    from pgcompile.plan.builder import Builder


def expand_full(
    build: "Builder", value: Value, shape: tuple[int, ...], axes: tuple[Axis, ...], like: Value | None
) -> Value:
    """A value repeated over the dimensions of a draw that it lacks.

    Args:
        value: what to repeat.
        shape: event shape of the draw.
        axes: its draw axes.
        like: a value that has all these dimensions, if there is one.
    """
    if build.is_full(value, shape, axes):
        return value
    if value.constant is not None:
        whole = like if like is not None else _template(build, shape, axes)
        if value.constant == 0.0 and like is None:
            return whole  # the template is made of zeros
        return build.make("full_like", (whole,), (value.constant,), shape=shape)
    value = build.insert_axes(build.raise_rank(value, len(shape)), axes)
    if build.is_full(value, shape, axes):
        return value
    if like is not None and like is not value:
        return build.make("expand_as", (value, like), shape=shape)
    if _lacks_axes_only(build, value, shape, axes):
        sizes = tuple(axis.extent for axis in axes[: len(axes) - len(value.axes)])
        return build.make("expand_axes", (value,), sizes, shape=shape, axes=axes)
    return _expand(build, value, shape, axes)


def _template(build: "Builder", shape: tuple[int, ...], axes: tuple[Axis, ...]) -> Value:
    """An expanded scalar with the dimensions of a draw, to make other tensors like."""
    assert build.device is not None
    return _expand(build, build.device(), shape, axes)


def _expand(build: "Builder", value: Value, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> Value:
    source = build.batch_source
    sources = (source,) if source is not None and not build.sampler else ()
    sizes = (tuple(axis.extent for axis in axes), shape)
    return build.make("expand", (value, *sources), sizes, shape=shape, batched=build.needs_batch, axes=axes)


def standard_noise(
    build: "Builder", kind: str, shape: tuple[int, ...], axes: tuple[Axis, ...], candidates: list[Value], fresh: object
) -> Value:
    """Standard noise with the dimensions of a draw, made like one of the candidates where one has them."""
    like = next((v for v in candidates if build.is_full(v, shape, axes)), None)
    if like is None:
        near = next((v for v in candidates if _lacks_axes_only(build, v, shape, axes)), None)
        like = expand_full(build, near, shape, axes, None) if near is not None else _template(build, shape, axes)
    return build.make(f"{kind}_like", (like,), shape=shape, fresh=fresh)


def spread_lead(build: "Builder", values: list[Value]) -> list[Value]:
    """Values expanded to one another's draw axes and batch, so that they differ in their event dimensions only."""
    axes = merge_axes(tuple(values))
    batched = any(value.batched for value in values)
    if all((value.axes, value.batched) == (axes, batched) for value in values) and not any(map(meets_rows, values)):
        return values
    lined = [build.insert_axes(value, axes) for value in values]
    full = next((v for v in values if (v.axes, v.batched) == (axes, batched) and not meets_rows(v)), None)
    if full is None:
        ranks = tuple(value.rank for value in lined)
        lead = build.make("lead_shape", tuple(lined), ranks, shape=(), batched=batched, axes=axes)
        like = build.name(lead, "lead", materialize=True)
    else:
        like = full
    return [
        value
        if (value.axes, value.batched) == (axes, batched) and not meets_rows(value)
        else build.make("expand_lead", (line, like), shape=value.shape, batched=batched, axes=axes)
        for value, line in zip(values, lined, strict=True)
    ]


def as_vector(build: "Builder", value: Value) -> Value:
    """A number as a vector of one; anything else as it is."""
    return value if value.rank else build.make("unsqueeze", (build.tensor(value),), (1,), shape=(1,))


def joined(build: "Builder", parts: list[Value]) -> Value:
    """Joined along the last dimension, numbers as vectors of one; what lacks batch or draw axes is expanded."""
    if len(parts) == 1:
        return parts[0]
    parts = [as_vector(build, part) for part in parts]
    whole = spread_lead(build, parts)
    shape = (*whole[0].shape[:-1], sum(v.shape[-1] for v in parts))
    return build.make("cat", tuple(whole), shape=shape)


def every_value(build: "Builder", kind: str, categories: int, shape: tuple[int, ...], axis: Axis) -> Value:
    """Every value of a finite variable, along an axis of its own.

    Args:
        kind: `boolean`, `category` or `one_hot`.
        categories: of an index.
        shape: event shape of the variable.
        axis: the axis, as long as there are values.
    """
    assert build.device is not None
    source = build.batch_source
    sources = (source,) if source is not None else ()
    base = categories if kind == "category" else 2
    return build.make(
        "states",
        (build.device(), *sources),
        (kind, base, shape),
        shape=shape,
        batched=build.needs_batch,
        axes=(axis,),
    )


def _lacks_axes_only(build: "Builder", value: Value, shape: tuple[int, ...], axes: tuple[Axis, ...]) -> bool:
    """True if a value has all dimensions of a draw but the first of its axes, whose sizes are known."""
    lacking = axes[: len(axes) - len(value.axes)]
    return (
        build.is_full(value, shape, value.axes)
        and (*lacking, *value.axes) == axes
        and not any(axis.kind is AxisKind.PAIRS for axis in lacking)
    )
