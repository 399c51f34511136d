"""Functions with arguments, `gp(x) = (norm(grad(D(x)[0], x)) - 1)^2`: the formula stands wherever one is called."""

from dataclasses import dataclass, replace

from pgcompile.inference.expression_maker import substituted
from pgcompile.model.factors import base_name
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.vocabulary.functions import FUNCTIONS

_DISTRIBUTIONS = ("p", "q")
"""Base names that a reader takes for distributions, whatever stands on the right."""


MAX_SIZE = 1_000
"""The most nodes of a function with those that it calls written out; one that would be larger is no function."""


@dataclass(frozen=True)
class Function:
    """A formula of values with names for what it is called with."""

    arguments: tuple[str, ...]
    formula: tree.Expr


def read_functions(program: tree.Program) -> tree.Program:
    """The program with formulas in the place of calls; called with its own arguments, a function is a name."""
    nets = {s.name.id for s in program.statements if isinstance(s, tree.NetDeclaration | tree.ExternNet)}
    known: dict[str, Function] = {}
    sizes: dict[str, int] = {}
    for statement in program.statements:
        if (found := _function(statement, nets)) is not None:
            name, function = found
            if name in known or name in nets:
                return program  # one name for two things: reported where names are
            sizes[name] = sum(
                sizes.get(node.name, 1) if isinstance(node, tree.Call) else 1 for node in tree.walk(function.formula)
            )
            if sizes[name] > MAX_SIZE:
                continue
            known[name] = function
            nets = nets | {name}
    if not known:
        return program

    def changed(node: tree.Node, *, named: bool) -> tree.Node:
        node = mapped(node, lambda part: changed(part, named=named))
        function = known.get(node.name) if isinstance(node, tree.Call) and node.given is None else None
        if function is None or not isinstance(node, tree.Call) or len(node.args) != len(function.arguments):
            return node
        given = tuple(a.value for a in node.args)
        pairs = list(zip(function.arguments, given, strict=True))
        if named and all(isinstance(value, tree.Name) and value.id == name for name, value in pairs):
            return tree.Name(node.name, span=node.span)
        # What it calls is written out too: a name would speak of its own arguments, not of these.
        formula = mapped(function.formula, lambda part: changed(part, named=False))
        made: tree.Node = substituted(formula, dict(pairs))
        return replace(made, span=node.span)

    def read(statement: tree.Statement) -> tree.Statement:
        # A factor speaks of its parents: there the formula itself stands, not a variable of its own.
        factor = isinstance(statement, tree.Definition) and isinstance(statement.left, tree.Call)
        own = factor and _function(statement, nets) is not None
        found: tree.Statement = mapped(statement, lambda part: changed(part, named=own or not factor))
        return found

    declared = _declared(program)
    called = {
        node.name for s in program.statements for node in tree.walk(_formula_of(s)) if isinstance(node, tree.Call)
    }
    written = {
        name
        for name, function in known.items()
        if name in called and not all(argument in declared for argument in function.arguments)
    }
    kept = [
        s
        for s in program.statements
        if not (isinstance(s, tree.Definition) and isinstance(s.left, tree.Call) and s.left.name in written)
    ]
    return replace(program, statements=tuple(map(read, kept)))


def _formula_of(statement: tree.Statement) -> tree.Node:
    """The right side of a definition, or the statement itself."""
    return statement.right if isinstance(statement, tree.Definition) else statement


def _declared(program: tree.Program) -> set[str]:
    """Names that stand for values of the program: a function of others has arguments of its own."""
    found: set[str] = set()
    for statement in program.statements:
        match statement:
            case tree.SpaceDeclaration(names=names) | tree.TensorDeclaration(names=names):
                found |= {n.id for n in names}
            case tree.ConstDeclaration(name=name) | tree.Definition(left=tree.Name() as name):
                found.add(name.id)
            case tree.Definition(left=tree.Call(name=name) as head) if base_name(name) in _DISTRIBUTIONS:
                found |= tree.names_in(head)
            case _:
                pass
    return found


def _function(statement: tree.Statement, nets: set[str]) -> tuple[str, Function] | None:
    match statement:
        case tree.Definition(tree.Call(name, args, None), right) if base_name(name) not in _DISTRIBUTIONS:
            pass
        case _:
            return None
    names = tuple(a.value.id for a in args if a.name is None and isinstance(a.value, tree.Name))
    if len(names) < len(args) or not names or not _is_of_values(right, nets):
        return None
    return name, Function(names, right)


def _is_of_values(right: tree.Expr, nets: set[str]) -> bool:
    """True for arithmetic and functions of nets and variables: nothing that could be a factor."""
    if not isinstance(
        right, tree.Power | tree.Sum | tree.Product | tree.Quotient | tree.Negative | tree.Index | tree.Call
    ):
        return False
    if isinstance(right, tree.Call) and right.name not in FUNCTIONS:
        return False
    for node in tree.walk(right):
        if isinstance(node, tree.Expectation | tree.Functional | tree.Integral | tree.Rename | tree.Log):
            return False
        if isinstance(node, tree.Call) and (node.given is not None or node.name not in {*FUNCTIONS, *nets}):
            return False
    return any(isinstance(node, tree.Call) for node in tree.walk(right))
