"""Entries of vectors and rows of tables at indices, which may take every value along an axis."""

from pgcompile.plan.builder import Builder, merge_axes
from pgcompile.plan.expansion import spread_lead
from pgcompile.plan.values import Value


def pick(build: Builder, vector: Value, index: Value) -> Value:
    """Entry `index` of the last dimension of `vector`; every entry along an axis where the index takes every value."""
    if vector.constant is not None:
        return vector
    if is_every_index(index) and index.axes[0] not in vector.axes:
        return _entries_along_axis(build, vector, index)
    if not vector.batched and not vector.axes and vector.rank == 1:
        return build.make("index", (vector, index), shape=index.shape)
    vector, index = build.align(vector, build.make("unsqueeze", (index,), (1,), shape=(*index.shape, 1)))
    lead = index.shape[:-1]
    vector, index = spread_lead(build, [vector, index])
    gathered = build.make("gather", (vector, index), shape=index.shape)
    return build.make("squeeze", (gathered,), (-1,), shape=lead)


def rows_of(build: Builder, table: Value, index: Value) -> Value:
    """The rows of a table that is another for each data point, or each draw: at an index, or at every value of one."""
    if is_every_index(index) and index.axes[0] not in table.axes:
        axes = merge_axes((table, index))
        at = (-table.rank, axes.index(index.axes[0]))
        return build.make("move_to_axis", (table,), at, shape=table.shape[1:], axes=axes)
    shape = (*index.shape, *table.shape[1:])
    return build.make("special", (table, index), ("pick_rows", table.rank, index.rank), shape=shape)


def is_every_index(index: Value) -> bool:
    """True if a value is an index that takes every value, along an axis of its own."""
    return index.op == "states" and index.attributes[0] == "category" and index.rank == 0


def rows_along_axis(build: Builder, table: Value, index: Value) -> Value:
    """The rows of a table without a batch, along the axis of an index that takes every value."""
    args = (table, *index.args[1:])
    return build.make("expand_table", args, shape=table.shape[1:], batched=index.batched, axes=index.axes)


def _entries_along_axis(build: Builder, vector: Value, index: Value) -> Value:
    """The entries of a vector along the axis of an index that takes every value."""
    if not vector.batched and not vector.axes:
        return rows_along_axis(build, vector, index)
    axes = merge_axes((vector, index))
    return build.make("move_to_axis", (vector,), (-1, axes.index(index.axes[0])), shape=vector.shape[:-1], axes=axes)


def entries(build: Builder, base: Value, values: list[Value]) -> Value:
    """Entries at some indices: numbers alone, or a variable and numbers behind it, or one after the other."""
    first, rest = values[0], values[1:]
    if all(v.constant is not None for v in values):
        at = tuple(int(v.constant or 0) for v in values)
        return build.make("select", (base,), (base.rank, *at), shape=base.shape[len(at) :])
    if first.constant is not None or any(v.constant is None for v in rest):
        # `T[i, j]` is `T[i][j]`.
        return entries(build, entries(build, base, [first]), rest)
    if (base.batched or base.axes) and base.rank == 1 and first.rank == 0:
        return pick(build, base, first)
    if base.batched or base.axes:
        rows = rows_of(build, base, first)
    elif is_every_index(first):
        rows = rows_along_axis(build, base, first)
    else:
        rows = build.make("index", (base, first), shape=(*first.shape, *base.shape[1:]))
    at = tuple(int(v.constant or 0) for v in rest)
    return (
        build.make("select", (rows,), (rows.rank - first.rank, *at), shape=(*first.shape, *base.shape[1 + len(at) :]))
        if at
        else rows
    )
