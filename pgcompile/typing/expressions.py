"""Shapes and supports of expressions, before any tensor exists: a rule for each kind of expression."""

from collections.abc import Callable
from typing import Any

from pgcompile.diagnostics import InternalError, Sink, Span
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed, TypedMany
from pgcompile.syntax import tree
from pgcompile.typing.calls import type_of_call
from pgcompile.typing.context import TypingContext
from pgcompile.typing.indexing import type_of_index
from pgcompile.typing.names import type_of_literal, type_of_name, type_of_part
from pgcompile.typing.operators import (
    type_of_at_first,
    type_of_log,
    type_of_matmul,
    type_of_negative,
    type_of_power,
    type_of_product,
    type_of_quotient,
    type_of_sum,
)
from pgcompile.typing.over_places import type_of_over_index
from pgcompile.typing.scope import Result, Scope, bind
from pgcompile.typing.sequences import type_of_along

__all__ = ["RULES", "Result", "Rule", "Scope", "Typer", "bind"]

Rule = Callable[[TypingContext, Any, Scope], Result]


class Typer:
    """Infers the type of every expression of a model and reports what cannot be.

    Args:
        model: of the expressions.
        sink: of reports.
    """

    def __init__(self, model: Model, sink: Sink) -> None:
        self.model = model
        self.sink = sink

    def typed(self, expr: tree.Expr, scope: Scope) -> Typed | None:
        """Type of an expression that has one value; several values are reported.

        Args:
            expr: the expression.
            scope: the names it may use.

        Returns:
            Its type, None after a report.
        """
        result = self.infer(expr, scope)
        if isinstance(result, TypedMany):
            names = ", ".join(name or "?" for name in result.names)
            self.sink.add(
                "PGC314",
                expr.span,
                f"`{self.text(expr)}` has {len(result.items)} results",
                help=f"name them: `where ({names}) = {self.text(expr)}`",
            )
            return None
        return result

    def infer(self, expr: tree.Expr, scope: Scope) -> Result:
        """Type of an expression, by its value if that is known and by the rule of its kind if not.

        Args:
            expr: the expression.
            scope: the names it may use.

        Returns:
            Its type, None where a fault in it has been reported.

        Raises:
            InternalError: no rule for this kind of expression.
        """
        literal = evaluate(expr, self.model.constants)
        if literal is not None:
            return type_of_literal(self, expr, literal)
        rule = RULES.get(type(expr))
        if rule is None:
            raise InternalError(f"no type rule for {type(expr).__name__}")
        return rule(self, expr, scope)

    def permanent(self) -> "Typer":
        """The same, with reports where they are read: what is typed once is not typed again for its faults."""
        return self if self.sink.permanent is self.sink else Typer(self.model, self.sink.permanent)

    def quiet(self) -> "Typer":
        """The same, with reports that nobody reads."""
        return Typer(self.model, self.sink.quiet())

    def text(self, node: tree.Node) -> str:
        """A node as it is written, on one line."""
        return " ".join(self.sink.source.snippet(node.span).split())

    def fail(self, code: str, span: Span, message: str, help: str | None) -> Typed | None:
        """Report a fault; gives None, the type of what has no type."""
        self.sink.add(code, span, message, help=help)
        return None


def _list(typer: TypingContext, expr: tree.ListLiteral, scope: Scope) -> Result:
    """A list with an entry that is no number."""
    return typer.fail("PGC308", expr.span, "a list holds numbers only", "put expressions together with `cat(a, b)`")


def _tuple(typer: TypingContext, expr: tree.TupleLiteral, scope: Scope) -> Result:
    return typer.fail("PGC308", expr.span, "a pair of values has no meaning here", "use `cat(a, b)` to join vectors")


def _objective(typer: TypingContext, expr: tree.Expr, scope: Scope) -> Result:
    """An expression that stands in objectives only."""
    return typer.fail(
        "PGC401",
        expr.span,
        f"`{typer.text(expr)}` belongs in an objective, not in the parameters of {scope.where}",
        "parameters are expressions of variables, nets and numbers",
    )


def _meaningless(typer: TypingContext, expr: tree.Expr, scope: Scope) -> Result:
    return typer.fail("PGC401", expr.span, f"`{typer.text(expr)}` has no meaning here", None)


def _part(typer: TypingContext, expr: tree.Where, scope: Scope) -> Result:
    """One of the values that a clause binds, where the clause was written out."""
    if not isinstance(expr.value, tree.Name) or len(expr.bindings) != 1:
        return _meaningless(typer, expr, scope)
    (binding,) = expr.bindings
    position = [name.id for name in binding.names].index(expr.value.id)
    return type_of_part(typer, binding, position, typer.infer(binding.value, scope))


def _text(typer: TypingContext, expr: tree.Text, scope: Scope) -> Result:
    """A text where a value belongs."""
    message = f"the text {typer.text(expr)} is no value"
    return typer.fail("PGC308", expr.span, message, 'a text is the equation of `einsum("ij,jk->ik", A, B)`')


RULES: dict[type, Rule] = {
    tree.Name: type_of_name,
    tree.Negative: type_of_negative,
    tree.Sum: type_of_sum,
    tree.Product: type_of_product,
    tree.Quotient: type_of_quotient,
    tree.Power: type_of_power,
    tree.MatMul: type_of_matmul,
    tree.Log: type_of_log,
    tree.Index: type_of_index,
    tree.Call: type_of_call,
    tree.ListLiteral: _list,
    tree.TupleLiteral: _tuple,
    tree.Text: _text,
    tree.Expectation: _objective,
    tree.Functional: _objective,
    tree.Integral: _objective,
    tree.OverIndex: type_of_over_index,
    tree.Whole: _objective,
    tree.Along: type_of_along,
    tree.AtFirst: type_of_at_first,
    tree.Rename: _objective,
    tree.Pipeline: _meaningless,
    tree.Where: _part,
}
"""The rule of each kind of expression whose value is not known at compile time."""
