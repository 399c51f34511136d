"""Conditions on several parameters of a family, and on matrices as a whole."""

import math
from dataclasses import replace
from fractions import Fraction

from pgcompile.diagnostics import Span
from pgcompile.model.typed import Constant, Typed
from pgcompile.syntax import tree
from pgcompile.typing.checks.context import FamilyContext


def check_together(context: FamilyContext, types: dict[str, Typed]) -> None:
    """Report an empty interval, a matrix that is no covariance, and one that is decomposed at every call.

    Args:
        context: the factor.
        types: of its parameters, by name.
    """
    sink, label = context.sink, context.factor.label
    low, high = (types[n].literal if n in types else None for n in ("low", "high"))
    exprs = dict(context.use.parameters)
    if isinstance(low, Fraction) and isinstance(high, Fraction) and low >= high:
        sink.add(
            "PGC306",
            exprs["low"].span.to(exprs["high"].span),
            f"the interval of {label} is empty: low is {float(low):g} and high is {float(high):g}",
            help="write the smaller number first",
        )
    levels = types["levels"].literal if "levels" in types else None
    if isinstance(levels, Fraction) and levels < 2:
        message = f"{label} has {levels} levels, and needs two or more"
        sink.add("PGC306", exprs["levels"].span, message, help="write levels = 256")
    for name in ("covariance_matrix", "precision_matrix"):
        literal = types[name].literal if name in types else None
        if literal is not None and not is_positive_definite(literal):
            sink.add(
                "PGC306",
                exprs[name].span,
                f"{name} of {label} is not symmetric and positive definite",
                help="its eigenvalues must be positive; `scale_tril = L` takes a lower triangle with diagonal > 0",
            )
    if context.family.name == "OrderedLogistic":
        _spread_cutpoints(context, exprs["cutpoints"])
    if "covariance_matrix" in types and types["covariance_matrix"].literal is None:
        sink.add(
            "N105",
            exprs["covariance_matrix"].span,
            f"the covariance of {label} is decomposed at every call",
            help="a Cholesky factor is used as it is: `scale_tril = L`, with `L : lower_cholesky[D, D]`",
        )


def _spread_cutpoints(context: FamilyContext, expr: tree.Expr) -> None:
    """Start a param of cutpoints at equal shares of a standard logistic: those that start equal never part again."""
    found = context.model.tensors.get(expr.id) if isinstance(expr, tree.Name) else None
    if found is None or found.kind != "param" or found.initial is not None or found.space.kind != "real":
        return
    *rows, count = found.space.shape or (1,)
    each = [math.log((i + 1) / (count - i)) for i in range(count)]
    start: tree.Expr = tree.ListLiteral(tuple(_number(value, found.span) for value in each), span=found.span)
    for size in reversed(rows):
        start = tree.ListLiteral((start,) * size, span=found.span)
    context.model.tensors[found.name] = replace(found, initial=start)


def _number(value: float, span: Span) -> tree.Expr:
    number = tree.Number(f"{abs(value):.4f}", span=span)
    return tree.Negative(number, span=span) if value < 0 else number


def is_positive_definite(literal: Constant) -> bool:
    """Test whether a matrix of exact numbers is symmetric with positive pivots; one that is not square passes."""
    if not isinstance(literal, tuple) or not all(isinstance(row, tuple) for row in literal):
        return True  # its shape is reported elsewhere
    rows = [[x for x in row if isinstance(x, Fraction)] for row in literal if isinstance(row, tuple)]
    size = len(rows)
    if any(len(row) != size for row in rows):
        return True
    if any(rows[i][j] != rows[j][i] for i in range(size) for j in range(i)):
        return False
    for k in range(size):
        if rows[k][k] <= 0:
            return False
        for i in range(k + 1, size):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return True
