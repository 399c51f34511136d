"""Shapes of function calls: a rule for each word that a row of the functions' table may have as its `shape`."""

from collections.abc import Callable
from dataclasses import dataclass

from pgcompile.diagnostics import InternalError
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.operators import broadcast
from pgcompile.vocabulary.layers import show

Shape = tuple[int, ...]
Operands = list[tuple[tree.Expr, Typed]]
ShapeRule = Callable[[TypingContext, tree.Call, Operands], Shape | None]


@dataclass(frozen=True)
class Arity:
    """The number of arguments that a function takes by place.

    Args:
        least: the fewest.
        most: the most, None for any number.
    """

    least: int
    most: int | None

    def admits(self, count: int) -> bool:
        """Test a number of arguments."""
        return self.least <= count and (self.most is None or count <= self.most)

    @property
    def described(self) -> str:
        """For messages: `1 argument`, `at least one argument`."""
        return "at least one argument" if self.most is None else f"{self.least} argument{'s' * (self.least > 1)}"


ARITIES = {"binary": Arity(2, 2), "outer": Arity(2, 2), "cat": Arity(1, None), "clamp": Arity(1, 3)}
ONE = Arity(1, 1)
OPTIONS = {"clamp": frozenset({"min", "max"})}
"""The options that functions take by name, by their `shape`."""


def arity_of(shape: str) -> Arity:
    """The number of arguments of functions with this `shape`."""
    return ARITIES.get(shape, ONE)


def shape_of_call(typer: TypingContext, expr: tree.Call, rule: str, operands: Operands) -> Shape | None:
    """Event shape of a function's result.

    Args:
        typer: of the model.
        expr: the call.
        rule: the function's `shape`.
        operands: its arguments and their types.

    Returns:
        The shape, None after a report.

    Raises:
        InternalError: an unknown rule.
    """
    found = SHAPES.get(rule)
    if found is None:
        raise InternalError(f"no shape rule {rule}")
    return found(typer, expr, operands)


def _elementwise(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    return broadcast(typer, operands)


def _reduced(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """A scalar, from all event dimensions."""
    return ()


def _kept(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """The shape of an argument with at least one dimension."""
    first_expr, first = operands[0]
    if first.shape:
        return first.shape
    typer.fail("PGC301", first_expr.span, f"{expr.name} takes a vector, `{typer.text(first_expr)}` is a scalar", None)
    return None


def _without_last(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    shape = _kept(typer, expr, operands)
    return None if shape is None else shape[:-1]


def _one_hot(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """One dimension more, over the values of a category variable."""
    first_expr, first = operands[0]
    if first.space.categories is not None:
        return (*first.shape, first.space.categories)
    typer.fail(
        "PGC309",
        first_expr.span,
        f"one_hot takes a category variable, `{typer.text(first_expr)}` is `{first.space}`",
        "declare it as `category[10]`",
    )
    return None


def _joined(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
    """Vectors one after another; all dimensions but the last are alike."""
    first_expr, first = operands[0]
    width = 0
    for operand, value in operands:
        text = typer.text(operand)
        if not value.shape:
            typer.fail("PGC301", operand.span, f"cat joins vectors, `{text}` is a scalar", "declare it as `real[1]`")
            return None
        if value.space.kind == "category":
            typer.fail(
                "PGC301",
                operand.span,
                f"`{text}` is an index and cannot be joined to a vector",
                f"write one_hot({text})",
            )
            return None
        if value.shape[:-1] != first.shape[:-1]:
            typer.sink.add(
                "PGC301",
                operand.span,
                f"`{typer.text(first_expr)}` is {show(first.shape)} and `{text}` is {show(value.shape)}: "
                "joined vectors may differ in their last dimension only",
                related=[(first_expr.span, f"this is {show(first.shape)}")],
                help="bring them to one shape with `Flatten` or `Unflatten` in a net",
            )
            return None
        width += value.shape[-1]
    return (*first.shape[:-1], width)


# --- matrices ---


def _of_matrices(takes: str, shape: Callable[[list[Shape]], Shape | None]) -> ShapeRule:
    """The rule of a function of matrices or vectors.

    Args:
        takes: what it takes, for messages.
        shape: the shape of the result from those of the arguments; None where it does not take them.
    """

    def rule(typer: TypingContext, expr: tree.Call, operands: Operands) -> Shape | None:
        shapes = [value.shape for _, value in operands]
        result = shape(shapes)
        if result is None:
            found = " and ".join(map(show, shapes))
            typer.fail("PGC301", expr.span, f"{expr.name} takes {takes}, and this is {found}", None)
        return result

    return rule


def _square(shapes: list[Shape]) -> Shape | None:
    first = shapes[0]
    return first if len(first) == 2 and first[0] == first[1] else None


def _transposed(shapes: list[Shape]) -> Shape | None:
    return shapes[0][::-1] if len(shapes[0]) == 2 else None


def _diagonal(shapes: list[Shape]) -> Shape | None:
    return shapes[0] * 2 if len(shapes[0]) == 1 else None


def _outer(shapes: list[Shape]) -> Shape | None:
    return (shapes[0][0], shapes[1][0]) if all(len(shape) == 1 for shape in shapes) else None


SHAPES: dict[str, ShapeRule] = {
    "elementwise": _elementwise,
    "binary": _elementwise,
    "clamp": _elementwise,
    "reduce": _reduced,
    "last": _without_last,
    "keep": _kept,
    "one_hot": _one_hot,
    "cat": _joined,
    "square": _of_matrices("a square matrix", _square),
    "transpose": _of_matrices("a matrix", _transposed),
    "diag": _of_matrices("a vector", _diagonal),
    "outer": _of_matrices("two vectors", _outer),
}
"""The rule of each `shape` of functions whose arguments are expressions."""
