"""Sums over the states of finite variables, and values over a batch, written to be copied into emitted modules."""

import torch
from torch import Tensor


def every_state(like: Tensor, base: int, shape: tuple, batch: tuple, index=False):
    """All values of a variable of `base` values an entry: [states, *batch, *shape]."""
    count = torch.Size(shape).numel()
    digits = torch.arange(base**count, device=like.device).unsqueeze(-1)
    places = base ** torch.arange(count, device=like.device)
    values = (digits // places % base).reshape(-1, *(1 for _ in batch), *shape)
    values = values.expand(-1, *batch, *shape)
    return values if index else values.to(like.dtype)


def expand_rows(table: Tensor, batch: tuple) -> Tensor:
    """The rows of a table repeated over a batch: [rows, *batch, ...]."""
    rows, *rest = table.shape
    ones = table.reshape(rows, *(1 for _ in batch), *rest)
    return ones.expand(rows, *batch, *rest)


def pick_rows(table: Tensor, index: Tensor, rank: int, own: int = 0) -> Tensor:
    """table[index] where both have a batch; `rank` dimensions of the table, `own` of the index are events."""
    event, cut = table.shape[table.ndim - rank :], index.ndim - own
    lead = torch.broadcast_shapes(table.shape[: table.ndim - rank], index.shape[:cut])
    ones = [1] * own
    wide = table.reshape(*table.shape[: table.ndim - rank], *ones, *event)
    wide = wide.expand(*lead, *index.shape[cut:], *event)
    at = index.reshape((*index.shape, *[1] * rank))
    at = at.expand(*lead, *index.shape[cut:], 1, *event[1:])
    return wide.gather(-rank, at).squeeze(-rank)


def one_hot_states(like: Tensor, size: int, batch: tuple) -> Tensor:
    """All one-hot vectors: [size, *batch, size]."""
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return eye.reshape(size, *(1 for _ in batch), size).expand(size, *batch, size)


def weigh(probs: Tensor, value: Tensor) -> Tensor:
    """probs * value, and 0 where a probability is 0, whatever the value is there."""
    return probs * torch.where(probs > 0, value, 0.0)


def moved_places(values: Tensor, offset: int, dim: int, *starts: Tensor) -> Tensor:
    """A sequence along `dim` at `offset` places from each; `starts` stand outside, the farthest first."""
    count = values.shape[dim]
    outside = torch.stack(starts if offset < 0 else starts[::-1], dim)
    whole = torch.cat((outside, values) if offset < 0 else (values, outside), dim)
    return whole.narrow(dim, 0 if offset < 0 else offset, count)


def over_sequence(net, values: Tensor, at: int, rank: int) -> Tensor:
    """A net of sequences whose places stand along the dimension `at`, each of `rank`."""
    last = values.ndim - rank - 1
    moved = values.movedim(at, last)
    out = net(moved.reshape(-1, *moved.shape[last:]))
    return out.reshape(*moved.shape[:last], *out.shape[1:]).movedim(last, at)


def after_past(net, values: Tensor, rank: int, shape: tuple) -> Tensor:
    """The result of a net at the last place of sequences; zeros before the first."""
    last = values.ndim - rank - 1
    if not values.shape[last]:
        like = next(net.parameters())
        return like.new_zeros((*values.shape[:last], *shape))
    return over_sequence(net, values, last, rank).select(last, -1)


def past_of(values: list, shape: tuple, event: tuple, like: Tensor) -> Tensor:
    """The places that were drawn so far, behind the batch."""
    if values:
        return torch.stack(values, len(shape))
    return like.new_zeros((*shape, 0, *event))


def data_weight(name: str, total: float | None, rows: int) -> float:
    """The number of all data points over that of the rows; 1 where it is not said."""
    if total is None:
        return 1.0
    one = hasattr(total, "__float__") and not getattr(total, "shape", ())
    if not one or not (isinstance(total, Tensor) or total >= rows):
        said = f"the number of all data points, at least the {rows} given"
        raise ValueError(f"{name} must be {said}, not {total!r}")
    return total / rows


def inside_places(count: int, lengths: Tensor) -> Tensor:
    """True at the places, along a first dimension, that sequences of some lengths have."""
    places = torch.arange(count, device=lengths.device)
    return places.reshape(-1, *(1 for _ in lengths.shape)) < lengths


def last_places(count: int, lengths: Tensor) -> Tensor:
    """True at the last place, along a first dimension, of sequences of some lengths."""
    places = torch.arange(count, device=lengths.device)
    return places.reshape(-1, *(1 for _ in lengths.shape)) == lengths - 1


def first_place(values: Tensor) -> Tensor:
    """True at the first place along the first dimension."""
    places = torch.arange(len(values), device=values.device)
    return (places == 0).reshape(-1, *(1 for _ in values.shape[1:]))


def other_rows(value: Tensor, rank: int, axes: int, at: int) -> Tensor:
    """All rows of the batch along the dimension `at`, with ones where they were."""
    event = value.shape[value.ndim - rank :]
    batch = value.shape[axes : value.ndim - rank]
    rows = value.reshape(*value.shape[:axes], -1, *(1 for _ in batch), *event)
    return rows.movedim(axes, at)


def shuffled(value: Tensor, noise: Tensor, rank: int, axes: int) -> Tensor:
    """Every entry at another row of the batch, in an order of its own: what is left are the marginals."""
    rows = (*value.shape[:axes], -1, *value.shape[value.ndim - rank :])
    order = noise.reshape(rows).argsort(axes)
    return value.reshape(rows).gather(axes, order).reshape(value.shape)


def over_batch(value: Tensor, rank: int) -> Tensor:
    """The batch as one leading dimension, with ones where it was: [n, 1, ..., *event]."""
    event = value.shape[value.ndim - rank :]
    rows = value.reshape(-1, *(1 for _ in value.shape[: value.ndim - rank]), *event)
    if len(rows) < 2:
        raise ValueError("TC and MI take two data points at least")
    return rows
