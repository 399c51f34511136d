"""`W[k]` is an entry of W where the program declares a W, and a Wasserstein distance where it does not."""

from dataclasses import fields, replace
from typing import Any

from pgcompile.syntax import tree


def declared_names_win(program: tree.Program) -> tree.Program:
    """Functionals of one argument that are called like a declared tensor or variable become indexing."""
    declared = {
        name.id
        for statement in program.statements
        if isinstance(statement, tree.TensorDeclaration | tree.SpaceDeclaration)
        for name in statement.names
    }
    if not declared & {"W", "H", "KL", "CE", "MMD", "ELBO", "IWAE", "SW", "JS", "TC", "MI"}:
        return program
    return replace(program, statements=tuple(_replaced(s, declared) for s in program.statements))


def _replaced(node: Any, declared: set[str]) -> Any:
    if isinstance(node, tuple):
        return tuple(_replaced(item, declared) for item in node)
    if not isinstance(node, tree.Node):
        return node
    if isinstance(node, tree.Functional) and node.kind in declared and node.right is None:
        return tree.Index(tree.Name(node.kind, span=node.span), (_replaced(node.left, declared),), span=node.span)
    changes = {f.name: _replaced(getattr(node, f.name), declared) for f in fields(node) if f.name != "span"}
    return replace(node, **changes)
