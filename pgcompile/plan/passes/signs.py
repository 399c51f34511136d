"""Bernoulli log-probabilities at the end of planning: whose sign a sum takes over, and which are written out."""

from collections import Counter

from pgcompile.plan.values import Value, live_values

_ROOM = 7  # letters of the names in `cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")`


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
    """`cross_entropy = ...` of each element and its sum, where both arguments have the same dimensions.

    A call of torch's function that does not fit on a line is left to the library's, with the sign that is wanted.
    """
    numbered: list[Value] = []
    live = live_values(outputs)
    hints = Counter(value.hints[0] for value in live if value.hints)
    for value in live:
        if (
            value.op in ("bernoulli_log_prob", "bernoulli_cross_entropy")
            and _alike(*value.args)
            and _fits(value, hints)
        ):
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
    each.hints, each.materialize = ["cross_entropy"], True
    if rank == 0:
        if value.op == "bernoulli_cross_entropy":
            return []
        value.op, value.args, value.attributes = "neg", (each,), ()
        return [each]
    if value.op == "bernoulli_cross_entropy":
        value.op, value.args, value.attributes, value.hints, value.materialize = "sum", (each,), (rank,), [], False
        return [each]
    total = _like(value, "sum", (each,), (rank,), value.shape)
    value.op, value.args, value.attributes = "neg", (total,), ()
    return [each, total]


def _like(value: Value, op: str, args: tuple[Value, ...], attributes: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    made = Value(op, args, attributes, shape, value.batched, value.axes, -1, value.section)
    made.origins = value.origins
    return made


def _fits(value: Value, hints: Counter[str]) -> bool:
    """True if the names of the arguments, which are shorter where they are the only ones, leave room on a line."""
    names: list[str] = []
    for arg in value.args:
        if arg.op == "argument":
            names.append(str(arg.attributes[0]))
        else:
            names.append(next((hint for hint in arg.hints if hints[hint] <= 1), arg.hints[-1] if arg.hints else arg.op))
    return sum(map(len, names)) <= _ROOM


def _alike(a: Value, b: Value) -> bool:
    """True if two values have the same dimensions."""
    return (a.shape, a.axes, a.batched) == (b.shape, b.axes, b.batched)
