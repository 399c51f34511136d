"""`where` inside brackets: `E_{q(z|x)}[log p(x|h) where h = f(z)]`, names that are known only there.

What a name stands for is written in its place. A factor that is conditioned on it, or evaluated at it, needs a
variable: it gets one of its own, `h_1 = f(z)`, and the factor is renamed to it, `p(x|h)[h -> h_1]`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from pgcompile.inference.expression_maker import substituted
from pgcompile.syntax import tree


def without_inner_clauses(program: tree.Program) -> tree.Program:
    """The program without such clauses, and without those of objectives whose factors speak of what they bind."""
    if not any(isinstance(node, tree.Where) for node in tree.walk(*program.statements)):
        return program
    taken = {n.id for n in tree.walk(*program.statements) if isinstance(n, tree.Name)}
    taken |= {n.name for n in tree.walk(*program.statements) if isinstance(n, tree.Call)}
    factors: dict[str, set[str]] = {}
    for statement in program.statements:
        if isinstance(statement, tree.Definition) and isinstance(statement.left, tree.Call):
            factors.setdefault(statement.left.name, set()).update(_arguments(statement.left))
    statements: list[tree.Statement] = []
    for statement in program.statements:
        made = _Clauses(taken, factors, [])
        changed = _of_statement(statement, made)
        statements += [*made.variables, changed]
    return replace(program, statements=tuple(statements))


@dataclass(frozen=True)
class _Clauses:
    """What the clauses of one statement need.

    Args:
        taken: names that the program has.
        factors: the variables of its factors, by their names.
        variables: definitions that take the place of bindings.
    """

    taken: set[str]
    factors: dict[str, set[str]]
    variables: list[tree.Statement]

    def free(self, name: str) -> str:
        """A name like another that the program does not have; a subscript stays at its end."""
        base, mark, rest = name.partition("_")
        number = 1
        while (found := f"{base}{number}{mark}{rest}" if mark else f"{name}_{number}") in self.taken:
            number += 1
        self.taken.add(found)
        return found

    def is_factor(self, node: Any) -> bool:
        """True of a factor in a formula."""
        return isinstance(node, tree.Call) and (node.given is not None or node.name in self.factors)

    def variables_of(self, factor: tree.Call) -> list[str]:
        """Variables of a factor that it is declared with."""
        return [name for name in _arguments(factor) if name in self.factors.get(factor.name, ())]


def _of_statement(statement: tree.Statement, made: _Clauses) -> Any:
    if not isinstance(statement, tree.Definition) or not isinstance(statement.right, tree.Where):
        return _without(statement, made)
    value, bindings = _without((statement.right.value, statement.right.bindings), made)
    bound = {n.id for b in bindings for n in b.names}
    if isinstance(statement.left, tree.Name) and bound & set(_in_factors(value, made)):
        return replace(statement, right=_written(value, bindings, made))
    return replace(statement, right=replace(statement.right, value=value, bindings=bindings))


def _without(node: Any, made: _Clauses) -> Any:
    """A node, or a tuple of nodes, with the clauses inside it written out, the innermost first."""
    if isinstance(node, tuple):
        return tuple(_without(item, made) for item in node)
    if not isinstance(node, tree.Node):
        return node
    names = [f.name for f in fields(node) if f.name not in ("span", "name_span")]
    found = {name: _without(getattr(node, name), made) for name in names}
    changed = {name: value for name, value in found.items() if value is not getattr(node, name)}
    node = replace(node, **changed) if changed else node
    return _written(node.value, node.bindings, made) if isinstance(node, tree.Where) else node


def _written(value: Any, bindings: tuple[tree.Binding, ...], made: _Clauses) -> Any:
    """A formula with what is bound in the place of its names; later bindings may speak of earlier ones."""
    values: dict[str, tree.Expr] = {}
    renamed: dict[str, tree.Name] = {}
    spoken = set(_in_factors(value, made))
    for binding in bindings:
        whole = replace(binding, value=substituted(binding.value, values))
        for name in binding.names:
            one = whole.value if len(binding.names) == 1 else tree.Where(name, (whole,), span=name.span)
            if name.id in spoken:
                variable = tree.Name(made.free(name.id), span=name.span)
                made.variables.append(tree.Definition(variable, one, span=binding.span))
                renamed[name.id] = one = variable
            values[name.id] = one
    return _put(value, values, renamed, made)


def _put(node: Any, values: dict[str, tree.Expr], renamed: dict[str, tree.Name], made: _Clauses) -> Any:
    """A node with values in the place of names; factors keep their variables, and are renamed."""
    if isinstance(node, tuple):
        return tuple(_put(item, values, renamed, made) for item in node)
    if made.is_factor(node):
        pairs = tuple(
            (tree.Name(n, span=node.span), renamed[n]) for n in dict.fromkeys(made.variables_of(node)) if n in renamed
        )
        return tree.Rename(node, pairs, span=node.span) if pairs else node
    if not isinstance(node, tree.Node) or isinstance(node, tree.Name):
        return substituted(node, values)
    names = [f.name for f in fields(node) if f.name not in ("span", "name_span")]
    return replace(node, **{name: _put(getattr(node, name), values, renamed, made) for name in names})


def _in_factors(value: Any, made: _Clauses) -> Iterator[str]:
    """Variables of the factors in a formula."""
    for node in tree.walk(value):
        if made.is_factor(node):
            assert isinstance(node, tree.Call)
            yield from made.variables_of(node)


def _arguments(call: tree.Call) -> list[str]:
    return [a.value.id for a in (*call.args, *(call.given or ())) if isinstance(a.value, tree.Name)]
