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
    triangular = tensor.space.kind in ("lower_triangular", "lower_cholesky")
    if triangular or (tensor.kind == "param" and tensor.space.kind == "positive_definite"):
        _check_matrix(tensor, shape, flatten(value), expr, sink)
        return
    bad = next((x for x in flatten(value) if not _can_start_at(tensor, x)), None)
    if bad is not None and tensor.kind == "param" and _can_be(tensor, bad):
        sink.add(
            "PGC315",
            expr.span,
            f"{tensor.name} cannot start at {float(bad):g}: what is learned is a free number, which reaches the end of "
            f"`{tensor.space}` at infinity",
            help=f"start it near the end, as at {'0.01' if bad == 0 else '0.99'}, or make it a buffer, which stays",
        )
    elif bad is not None:
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
    fault = _misfit(tensor, name) if name else None
    if fault is not None:
        sink.add("PGC315", expr.span, fault, help="start it at a number, at `normal`, or leave the start out")
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
            return
        numbers = [a for a in arguments if isinstance(a, Fraction)]
        allowed = INITIALISERS[name].numbers
        if len(numbers) > allowed:
            takes = "no number" if allowed == 0 else "one number" if allowed == 1 else f"{allowed} numbers"
            sink.add("PGC315", expr.span, f"{name} takes {takes}, not {len(numbers)}", help=f"write `{name}`")
        elif name == "normal" and numbers and numbers[-1] < 0:
            sink.add("PGC315", expr.span, f"the scale of `{text}` is negative", help="write normal(0.1), say")
        elif name == "uniform" and len(numbers) == 2 and numbers[0] >= numbers[1]:
            sink.add("PGC315", expr.span, f"`{text}` is empty", help="the lower end comes first: uniform(-1, 1)")


def _misfit(tensor: TensorValue, name: str) -> str | None:
    """Why an initialiser cannot fill a tensor of this shape or space."""
    found = INITIALISERS.get(name)
    shape = tensor.space.shape
    if found is None:
        return None
    if len(shape) < found.least_rank or (found.square and shape[-1] != shape[-2]):
        needed = "a square matrix" if found.square else "a matrix"
        return f"{name} fills {needed}, and {tensor.name} is `{tensor.space}`"
    if name == "eye" and KINDS[tensor.space.kind].event_rank < 2 and tensor.space.kind != "real":
        return f"{tensor.name} cannot start at eye: `{tensor.space}` is {KINDS[tensor.space.kind].what}"
    return None


def _check_matrix(
    tensor: TensorValue, shape: tuple[int, ...] | None, numbers: list[Fraction], expr: tree.Expr, sink: Sink
) -> None:
    """A free matrix can start at a triangle with a positive diagonal, or at the identity."""
    size = tensor.space.shape[-1]
    rows = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    triangular = tensor.space.kind == "lower_triangular"
    if triangular and not any(numbers):
        return
    if shape == tensor.space.shape and (triangular or tensor.space.kind == "lower_cholesky"):
        upper = any(x for i, row in enumerate(rows) for x in row[i % size + 1 :])
        if not upper and (triangular or all(row[i % size] > 0 for i, row in enumerate(rows))):
            return
    sink.add(
        "PGC315",
        expr.span,
        f"{tensor.name} cannot start there: `{tensor.space}` is {KINDS[tensor.space.kind].what}",
        help="start it at `eye`" + ("" if tensor.space.kind == "positive_definite" else ", or at a lower triangle"),
    )


def _can_start_at(tensor: TensorValue, value: Fraction) -> bool:
    """True if a tensor can start at a number: the ends of an open interval are infinitely far from a free parameter."""
    inside = (_FREE if tensor.kind == "param" else _CLOSED).get(tensor.space.kind)
    return inside is None or inside(value)


def _can_be(tensor: TensorValue, value: Fraction) -> bool:
    """True if a number lies in the space of a tensor."""
    inside = _CLOSED.get(tensor.space.kind)
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
