"""Bernoulli log-probabilities at the end of planning: whose sign a sum takes over, and which are written out."""

from collections import Counter

from pgcompile.plan.values import Value, live_values


def finish_bernoullis(outputs: list[Value]) -> None:
    """Fold the signs of Bernoulli log-probabilities into sums, and write out those that need no broadcasting.

    The values are changed in place: the builder that made them must make no others.

    Args:
        outputs: the results of a method.
    """
    _fold_signs(outputs)
    _write_out(outputs)


def _fold_signs(outputs: list[Value]) -> None:
    """`a + log p` as `a - cross_entropy`: no kernel flips the sign."""
    live = live_values(outputs)
    uses = Counter(arg.number for value in live for arg in value.args)
    kept = {value.number for value in outputs}
    for value in live:
        if value.op != "add":
            continue
        for own, other in (value.args, value.args[::-1]):
            alone = uses[own.number] == 1 and own.number not in kept
            if own.op == "bernoulli_log_prob" and own.attributes != (0,) and alone and other.constant is None:
                value.op, value.args = "sub", (other, own)
                own.op, own.hints = "bernoulli_cross_entropy", ["cross_entropy"]
                break


def _write_out(outputs: list[Value]) -> None:
    """`cross_entropy = ...` of each element and its sum, where both arguments have the same dimensions."""
    numbered: list[Value] = []
    for value in live_values(outputs):
        if value.op in ("bernoulli_log_prob", "bernoulli_cross_entropy") and _alike(*value.args):
            numbered += _parts(value)
        numbered.append(value)
    for number, value in enumerate(numbered):
        value.number = number


def _parts(value: Value) -> list[Value]:
    """The values before a log-probability or cross-entropy that is written out; the value becomes the last of them."""
    (rank,) = value.attributes
    assert isinstance(rank, int)
    logits, x = value.args
    each = _like(value, "bernoulli_cross_entropy", (logits, x), (0,), logits.shape)
    each.hints, each.keep = ["cross_entropy"], True
    if rank == 0:
        if value.op == "bernoulli_cross_entropy":
            return []
        value.op, value.args, value.attributes = "neg", (each,), ()
        return [each]
    if value.op == "bernoulli_cross_entropy":
        value.op, value.args, value.attributes, value.hints, value.keep = "sum", (each,), (rank,), [], False
        return [each]
    total = _like(value, "sum", (each,), (rank,), value.shape)
    value.op, value.args, value.attributes = "neg", (total,), ()
    return [each, total]


def _like(value: Value, op: str, args: tuple[Value, ...], attributes: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    made = Value(op, args, attributes, shape, value.batched, value.axes, -1, value.section)
    made.origins = value.origins
    return made


def _alike(a: Value, b: Value) -> bool:
    """Whether two values have the same dimensions."""
    return (a.shape, a.axes, a.batched) == (b.shape, b.axes, b.batched)
