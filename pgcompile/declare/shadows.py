"""Bindings of `where` that hide other names: `where (x, s) = f(x)` means the outer x on its right side."""

from dataclasses import replace
from itertools import count

from pgcompile.inference.expression_maker import renamed
from pgcompile.syntax import tree


def without_shadows(program: tree.Program) -> tree.Program:
    """The program with such bindings called by names of their own, so that every name means one thing.

    The numbers that are added are free in the whole program.
    """
    declared = _declared(program)
    defined = _defined(program)
    if not any(_hidden(right.bindings, declared, defined) for right in _wheres(program)):
        return program
    taken = {node.id for node in tree.walk(*program.statements) if isinstance(node, tree.Name)}
    taken |= {node.name for node in tree.walk(*program.statements) if isinstance(node, tree.Call)}
    return replace(
        program, statements=tuple(_without(statement, declared, defined, taken) for statement in program.statements)
    )


def _wheres(program: tree.Program) -> list[tree.Where]:
    rights = [s.right for s in program.statements if isinstance(s, tree.Definition | tree.Proportional)]
    return [right for right in rights if isinstance(right, tree.Where)]


def _declared(program: tree.Program) -> set[str]:
    """Names that the program declares or defines outside `where`."""
    found: set[str] = set()
    for statement in program.statements:
        match statement:
            case tree.SpaceDeclaration(names=names) | tree.TensorDeclaration(names=names):
                found |= {n.id for n in names}
            case tree.Definition(left=tree.Name(id)):
                found.add(id)
            case tree.NetDeclaration(name=name) | tree.FlowDeclaration(name=name) | tree.ExternNet(name=name):
                found.add(name.id)
            case _:
                pass
    return found


def _defined(program: tree.Program) -> set[tree.Binding]:
    """What the program says of its deterministic variables, as clauses of `where` would."""
    found = set[tree.Binding]()
    for statement in program.statements:
        if isinstance(statement, tree.Definition) and not isinstance(statement.left, tree.Call):
            right = statement.right.value if isinstance(statement.right, tree.Where) else statement.right
            found.add(tree.Binding(tree.defined_names(statement.left), right))
    return found


def _hidden(bindings: tuple[tree.Binding, ...], declared: set[str], defined: set[tree.Binding]) -> set[str]:
    """Names that bindings give and that stand for something else too, on their own right side or in the program."""
    bound = {n.id for b in bindings for n in b.names if b not in defined}
    return (bound & declared) | {name for b in bindings for name in tree.names_in(b.value) & {n.id for n in b.names}}


def _without(
    statement: tree.Statement, declared: set[str], defined: set[tree.Binding], taken: set[str]
) -> tree.Statement:
    if not isinstance(statement, tree.Definition | tree.Proportional) or not isinstance(statement.right, tree.Where):
        return statement
    names = {name: _free(name, taken) for name in sorted(_hidden(statement.right.bindings, declared, defined))}
    if not names:
        return statement
    bindings = []
    for binding in statement.right.bindings:
        own = {n.id for n in binding.names}
        outside = {old: new for old, new in names.items() if old not in own}
        bindings.append(replace(binding, names=renamed(binding.names, names), value=renamed(binding.value, outside)))
    where = replace(statement.right, value=renamed(statement.right.value, names), bindings=tuple(bindings))
    return replace(statement, right=where)


def _free(name: str, taken: set[str]) -> str:
    chosen = next(f"{name}_{number}" for number in count(1) if f"{name}_{number}" not in taken)
    taken.add(chosen)
    return chosen
