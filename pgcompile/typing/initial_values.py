"""Initial values of `param` and `buffer`: numbers that fit the space, or an initialiser."""

from fractions import Fraction

from pgcompile.diagnostics import Sink, nearest
from pgcompile.model.literals import evaluate, flatten, shape_of
from pgcompile.model.values import TensorValue
from pgcompile.syntax import tree
from pgcompile.vocabulary.initialisers import INITIALISERS
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import KINDS, Space


def check_initial(tensor: TensorValue, constants: dict[str, Fraction], sink: Sink) -> None:
    """Report an initial value that does not fit its tensor."""
    expr = tensor.initial
    if expr is None:
        return
    value = evaluate(expr, constants)
    text = " ".join(sink.source.snippet(expr.span).split())
    if value is not None:
        shape = shape_of(value)
        if shape not in ((), tensor.space.shape):
            found = "uneven" if shape is None else show(shape)
            sink.add(
                "PGC315",
                expr.span,
                f"the initial value of {tensor.name} is {found}, and {tensor.name} is `{tensor.space}`",
                help="give one number for all entries, or one for each",
            )
            return
        if tensor.kind == "param" and tensor.space.kind in ("lower_cholesky", "positive_definite"):
            _check_matrix(tensor, shape, flatten(value), expr, sink)
            return
        bad = next((x for x in flatten(value) if not _inside(tensor, x)), None)
        if bad is not None:
            sink.add(
                "PGC315",
                expr.span,
                f"{tensor.name} starts at {float(bad):g}, and `{tensor.space}` is {KINDS[tensor.space.kind].what}",
                help="start it inside its space",
            )
        return
    name = expr.id if isinstance(expr, tree.Name) else expr.name if isinstance(expr, tree.Call) else None
    mapped = tensor.space.kind not in ("real", "lower_triangular")
    if (name == "zeros" and mapped) or (name == "ones" and tensor.space.kind in ("unit_interval", "simplex")):
        sink.add(
            "PGC315",
            expr.span,
            f"{tensor.name} cannot start at {name}: `{tensor.space}` is {KINDS[tensor.space.kind].what}",
            help="start it inside its space, or leave the start out",
        )
        return
    if name in INITIALISERS and isinstance(expr, tree.Call):
        arguments = [evaluate(a.value, constants) for a in expr.args]
        if any(not isinstance(a, Fraction) for a in arguments) or any(a.name for a in expr.args):
            sink.add("PGC315", expr.span, f"`{text}` needs numbers", help="write normal(0.1), say")
    if name not in INITIALISERS:
        close = nearest(name, INITIALISERS) if name else None
        sink.add(
            "PGC315",
            expr.span,
            f"`{text}` is not an initial value",
            help=f"did you mean {close}?" if close else f"write a number, or one of {', '.join(sorted(INITIALISERS))}",
        )


def _check_matrix(
    tensor: TensorValue, shape: tuple[int, ...] | None, numbers: list[Fraction], expr: tree.Expr, sink: Sink
) -> None:
    """A free matrix can start at a triangle with a positive diagonal, or at the identity."""
    size = tensor.space.shape[-1]
    rows = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    if shape == tensor.space.shape and tensor.space.kind == "lower_cholesky":
        upper = any(x for i, row in enumerate(rows) for x in row[i % size + 1 :])
        if not upper and all(row[i % size] > 0 for i, row in enumerate(rows)):
            return
    sink.add(
        "PGC315",
        expr.span,
        f"{tensor.name} cannot start there: `{tensor.space}` is {KINDS[tensor.space.kind].what}",
        help="start it at `eye`" + (", or at a lower triangle" if tensor.space.kind == "lower_cholesky" else ""),
    )


def _inside(tensor: TensorValue, value: Fraction) -> bool:
    """Whether a free parameter can start there: the ends of an open interval are infinitely far away."""
    space: Space = tensor.space
    match space.kind:
        case "positive":
            return value > 0
        case "nonnegative":
            return value > 0 if tensor.kind == "param" else value >= 0
        case "unit_interval":
            return 0 < value < 1 if tensor.kind == "param" else 0 <= value <= 1
        case "simplex":
            return value > 0
        case "boolean":
            return value in (0, 1)
        case _:
            return True
