"""The interface between the typing rules: each sees the model, reports faults, and asks for the types of parts."""

from typing import Protocol

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.scope import Result, Scope


class TypingContext(Protocol):
    """The part of `Typer` that rules use; they never import the table that finds them."""

    @property
    def model(self) -> Model:
        """The model whose expressions are typed."""

    @property
    def sink(self) -> Sink:
        """The receiver of reports."""

    def infer(self, expr: tree.Expr, scope: Scope) -> Result:
        """Type of an expression; None where a fault in it has been reported."""

    def typed(self, expr: tree.Expr, scope: Scope) -> Typed | None:
        """Type of an expression that has one value; several values are reported."""

    def permanent(self) -> "TypingContext":
        """The same, with reports where they are read."""

    def quiet(self) -> "TypingContext":
        """The same, with reports that nobody reads."""

    def text(self, node: tree.Node) -> str:
        """A node as it is written, on one line."""

    def fail(self, code: str, span: Span, message: str, help: str | None) -> Typed | None:
        """Report a fault; gives None, the type of what has no type."""
