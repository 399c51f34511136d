"""Initial values of `param` and `buffer`: numbers that fit the space, or an initialiser."""

from collections.abc import Callable
from fractions import Fraction

from pgcompile.diagnostics import Sink, nearest
from pgcompile.model.literals import evaluate, flatten, shape_of
from pgcompile.model.tensors import TensorValue
from pgcompile.model.typed import Constant
from pgcompile.syntax import tree
from pgcompile.vocabulary.initialisers import INITIALISERS
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import KINDS


def check_initial(tensor: TensorValue, constants: dict[str, Fraction], sink: Sink) -> None:
    """Report an initial value that does not fit its tensor.

    Args:
        tensor: the `param` or `buffer`.
        constants: values of the named sizes.
        sink: of reports.
    """
    expr = tensor.initial
    if expr is None:
        return
    value = evaluate(expr, constants)
    if value is None:
        _check_initialiser(tensor, expr, constants, sink)
    else:
        _check_numbers(tensor, value, expr, sink)


def _check_numbers(tensor: TensorValue, value: Constant, expr: tree.Expr, sink: Sink) -> None:
    """Report numbers of another shape than the tensor, or outside its space."""
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
    bad = next((x for x in flatten(value) if not _can_start_at(tensor, x)), None)
    if bad is not None:
        sink.add(
            "PGC315",
            expr.span,
            f"{tensor.name} starts at {float(bad):g}, and `{tensor.space}` is {KINDS[tensor.space.kind].what}",
            help="start it inside its space",
        )


def _check_initialiser(tensor: TensorValue, expr: tree.Expr, constants: dict[str, Fraction], sink: Sink) -> None:
    """Report what is no initialiser, or one that starts outside the tensor's space."""
    text = " ".join(sink.source.snippet(expr.span).split())
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
    if name not in INITIALISERS:
        close = nearest(name, INITIALISERS) if name else None
        sink.add(
            "PGC315",
            expr.span,
            f"`{text}` is not an initial value",
            help=f"did you mean {close}?" if close else f"write a number, or one of {', '.join(sorted(INITIALISERS))}",
        )
    elif isinstance(expr, tree.Call):
        arguments = [evaluate(a.value, constants) for a in expr.args]
        if any(not isinstance(a, Fraction) for a in arguments) or any(a.name for a in expr.args):
            sink.add("PGC315", expr.span, f"`{text}` needs numbers", help="write normal(0.1), say")


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


def _can_start_at(tensor: TensorValue, value: Fraction) -> bool:
    """True if a tensor can start at a number: the ends of an open interval are infinitely far from a free parameter."""
    inside = (_FREE if tensor.kind == "param" else _CLOSED).get(tensor.space.kind)
    return inside is None or inside(value)


_CLOSED: dict[str, Callable[[Fraction], bool]] = {
    "positive": lambda value: value > 0,
    "nonnegative": lambda value: value >= 0,
    "unit_interval": lambda value: 0 <= value <= 1,
    "simplex": lambda value: value > 0,
    "boolean": lambda value: value in (0, 1),
}
"""The numbers of each kind of space, of those that are not all numbers."""
_FREE = {
    **_CLOSED,
    "nonnegative": lambda value: value > 0,
    "unit_interval": lambda value: 0 < value < 1,
}
"""The numbers at which a free parameter can start."""
