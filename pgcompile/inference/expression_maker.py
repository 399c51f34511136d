"""Makes and renames expressions: what derived factors are written with."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree

ONE, ZERO = tree.Number("1"), tree.Number("0")


@dataclass(frozen=True)
class Maker:
    """Makes expressions that stand at one place; sums without zeros, products without ones."""

    span: Span

    def number(self, text: str) -> tree.Expr:
        """A literal."""
        return tree.Number(text, span=self.span)

    def ones(self, size: int) -> tree.Expr:
        """A vector of ones."""
        return tree.ListLiteral((ONE,) * size, span=self.span)

    def call(self, name: str, *args: tree.Expr) -> tree.Expr:
        """`name(args)`."""
        given = tuple(tree.Argument(None, a, span=self.span) for a in args)
        return tree.Call(name, given, None, name_span=self.span, span=self.span)

    def add(self, *terms: tree.Expr) -> tree.Expr:
        """`a + b + ...`."""
        kept = [t for t in terms if t != ZERO] or [ZERO]
        return kept[0] if len(kept) == 1 else tree.Sum(tuple((1, t) for t in kept), span=self.span)

    def minus(self, a: tree.Expr, *rest: tree.Expr) -> tree.Expr:
        """`a - b - ...`."""
        kept = [t for t in rest if t != ZERO]
        return tree.Sum(((1, a), *((-1, t) for t in kept)), span=self.span) if kept else a

    def times(self, *items: tree.Expr) -> tree.Expr:
        """`a * b * ...`."""
        kept = [f for f in items if f != ONE] or [ONE]
        if ZERO in kept:
            return ZERO
        return kept[0] if len(kept) == 1 else tree.Product(tuple(kept), span=self.span)

    def over(self, a: tree.Expr, b: tree.Expr) -> tree.Expr:
        """`a / b`."""
        return a if b == ONE or a == ZERO else tree.Quotient(a, b, span=self.span)

    def square(self, a: tree.Expr) -> tree.Expr:
        """`a^2`."""
        return a if a in (ONE, ZERO) else self.call("square", a)

    def matmul(self, a: tree.Expr, b: tree.Expr) -> tree.Expr:
        """`a @ b`."""
        return tree.MatMul(a, b, span=self.span)


def renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A node, or a tuple of nodes, with its names replaced."""
    return substituted(node, {old: tree.Name(new) for old, new in names.items()})


def substituted(node: Any, values: Mapping[str, tree.Expr]) -> Any:
    """A node, or a tuple of nodes, with expressions in the place of names; names that bindings bind are renamed too."""
    if isinstance(node, tuple):
        return tuple(substituted(item, values) for item in node)
    if not isinstance(node, tree.Node):
        return node
    if isinstance(node, tree.Name):
        found = values.get(node.id)
        return node if found is None else replace(found, span=node.span)
    changes = {
        f.name: substituted(getattr(node, f.name), values) for f in fields(node) if f.name not in ("span", "name_span")
    }
    return replace(node, **changes)
