"""Shapes of function calls: a rule for each word that a row of the functions' table may have as its `shape`."""

from collections.abc import Callable
from dataclasses import dataclass

from pgcompile.diagnostics import InternalError
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.operators import broadcast
from pgcompile.typing.tensor_shapes import (
    Operands,
    Shape,
    ShapeRule,
    dot,
    identity,
    joined,
    reshaped,
    stacked,
    summed_by_index,
    transposed,
)
from pgcompile.vocabulary.layers import show


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
        words = {1: "one argument", 2: "two arguments"}
        if self.most is None:
            return f"at least {words.get(self.least, f'{self.least} arguments')}"
        return f"{self.least} argument{'s' * (self.least > 1)}"


ARITIES = {
    **dict.fromkeys(("binary", "outer", "compare", "dot", "solve"), Arity(2, 2)),
    **dict.fromkeys(("cat", "stack"), Arity(1, None)),
    "clamp": Arity(1, 3),
    "where": Arity(3, 3),
    "reshape": Arity(2, None),
    "transpose": Arity(1, None),
    "einsum": Arity(2, None),
}
ONE = Arity(1, 1)
OPTIONS = {"clamp": frozenset({"min", "max"}), "cat": frozenset({"dim"})}
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


def _of_square(shapes: list[Shape]) -> Shape | None:
    return None if _square(shapes) is None else ()


def _solved(shapes: list[Shape]) -> Shape | None:
    matrix, right = shapes
    fits = _square(shapes) is not None and len(right) in (1, 2) and right[0] == matrix[0]
    return right if fits else None


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
    "shuffle": _elementwise,
    "one_hot": _one_hot,
    "compare": _elementwise,
    "where": _elementwise,
    "place": _without_last,
    "norm": _reduced,
    "dot": dot,
    "cat": joined,
    "stack": stacked,
    "reshape": reshaped,
    "einsum": summed_by_index,
    "eye": identity,
    "square": _of_matrices("a square matrix", _square),
    "transpose": transposed,
    "trace": _of_matrices("a square matrix", _of_square),
    "log_det": _of_matrices("a square matrix", _of_square),
    "solve": _of_matrices("a square matrix and a vector or matrix of as many rows", _solved),
    "diag": _of_matrices("a vector", _diagonal),
    "outer": _of_matrices("two vectors", _outer),
}
"""The rule of each `shape` of functions whose arguments are expressions."""
