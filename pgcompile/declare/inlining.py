"""Formulas that are put where they are used: objectives of one place, and products of whole sequences."""

from typing import Any

from pgcompile.declare.conditions import speaks_of_distributions
from pgcompile.declare.formulas import is_formula
from pgcompile.diagnostics import Sink
from pgcompile.model.factors import factor_label
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.places import places_of
from pgcompile.vocabulary.truncated_names import is_family_name


class Inlining:
    """Rewrites statements that have names of templates.

    Args:
        factors: the names of factors.
        sink: where faults go.
    """

    def __init__(self, factors: set[str], sink: Sink) -> None:
        self.sink = sink
        self.factors = factors
        self.formulas: dict[str, tree.Expr] = {}
        self.wholes: list[tuple[tree.Whole, tree.Expr]] = []

    def inlined(self, statements: list[tree.Statement]) -> list[tree.Statement]:
        """Objectives of one place put where they are used, and definitions of whole sequences by their products."""
        kept: list[tree.Statement] = []
        for statement in statements:
            match statement:
                case tree.Definition(tree.Name(id), right) if places_of(id) is not None and self._is_objective(right):
                    self.formulas[id] = right
                case tree.Definition(tree.Whole(call, index), right) if self._is_family(right):
                    self._report_whole(call, index)
                case tree.Definition(tree.Whole() as head, right):
                    self.wholes.append((head, right))
                case _:
                    kept.append(statement)
        for _ in self.formulas:  # each may use those before it
            self.formulas = {name: self._written_out(expr) for name, expr in self.formulas.items()}
        return [self._written_out(statement) for statement in kept]

    @staticmethod
    def _is_family(right: tree.Expr) -> bool:
        value = right.value if isinstance(right, tree.Where) else right
        return isinstance(value, tree.Call) and is_family_name(value.name)

    def _report_whole(self, call: tree.Call, index: str) -> None:
        """Report `q(z_{1:T}|x_{1:T}) = Normal(...)`: a family is that of one place."""
        targets, parents = (
            tuple(n for a in side for n in tree.names_in(a.value)) for side in (call.args, call.given or ())
        )
        label = factor_label(call.name, targets, parents)
        self.sink.add(
            "PGC212",
            call.span,
            "a family generates a variable at one place, and this is all of them",
            help=f"write `{label} = ...`, which holds for every {index}; the whole is their product",
        )
        self.sink.unread.add(call.name)

    def _is_objective(self, expr: tree.Expr) -> bool:
        """True of a formula of distributions; `r_n = mean_t f(x_{n,t})` is a variable."""
        if not is_formula(expr):
            return False
        return not isinstance(expr, tree.OverIndex) or speaks_of_distributions(expr, self.factors)

    def _written_out(self, node: Any) -> Any:
        match node:
            case tree.Name(id) if id in self.formulas:
                return self.formulas[id]
            case tree.Whole():
                return next((self._written_out(right) for head, right in self.wholes if head == node), node)
            case _:
                return mapped(node, self._written_out)
