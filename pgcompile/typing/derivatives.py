"""Types of `grad(f, x)` and `jacobian(f, x)`."""

from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.scope import Scope
from pgcompile.vocabulary.functions import STEPS_WHY
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import Space, is_countable


def type_of_derivative(typer: TypingContext, expr: tree.Call, scope: Scope) -> Typed | None:
    """Type of a derivative: the gradient of a number has the variable's shape, that of a vector is a matrix."""
    if len(expr.args) != 2 or any(a.name for a in expr.args):
        return typer.fail(
            "PGC311",
            expr.span,
            f"{expr.name} takes a formula and a variable, not {len(expr.args)} arguments",
            f"write {expr.name}(log p(x), x)",
        )
    value, at = expr.args[0].value, expr.args[1].value
    if not isinstance(at, tree.Name) or at.id not in scope.variables:
        return typer.fail(
            "PGC309",
            at.span,
            f"`{typer.text(at)}` is no variable of {scope.where}",
            "a derivative is with respect to a variable; those of params are taken by `maximize` and `minimize`",
        )
    inner, variable = typer.typed(value, scope), typer.typed(at, scope)
    if inner is None or variable is None:
        return None
    if is_countable(variable.space.kind):
        message = f"{at.id} is `{variable.space}`, and there is no slope between its values"
        return typer.fail("PGC309", at.span, message, None)
    if not inner.differentiable:
        typer.sink.add(
            "W111",
            value.span,
            f"no gradient passes through `{typer.text(value)}`",
            reasons=[STEPS_WHY],
            help="use a smooth function",
        )
    if expr.name == "grad":
        if inner.shape:
            message = f"grad takes a number, and `{typer.text(value)}` is {show(inner.shape)}"
            return typer.fail("PGC301", value.span, message, "write jacobian(f, x), or sum(f)")
        return Typed(Space("real", variable.shape))
    if len(inner.shape) != 1 or len(variable.shape) != 1:
        found = f"`{typer.text(value)}` is {show(inner.shape)} and {at.id} is {show(variable.shape)}"
        return typer.fail("PGC301", expr.span, f"jacobian takes two vectors: {found}", "write grad(f, x) of a number")
    return Typed(Space("real", (*inner.shape, *variable.shape)))
