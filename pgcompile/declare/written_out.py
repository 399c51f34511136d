"""Objectives inside a formula of values, such as `f` in `grad(f, x)`: what they are made of, in their place."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.vocabulary.functions import FUNCTIONS, OF_TERMS

MAX_SIZE = 10_000
"""The most nodes that an objective is written out in; one that would be larger stays a name, and is reported there."""


@dataclass
class WrittenOut:
    """Puts formulas where only values may stand, and leaves names where terms may: those are computed once.

    Args:
        formulas: the objectives by name.
        nets: those of the program.
        vectors: those of them that are no number, and so no objective of their own: they are written out everywhere.
    """

    formulas: Mapping[str, tree.Expr]
    nets: Container[str]
    vectors: Container[str] = ()
    _sizes: dict[str, int] = field(default_factory=dict)
    _found: dict[str, tree.Expr] = field(default_factory=dict)

    def of(self, name: str) -> tree.Expr:
        """The formula of an objective."""
        return self._changed(self.formulas[name], inside=False)

    def _changed(self, expr: tree.Expr, *, inside: bool) -> tree.Expr:
        if isinstance(expr, tree.Name):
            wanted = inside or expr.id in self.vectors
            return self._value(expr) if wanted and expr.id in self.formulas else expr
        inside = inside or self._takes_values(expr)
        found: tree.Expr = mapped(expr, lambda part: self._changed(part, inside=inside))
        return found

    def _takes_values(self, expr: tree.Expr) -> bool:
        match expr:
            case tree.Call(name=name, given=None):
                return name in self.nets or (name in FUNCTIONS and name not in OF_TERMS)
            case tree.Index() | tree.MatMul() | tree.ListLiteral() | tree.TupleLiteral():
                return True
            case _:
                return False

    def _value(self, name: tree.Name) -> tree.Expr:
        """The formula of an objective as a value; the name where it has a `where`, is of a ring, or is too large."""
        formula = self.formulas[name.id]
        if isinstance(formula, tree.Where) or self._size(name.id) > MAX_SIZE:
            return name
        if name.id not in self._found:
            self._found[name.id] = self._changed(formula, inside=True)
        return self._found[name.id]

    def _size(self, name: str) -> int:
        """The number of nodes of an objective that is written out; more than the most for one of a ring."""
        if name not in self._sizes:
            self._sizes[name] = MAX_SIZE + 1
            total = 0
            for node in tree.walk(self.formulas[name]):
                total += self._size(node.id) if isinstance(node, tree.Name) and node.id in self.formulas else 1
            self._sizes[name] = min(total, MAX_SIZE + 1)
        return self._sizes[name]
