"""Calls of the functions of the language as plan values: a rule for each `shape` that a row of their table has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from pgcompile.diagnostics import InternalError
from pgcompile.plan.builder import Builder
from pgcompile.plan.expansion import as_vector, joined, spread_lead
from pgcompile.plan.values import Value
from pgcompile.vocabulary.functions import FUNCTIONS, Function

Options = Mapping[str, Value]


@dataclass(frozen=True)
class Call:
    """One call.

    Args:
        function: what is called.
        args: its arguments.
        named: those that are given by name.
        literals: arguments that say how it is computed: sizes, an order of dimensions, an equation.
    """

    function: Function
    args: list[Value]
    named: Options
    literals: tuple[int | str, ...]


Rule = Callable[[Builder, Call], Value]


def function_value(
    build: Builder, name: str, args: list[Value], named: Options, literals: tuple[int | str, ...] = ()
) -> Value:
    """The value of a function of the vocabulary.

    Args:
        build: where values are made.
        name: of the function.
        args: its arguments.
        named: those that are given by name.
        literals: arguments that say how it is computed: sizes, an order of dimensions, an equation.
    """
    function = FUNCTIONS[name]
    rule = _RULES.get(function.shape)
    if rule is None:
        raise InternalError(f"no tensor code for {name}")
    return rule(build, Call(function, args, named, literals))


def _elementwise(build: Builder, call: Call) -> Value:
    return build.unary(call.function.op, call.args[0])


def _binary(build: Builder, call: Call) -> Value:
    return build.binary(call.function.op, call.args[0], call.args[1])


def _clamp(build: Builder, call: Call) -> Value:
    first = call.args[0]
    low = call.named.get("min", call.args[1] if len(call.args) > 1 else None)
    high = call.named.get("max", call.args[2] if len(call.args) > 2 else None)
    first = first if low is None else build.binary("maximum", first, low)
    return first if high is None else build.binary("minimum", first, high)


def _reduce(build: Builder, call: Call) -> Value:
    first = call.args[0]
    return build.sum_last(first, first.rank) if call.function.name == "sum" else build.mean_last(first, first.rank)


def _last(build: Builder, call: Call) -> Value:
    return build.make(call.function.op, (call.args[0],), shape=call.args[0].shape[:-1])


def _keep(build: Builder, call: Call) -> Value:
    return build.make(call.function.op, (call.args[0],), shape=call.args[0].shape)


def _shuffle(build: Builder, call: Call) -> Value:
    """Every entry at another row of the batch, by the order of uniform noise."""
    value = build.tensor(call.args[0])
    if not value.batched:
        return value
    noise = build.make("rand_like", (value,), shape=value.shape, fresh=f"shuffle {value.number}")
    return build.make("shuffle", (value, noise), (value.rank, len(value.axes)), shape=value.shape)


def _diag(build: Builder, call: Call) -> Value:
    return build.make("diag_matrix", (call.args[0],), shape=call.args[0].shape * 2)


def _outer(build: Builder, call: Call) -> Value:
    first, second = call.args
    column = build.make("unsqueeze", (first,), (1,), shape=(*first.shape, 1))
    row = build.make("unsqueeze_row", (second,), shape=(1, *second.shape))
    return build.make("mul", (column, row), shape=(*first.shape, *second.shape))


def _compare(build: Builder, call: Call) -> Value:
    """0 or 1, as the values of a boolean variable are."""
    a, b = (build.tensor(arg) for arg in call.args) if call.args[0].constant is not None else call.args
    a, b = build.align(a, b)
    return build.make("as_number", (build.make(call.function.op, (a, b)),))


def _where(build: Builder, call: Call) -> Value:
    chosen = build.tensor(call.args[0])
    condition = chosen.args[0] if chosen.op == "as_number" else build.make("nonzero", (chosen,))
    return build.make("where", tuple(build.align_all([condition, *call.args[1:]])))


def matrix_product(build: Builder, a: Value, b: Value) -> Value:
    """`a @ b` of vectors and matrices, by the operation that fits what varies with the batch."""
    shape = (*a.shape[:-1], *b.shape[1:])
    if a.rank == 1 and b.rank == 1:
        return build.sum_last(build.binary("mul", a, b))
    free_a, free_b = not (a.batched or a.axes), not (b.batched or b.axes)
    if a.rank == 2 and b.rank == 1:
        # A matrix shared by the batch times a vector of it is a linear layer.
        op = "linear" if free_a else "matrix_vector"
        return build.make(op, (b, a) if free_a else (a, b), shape=shape)
    op = "vector_matrix" if a.rank == 1 and not free_b else "matmul"
    return build.make(op, (a, b), shape=shape)


def _norm(build: Builder, call: Call) -> Value:
    first = call.args[0]
    return build.make("norm", (first,), (first.rank,), shape=()) if first.rank else build.unary("abs", first)


def _dot(build: Builder, call: Call) -> Value:
    product = build.binary("mul", call.args[0], call.args[1])
    return build.sum_last(product, product.rank)


def _trace(build: Builder, call: Call) -> Value:
    return build.sum_last(build.make("diagonal", (call.args[0],), shape=call.args[0].shape[:-1]))


def _eye(build: Builder, call: Call) -> Value:
    assert build.device is not None
    (size,) = call.literals
    assert isinstance(size, int)
    return build.make("eye", (build.device(),), (size,), shape=(size, size))


def _scalar(build: Builder, call: Call) -> Value:
    return build.make(call.function.op, (call.args[0],), shape=())


def _solve(build: Builder, call: Call) -> Value:
    return build.make("solve", tuple(call.args), shape=call.args[1].shape)


def _einsum(build: Builder, call: Call) -> Value:
    (equation,) = call.literals
    left, _, right = str(equation).partition("->")
    sizes = {
        n: size
        for names, arg in zip(left.split(","), call.args, strict=True)
        for n, size in zip(names, arg.shape, strict=True)
    }
    written = ",".join(f"...{names}" for names in left.split(",")) + f"->...{right}"
    return build.make("einsum", tuple(call.args), (written,), shape=tuple(sizes[n] for n in right))


def _reshape(build: Builder, call: Call) -> Value:
    shape = tuple(int(size) for size in call.literals)
    known = prod(size for size in shape if size >= 0)
    shape = tuple(prod(call.args[0].shape) // known if size < 0 else size for size in shape)
    return call.args[0] if shape == call.args[0].shape else build.make("reshape", (call.args[0],), shape, shape=shape)


def _transpose(build: Builder, call: Call) -> Value:
    first = call.args[0]
    order = tuple(int(at) for at in call.literals)
    if order in ((), (1, 0)):
        return build.make("transpose", (first,), shape=first.shape[::-1])
    rank = first.rank
    places = tuple(at - rank for at in order), tuple(range(-rank, 0))
    return build.make("permute", (first,), places, shape=tuple(first.shape[at] for at in order))


def _cat(build: Builder, call: Call) -> Value:
    parts = [as_vector(build, arg) for arg in call.args]
    rank = parts[0].rank
    at = int(call.literals[0]) if call.literals else rank - 1
    if at == rank - 1:
        return joined(build, parts)
    whole = spread_lead(build, parts)
    shape = list(whole[0].shape)
    shape[at] = sum(part.shape[at] for part in whole)
    return build.make("cat", tuple(whole), (at - rank,), shape=tuple(shape))


def _stack(build: Builder, call: Call) -> Value:
    whole = spread_lead(build, [build.tensor(arg) for arg in call.args])
    return build.make("stack", tuple(whole), (-whole[0].rank - 1,), shape=(len(whole), *whole[0].shape))


_RULES: dict[str, Rule] = {
    "elementwise": _elementwise,
    "binary": _binary,
    "clamp": _clamp,
    "reduce": _reduce,
    "last": _last,
    "place": _last,
    "keep": _keep,
    "shuffle": _shuffle,
    "square": _keep,
    "diag": _diag,
    "outer": _outer,
    "compare": _compare,
    "where": _where,
    "norm": _norm,
    "dot": _dot,
    "trace": _trace,
    "eye": _eye,
    "log_det": _scalar,
    "solve": _solve,
    "einsum": _einsum,
    "reshape": _reshape,
    "transpose": _transpose,
    "cat": _cat,
    "stack": _stack,
}
