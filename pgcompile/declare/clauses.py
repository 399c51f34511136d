"""`where` in statements that have no place for names of their own: mixtures, products of experts, functions and nets.

What it binds is written where it stands: `w p_1(y) + (1 - w) p_2(y) where w = f(x)` speaks twice of `f(x)`, one value.
"""

from dataclasses import replace

from pgcompile.inference.expression_maker import substituted
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS

MAX_SIZE = 10_000
"""The most nodes that a formula is written out in; one that would be larger is left, and reported where it stands."""


def read_clauses(program: tree.Program) -> tree.Program:
    """The program without such clauses."""
    return replace(program, statements=tuple(map(_read, program.statements)))


def _read(statement: tree.Statement) -> tree.Statement:
    match statement:
        case tree.Definition(tree.Call(), tree.Where(value, bindings)) if not _binds(value):
            written = _written(value, bindings)
            return statement if written is None else replace(statement, right=written)
        case tree.Proportional(_, tree.Where(value, bindings)):
            written = _written(value, bindings)
            return statement if written is None else replace(statement, right=written)
        case tree.NetDeclaration(_, _, tree.Pipeline((first, *rest)), bindings) if bindings:
            written = _written(first, bindings)
            if written is None:
                return statement
            return replace(statement, body=replace(statement.body, stages=(written, *rest)), bindings=())
        case _:
            return statement


def _binds(value: tree.Expr) -> bool:
    """True if a right side has names of its own: a family, a flow or a log-density."""
    return isinstance(value, tree.Call) and value.name not in FUNCTIONS


def _written(value: tree.Expr, bindings: tuple[tree.Binding, ...]) -> tree.Expr | None:
    """An expression with what is bound in the place of its names; None where that is too large."""
    values: dict[str, tree.Expr] = {}
    sizes: dict[str, int] = {}
    left = list(bindings)
    while left:
        bound = {n.id for b in left for n in b.names}
        binding = next((b for b in left if not tree.names_in(b.value) & bound), None)
        if binding is None:
            return None  # a ring
        left.remove(binding)
        size = _size(binding.value, sizes)
        whole = substituted(binding.value, values) if size <= MAX_SIZE else None
        for name in binding.names:
            if whole is None:
                return None
            sizes[name.id] = size
            part = replace(binding, value=whole)
            values[name.id] = whole if len(binding.names) == 1 else tree.Where(name, (part,), span=name.span)
    if _size(value, sizes) > MAX_SIZE:
        return None
    found: tree.Expr = substituted(value, values)
    return found


def _size(expr: tree.Expr, sizes: dict[str, int]) -> int:
    return sum(sizes.get(node.id, 1) if isinstance(node, tree.Name) else 1 for node in tree.walk(expr))
