"""Types of `mean_t f(x_t)` and `sum_t f(x_t)` in the formula of a variable: what all places have together."""

from collections.abc import Callable, Iterable

from pgcompile.model.indices import Indices
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.scope import Scope
from pgcompile.vocabulary.spaces import Space

_OF_SUMS = ("positive", "nonnegative")
_OF_MEANS = (*_OF_SUMS, "unit_interval", "simplex")
"""Kinds of spaces that a mean of their values stays in."""


def type_of_over_index(typer: TypingContext, expr: tree.OverIndex, scope: Scope) -> Typed | None:
    """Type of a sum or a mean over the places of an index: that of one place."""
    index = expr.index.id
    known = typer.model.indices.ranges.get(index)
    if known is None:
        return None  # it was reported where indices are read
    if expr.kind == "prod":
        message = "a product over places is of densities, under a logarithm"
        return typer.fail("PGC401", expr.span, message, f"write exp(sum_{index} log(...))")
    if known.of_data:
        return typer.fail(
            "PGC401",
            expr.span,
            f"{scope.where} would be computed from all data points, of which a batch has some",
            f"declare the index as one of a set: `index {index} in 1..{known.total}`, where each row is a set",
        )
    body = typer.typed(expr.body, scope)
    if body is None:
        return None
    if index not in loose_indices(expr.body, lambda name: carried_by(name, typer.model.indices)):
        return typer.fail(
            "PGC120",
            expr.span,
            f"what is summed over {index} does not carry it: every place gives the same",
            f"write its subscript, as in x_{index}, or leave the {expr.kind} out",
        )
    kept = _OF_SUMS if expr.kind == "sum" else _OF_MEANS
    kind = body.space.kind if body.space.kind in kept else "real"
    return Typed(Space(kind, body.space.shape), differentiable=body.differentiable)


def loose_indices(expr: tree.Node, of: Callable[[str], Iterable[str]]) -> set[str]:
    """The indices of an expression that it does not sum over.

    Args:
        expr: the expression.
        of: the indices that a name carries.
    """
    found: set[str] = set()
    pending: list[tuple[tree.Node, frozenset[str]]] = [(expr, frozenset())]
    while pending:
        node, summed = pending.pop()
        if isinstance(node, tree.OverIndex):
            summed = summed | {node.index.id}
        if isinstance(node, tree.Name):
            found |= {*of(node.id)} - summed
        pending += ((child, summed) for child in tree.children(node))
    return found


def carried_by(name: str, indices: Indices) -> tuple[str, ...]:
    """The indices of a name; one place, as x_1 or h_T, has none."""
    lag = indices.lags.get(name)
    return () if lag is not None and lag.reach == "one" else indices.of(name)
