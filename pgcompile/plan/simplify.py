"""Simplifications of sums and products of two values, tried before an operation is made of them."""

from typing import TYPE_CHECKING

from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.builder import Builder


def simplified(build: "Builder", op: str, a: Value, b: Value) -> Value | None:
    match op, a.constant, b.constant:
        case ("add", 0.0, _):
            return b
        case ("add" | "sub", _, 0.0):
            return a
        case ("sub", 0.0, _):
            return build.unary("neg", b)
        case ("mul", 1.0, _):
            return b
        case ("mul" | "div" | "pow", _, 1.0):
            return a
        case ("mul", -1.0, _):
            return build.unary("neg", b)
        case ("mul" | "div", _, -1.0):
            return build.unary("neg", a)
        case ("maximum" | "minimum", None, float(bound)):
            return build.make("clamp_min" if op == "maximum" else "clamp_max", (a,), (bound,), shape=a.shape)
        case ("maximum" | "minimum", float(), None):
            return build.binary(op, b, a)
        case ("pow", _, 2.0):
            return build.unary("square", a)
        case _:
            pass
    if (op, a.op) in (("sub", "add"), ("div", "mul")) and b in a.args and a.args[0] is not a.args[1]:
        # The noise that a draw was made from: (loc + scale * noise - loc) / scale.
        (rest,) = (arg for arg in a.args if arg is not b)
        if rest.constant is None and (rest.shape, rest.axes, rest.batched) == (a.shape, a.axes, a.batched):
            return rest
    if op == "mul" and a.constant is not None and b.op == "neg":
        return build.binary("mul", build.negated(a), b.args[0])
    if op == "mul" and a.constant is not None and b.op == "mul" and b.args[0].constant is not None:
        return build.binary("mul", build.constant(a.constant * b.args[0].constant), b.args[1])
    if op in ("add", "sub") and _is_negative(b):
        return build.binary("sub" if op == "add" else "add", a, _flipped(build, b))
    if op == "add" and _is_negative(a):
        return build.binary("sub", b, _flipped(build, a))
    if op == "sub" and a.op == "neg":
        return build.unary("neg", build.binary("add", a.args[0], b))
    if op == "add" and a.op == "neg" and b.op == "neg":
        return build.unary("neg", build.binary("add", a.args[0], b.args[0]))
    if op == "add" and b.op == "neg":
        return build.binary("sub", a, b.args[0])
    if op == "add" and a.op == "neg":
        return build.binary("sub", b, a.args[0])
    if op == "sub" and b.op == "neg":
        return build.binary("add", a, b.args[0])
    if op == "mul" and b.constant is not None and a.constant is None:
        return build.binary("mul", b, a)
    return None


def _flipped(build: "Builder", value: Value) -> Value:
    """Minus a value whose sign stands in a number."""
    if value.constant is not None:
        return build.negated(value)
    return build.binary("mul", build.negated(value.args[0]), value.args[1])


def with_its_sign(build: "Builder", value: Value, *hints: str) -> Value:
    """`-(a + b)` as `-a - b` where that costs no operation: a named value keeps the sign of its name.

    A minus sign moves outwards through sums. Where one of them is a number, or is multiplied by one, it is taken
    there; elsewhere the name goes to the sum.
    """
    first, second = value.args[0].args
    for one, other in ((second, first), (first, second)):
        if one.constant is not None or (one.op == "mul" and one.args[0].constant is not None):
            flipped = _flipped(build, one)
            a, b = build.align(flipped, other)
            return build.make("sub", (a, b))
    build.name(value.args[0], *(f"minus_{hint}" for hint in hints), materialize=True)
    return value


def _is_negative(value: Value) -> bool:
    """True if a value is a negative number, or a negative number times something."""
    number = value.args[0].constant if value.op == "mul" else value.constant
    return number is not None and number < 0
