"""The mean of an objective over the batch, as few large sums: what a training step differentiates.

`-elbo.mean()` sums every example on its own and then averages; one sum over examples and elements at once, divided by
the number of examples, is the same number with fewer operations forward and backward.
"""

from pgcompile.plan.builder import Builder
from pgcompile.plan.values import Value, meets_rows


def batch_mean(build: Builder, value: Value, sign: int) -> Value:
    """`sign` times the mean of a per-example value over the batch."""
    source = build.batch_source
    if source is None:
        signed = value if sign > 0 else build.unary("neg", value)
        # Nothing is observed, but an input may be one number for each data point.
        return build.make("tensor_mean", (signed,), shape=(), batched=False) if _has_input(value) else signed
    total, direct = _split(build, value, sign)
    if total is None:
        return direct if direct is not None else build.constant(0.0)
    mean = _mean_of(build, total, source)
    return mean if direct is None else build.binary("add", mean, direct)


def _mean_of(build: Builder, total: Value, source: Value) -> Value:
    """A total over the batch divided by its size; a single sum or cross-entropy is a mean of its own."""
    if total.op == "neg" and total.args[0].op in ("cross_entropy_sum", "batch_sum"):
        return build.unary("neg", _mean_of(build, total.args[0], source))
    if total.op == "cross_entropy_sum":
        return build.make("cross_entropy_mean", total.args, shape=(), batched=False)
    if total.op == "batch_sum" and total.args[0].rank == 0:
        return build.make("batch_mean", total.args, shape=(), batched=False)
    return build.make("divide_by_batch", (total, source), (source.rank,), shape=(), batched=False)


def _split(build: Builder, value: Value, sign: int) -> tuple[Value | None, Value | None]:
    """`sign * value` as a total over the batch (still to be divided by its size) and a part without a batch."""
    if not value.batched and not _has_input(value):
        return None, value if sign > 0 else build.unary("neg", value)
    match value.op:
        case "neg":
            return _split(build, value.args[0], -sign)
        case "add" | "sub":
            left = _split(build, value.args[0], sign)
            right = _split(build, value.args[1], sign if value.op == "add" else -sign)
            return _plus(build, left[0], right[0]), _plus(build, left[1], right[1])
        case "mul" if any(_is_number(arg) for arg in value.args):
            factor, body = value.args if _is_number(value.args[0]) else value.args[::-1]
            total, direct = _split(build, body, sign)
            return _times(build, factor, total), _times(build, factor, direct)
    return (_total(build, value) if sign > 0 else _negated(build, _total(build, value))), None


def _has_input(value: Value) -> bool:
    """True if an `input` is in it: that may be given as one number for each data point."""
    if value.op == "argument":
        return not value.batched
    return any(_has_input(arg) for arg in value.args if not arg.batched)


def _is_number(value: Value) -> bool:
    """True if it is the same for every data point."""
    return not value.batched and not _has_input(value)


def _negated(build: Builder, total: Value) -> Value:
    return build.unary("neg", total)


def _plus(build: Builder, a: Value | None, b: Value | None) -> Value | None:
    if a is None or b is None:
        return a if b is None else b
    return build.binary("add", a, b)


def _times(build: Builder, factor: Value, value: Value | None) -> Value | None:
    return None if value is None else build.binary("mul", factor, value)


def _total(build: Builder, value: Value) -> Value:
    """A per-example value summed over the batch, its own sums taken along."""
    match value.op:
        case "mean_axis" if not meets_rows(value.args[0]):
            samples = next(a.size for a in value.args[0].axes if a not in value.axes)
            return build.binary("mul", build.constant(1.0 / samples), _total_over(build, value.args[0]))
        case _:
            return _total_over(build, value)


def _total_over(build: Builder, value: Value) -> Value:
    """The sum of everything in a value."""
    assert build.batch_source is not None
    if value.op == "neg":
        return build.unary("neg", _total_over(build, value.args[0]))
    if value.op in ("add", "sub") and all(a.batched and a.axes == value.axes for a in value.args):
        return build.binary(value.op, _total_over(build, value.args[0]), _total_over(build, value.args[1]))
    if value.op == "mul" and value.args[0].constant is not None:
        return build.binary("mul", value.args[0], _total_over(build, value.args[1]))
    if not value.batched:
        return build.make(
            "tensor_total", (value, build.batch_source), (build.batch_source.rank,), shape=(), batched=False
        )
    inner = value.args[0] if value.op == "sum" and value.args[0].rank == value.attributes[0] else value
    if inner.op == "sum" and inner.rank == 0:
        inner = inner.args[0]
    if inner.op == "bernoulli_log_prob" and _alike(*inner.args):
        total = build.make("binary_cross_entropy_sum", inner.args, batched=False)
        return build.unary("neg", build.name(total, "cross_entropy", materialize=True))
    picked = _picked(inner)
    if picked is not None and not inner.axes:
        ce = build.make("cross_entropy_sum", picked, shape=(), batched=False, axes=())
        return build.unary("neg", build.name(ce, "cross_entropy"))
    total = build.make("batch_sum", (inner,), shape=(), batched=False, axes=())
    if value.op == "item":
        return total  # the value has a line already, and its name
    return build.name(total, *value.hints, materialize=value.materialize)


def _alike(a: Value, b: Value) -> bool:
    """True if two values have the same dimensions, so that an operation of both need not broadcast."""
    return (a.shape, a.axes, a.batched) == (b.shape, b.axes, b.batched)


def _picked(value: Value) -> tuple[Value, Value] | None:
    """Logits and index of `log_softmax(logits)[index]` of a scalar index."""
    if value.op != "squeeze" or value.args[0].op != "gather":
        return None
    vector, index = value.args[0].args
    if vector.op != "log_softmax" or vector.rank != 1 or index.op != "unsqueeze":
        return None
    return vector.args[0], index.args[0]
