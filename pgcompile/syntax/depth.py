"""The depth of a statement, which is bounded: what goes through it afterwards calls itself once a level."""

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree

MAX_DEPTH = 60
"""Levels of an expression, a name that `where` binds counting as what it stands for."""


def too_deep(statement: tree.Node) -> Span | None:
    """The place of a statement that is nested deeper than it may be; None where it is not.

    Each node is looked at once, without recursion, so that the answer does not depend on the depth.
    """
    bound = {name.id: binding.value for binding in _bindings(statement) for name in binding.names}
    depths: dict[int, int] = {}
    pending: list[tuple[tree.Node, bool]] = [(statement, False)]
    open_names: set[int] = set()
    while pending:
        node, done = pending.pop()
        if id(node) in depths:
            continue
        below = [*tree.children(node)]
        if isinstance(node, tree.Name) and node.id in bound and id(bound[node.id]) not in open_names:
            below.append(bound[node.id])
        if not done:
            open_names.add(id(node))
            pending.append((node, True))
            pending += [(child, False) for child in below if id(child) not in depths and id(child) not in open_names]
            continue
        open_names.discard(id(node))
        # Sums over variables are walked, not entered: they may be as many as there are variables.
        own = 0 if isinstance(node, tree.Integral) else 1
        depths[id(node)] = own + max((depths.get(id(child), 0) for child in below), default=0)
        if depths[id(node)] > MAX_DEPTH + 4:  # a statement, its right side, a binding and an argument stand around
            return node.span
    return None


def _bindings(statement: tree.Node) -> tuple[tree.Binding, ...]:
    right = getattr(statement, "right", None)
    return right.bindings if isinstance(right, tree.Where) else ()
