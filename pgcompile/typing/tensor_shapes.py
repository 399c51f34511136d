"""Shapes of the functions that join, reshape and contract tensors."""

from collections.abc import Callable
from math import prod

from pgcompile.model.calls import place_of, whole_numbers
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.vocabulary.layers import show

Shape = tuple[int, ...]
Operands = list[tuple[tree.Expr, Typed]]
ShapeRule = Callable[[TypingContext, tree.Call, Operands], Shape | None]

MOST_ENTRIES = 100_000_000


def dot(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """A number, from two tensors of one shape."""
    shapes = [value.shape for _, value in operands]
    if shapes[0] == shapes[1]:
        return ()
    typer.fail(
        "PGC301", expr.span, f"dot takes two of one shape, and this is {show(shapes[0])} and {show(shapes[1])}", None
    )
    return None


def joined(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """One after another along a dimension, the last one unless `dim` says another; a scalar is a vector of one."""
    if not _no_index(typer, operands):
        return None
    shapes = [value.shape or (1,) for _, value in operands]
    first = shapes[0]
    at = _dimension(typer, expr, len(first))
    if at is None:
        return None
    rest = (*first[:at], *first[at + 1 :])
    for (operand, _), shape in zip(operands, shapes, strict=True):
        if len(shape) != len(first) or (*shape[:at], *shape[at + 1 :]) != rest:
            which = "their last dimension" if at == len(first) - 1 else f"dimension {at}"
            _report_unlike(typer, operands[0], operand, shape, f"joined tensors may differ in {which} only")
            return None
    return (*first[:at], sum(shape[at] for shape in shapes), *first[at + 1 :])


def stacked(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """Tensors of one shape beside each other, along a new first dimension."""
    if not _no_index(typer, operands):
        return None
    first = operands[0][1].shape
    for operand, value in operands:
        if value.shape != first:
            _report_unlike(typer, operands[0], operand, value.shape, "stacked tensors have one shape")
            return None
    return (len(operands), *first)


def _no_index(typer: TypingContext, operands: Operands) -> bool:
    for operand, value in operands:
        if value.space.kind == "category":
            text = typer.text(operand)
            message = f"`{text}` is an index and cannot be joined to a vector"
            typer.fail("PGC309", operand.span, message, f"write one_hot({text})")
            return False
    return True


def _report_unlike(
    typer: TypingContext, first: tuple[tree.Expr, Typed], operand: tree.Expr, shape: Shape, why: str
) -> None:
    whole, value = first
    typer.sink.add(
        "PGC301",
        operand.span,
        f"`{typer.text(whole)}` is {show(value.shape)} and `{typer.text(operand)}` is {show(shape)}: {why}",
        related=[(whole.span, f"this is {show(value.shape)}")],
        help="bring them to one shape with `reshape(...)`, or with `Flatten` or `Unflatten` in a net",
    )


def _dimension(typer: TypingContext, expr: tree.Call, rank: int) -> int | None:
    """The dimension that `dim` names, the last one where it is not given; None after a report."""
    dim = next((a for a in expr.args if a.name == "dim"), None)
    if dim is None:
        return rank - 1
    at = place_of(dim.value, typer.model.constants)
    if at is not None and 0 <= at < rank:
        return at
    typer.fail(
        "PGC309",
        dim.span,
        f"`{typer.text(dim.value)}` is no dimension of {rank}",
        f"dimensions are numbered from 0 to {rank - 1}" + ("; `channels` is the first" if rank > 1 else ""),
    )
    return None


def _numbers(typer: TypingContext, expr: tree.Call, exprs: tuple[tree.Expr, ...], what: str) -> list[int] | None:
    numbers = whole_numbers(exprs, typer.model.constants)
    if numbers is None:
        typer.fail("PGC309", exprs[0].span, f"{expr.name} takes {what} as whole numbers known at compile time", None)
    return numbers


def reshaped(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """`reshape(a, 2, 3)` or `reshape(a, [2, 3])`: the same entries in another shape; -1 stands for what is left."""
    first = operands[0][1]
    sizes = _numbers(typer, expr, tuple(a.value for a in expr.args[1:]), "a shape")
    if sizes is None:
        return None
    entries, known = prod(first.shape), prod(size for size in sizes if size >= 0)
    free = [size for size in sizes if size < 0]
    if free == [-1] and known and entries % known == 0:
        sizes = [entries // known if size < 0 else size for size in sizes]
    if min(sizes, default=1) >= 0 and prod(sizes) == entries:
        return tuple(sizes)
    typer.fail(
        "PGC301",
        expr.span,
        f"`{typer.text(operands[0][0])}` is {show(first.shape)}, {entries} entries, and cannot be {show(tuple(sizes))}",
        "a shape with as many entries keeps them in their order; -1 stands for the size that is left",
    )
    return None


def transposed(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """`transpose(A)` of a matrix, `transpose(a, 1, 2, 0)` with the dimensions in another order."""
    shape = operands[0][1].shape
    if len(expr.args) == 1:
        if len(shape) == 2:
            return shape[::-1]
        typer.fail(
            "PGC301",
            expr.span,
            f"transpose takes a matrix, and this is {show(shape)}",
            "say the order of the dimensions: `transpose(a, 1, 2, 0)`" if len(shape) > 2 else None,
        )
        return None
    order = _numbers(typer, expr, tuple(a.value for a in expr.args[1:]), "an order of dimensions")
    if order is None:
        return None
    if sorted(order) == list(range(len(shape))):
        return tuple(shape[at] for at in order)
    places = ", ".join(map(str, range(len(shape))))
    message = f"`{typer.text(expr)}` is no order of the dimensions of {show(shape)}"
    typer.fail("PGC309", expr.span, message, f"each of {places} stands in it once" if shape else None)
    return None


def identity(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """`eye(n)`."""
    sizes = _numbers(typer, expr, (expr.args[0].value,), "its size")
    if sizes is None:
        return None
    if len(sizes) == 1 and sizes[0] > 0 and sizes[0] ** 2 <= MOST_ENTRIES:
        return (sizes[0], sizes[0])
    typer.fail("PGC309", expr.span, f"`{typer.text(expr)}` is no matrix", "write its size, as in `eye(3)`")
    return None


def summed_by_index(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """`einsum("ij,jk->ik", A, B)`: each letter is an index, those that are not on the right are summed over."""
    equation = expr.args[0].value
    text = "".join(equation.value.split()) if isinstance(equation, tree.Text) else ""
    left, arrow, right = text.partition("->")
    groups = left.split(",")
    letters = all(c.isascii() and c.isalpha() for c in left.replace(",", "") + right)
    if not (arrow and letters and len(groups) == len(operands) and len(set(right)) == len(right)):
        typer.fail(
            "PGC309",
            equation.span,
            f"`{typer.text(equation)}` says nothing of {len(operands)} tensors",
            'write a letter for each dimension: `einsum("ij,jk->ik", A, B)`',
        )
        return None
    sizes: dict[str, tuple[int, tree.Expr]] = {}
    for names, (operand, value) in zip(groups, operands, strict=True):
        if len(names) != len(value.shape):
            message = f"`{names}` names {len(names)} dimensions, `{typer.text(operand)}` is {show(value.shape)}"
            typer.fail("PGC301", operand.span, message, "write a letter for each dimension")
            return None
        for name, size in zip(names, value.shape, strict=True):
            known, other = sizes.setdefault(name, (size, operand))
            if known != size:
                typer.sink.add(
                    "PGC301",
                    operand.span,
                    f"the index {name} is {known} long in `{typer.text(other)}` and {size} in `{typer.text(operand)}`",
                    related=[(other.span, f"here it is {known}")],
                    help="one letter stands for dimensions of one length",
                )
                return None
    unknown = next((name for name in right if name not in sizes), None)
    if unknown is not None:
        typer.fail(
            "PGC309", equation.span, f"the index {unknown} is in none of the tensors", "take it off the right side"
        )
        return None
    return tuple(sizes[name][0] for name in right)
