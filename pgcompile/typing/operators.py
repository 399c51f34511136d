"""Types of arithmetic: elementwise operators, whose shapes are equal or scalars, and products of matrices."""

from fractions import Fraction

from pgcompile.model.literals import evaluate
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.context import TypingContext
from pgcompile.typing.number_kinds import KindRule, kind_of_power, kind_of_product, kind_of_quotient, kind_of_sum
from pgcompile.typing.scope import Scope
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import Space, contains, join


def type_of_negative(typer: TypingContext, expr: tree.Negative, scope: Scope) -> Typed | None:
    """Type of `-a`."""
    inner = typer.typed(expr.operand, scope)
    return inner and Typed(Space("real", inner.shape), differentiable=inner.differentiable)


def type_of_sum(typer: TypingContext, expr: tree.Sum, scope: Scope) -> Typed | None:
    """Type of `a + b - c`."""
    kind = kind_of_sum([sign for sign, _ in expr.terms])
    return _elementwise(typer, [term for _, term in expr.terms], scope, kind)


def type_of_at_first(typer: TypingContext, expr: tree.AtFirst, scope: Scope) -> Typed | None:
    """Type of what differs at the first place of an index: both sides fit together as those of a sum do."""
    return _elementwise(typer, [expr.first, expr.rest], scope, lambda kinds, _: join(*kinds))


def type_of_product(typer: TypingContext, expr: tree.Product, scope: Scope) -> Typed | None:
    """Type of `a * b`, entry by entry."""
    return _elementwise(typer, list(expr.factors), scope, kind_of_product)


def type_of_quotient(typer: TypingContext, expr: tree.Quotient, scope: Scope) -> Typed | None:
    """Type of `a / b`, entry by entry; a division by zero is reported."""
    if evaluate(expr.denominator, typer.model.constants) == 0:
        return typer.fail("PGC306", expr.span, f"`{typer.text(expr)}` divides by zero", "change the divisor")
    return _elementwise(typer, [expr.numerator, expr.denominator], scope, kind_of_quotient)


def type_of_power(typer: TypingContext, expr: tree.Power, scope: Scope) -> Typed | None:
    """Type of `a ^ b`, entry by entry."""
    kind = kind_of_power(evaluate(expr.exponent, typer.model.constants))
    return _elementwise(typer, [expr.base, expr.exponent], scope, kind)


def type_of_log(typer: TypingContext, expr: tree.Log, scope: Scope) -> Typed | None:
    """Type of `log a`; that of a number that is not positive is reported."""
    if scope.density(expr.operand):
        return Typed(Space("real"))
    inner = typer.typed(expr.operand, scope)
    value = evaluate(expr.operand, typer.model.constants)
    if isinstance(value, Fraction) and value <= 0:
        return typer.fail(
            "PGC306",
            expr.span,
            f"`{typer.text(expr)}` is not a number: the logarithm of {float(value):g}",
            "take the logarithm of something positive",
        )
    return inner and Typed(Space("real", inner.shape), differentiable=inner.differentiable)


def type_of_matmul(typer: TypingContext, expr: tree.MatMul, scope: Scope) -> Typed | None:
    """Type of `A @ b`: [..., K] and [K, ...] of one or two dimensions each."""
    a, b = typer.typed(expr.left, scope), typer.typed(expr.right, scope)
    if a is None or b is None:
        return None
    if len(a.shape) not in (1, 2) or len(b.shape) not in (1, 2) or a.shape[-1] != b.shape[0]:
        return typer.fail(
            "PGC301",
            expr.span,
            f"`{typer.text(expr.left)}` of shape {show(a.shape)} cannot be "
            f"multiplied by `{typer.text(expr.right)}` of shape {show(b.shape)}",
            "the last dimension of the left side must be the first of the right side",
        )
    both = [a.space.kind, b.space.kind]
    kind = "nonnegative" if all(contains("nonnegative", k) for k in both) else "real"
    if contains("simplex", a.space.kind):
        # Shares of rows: a mean of them, which lies where they do.
        inside = "simplex" if len(b.shape) == 2 and contains("simplex", b.space.kind) else "unit_interval"
        kind = inside if contains(inside, b.space.kind) else kind
    return Typed(Space(kind, (*a.shape[:-1], *b.shape[1:])), differentiable=a.differentiable and b.differentiable)


def broadcast(typer: TypingContext, operands: list[tuple[tree.Expr, Typed]]) -> tuple[int, ...] | None:
    """The common shape of elementwise operands: all alike, or scalars; None after a report."""
    shape: tuple[int, ...] = ()
    first: tree.Expr | None = None
    for operand, value in operands:
        if not value.shape:
            continue
        if first is None:
            shape, first = value.shape, operand
        elif value.shape != shape:
            typer.sink.add(
                "PGC301",
                operand.span,
                f"`{typer.text(first)}` is {show(shape)} and `{typer.text(operand)}` is {show(value.shape)}",
                related=[(first.span, f"this is {show(shape)}")],
                reasons=["shapes combine when they are equal, or when one is a scalar"],
                help="change the space or the net of one of them",
            )
            return None
    return shape


def warn_of_index(typer: TypingContext, expr: tree.Expr) -> None:
    """Warn of a category that is calculated with."""
    text = typer.text(expr)
    typer.sink.add(
        "W115",
        expr.span,
        f"`{text}` is an index, and its number has no size",
        help=f"write one_hot({text}), or an entry of a table: `means[{text}]`",
    )


def _elementwise(typer: TypingContext, operands: list[tree.Expr], scope: Scope, kind: KindRule) -> Typed | None:
    """Type of an operator that works entry by entry."""
    found = [typer.typed(operand, scope) for operand in operands]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return None
    shape = broadcast(typer, list(zip(operands, values, strict=True)))
    if shape is None:
        return None
    for operand, value in zip(operands, values, strict=True):
        if value.space.kind == "category":
            warn_of_index(typer, operand)
    space = Space(kind([v.space.kind for v in values], values), shape)
    # A gradient passes where it passes to one of the operands that depend on something.
    moving = [v for operand, v in zip(operands, values, strict=True) if names_in(operand) & scope.variables.keys()]
    return Typed(space, differentiable=any(v.differentiable for v in moving or values))
