"""Energies as papers write them: `p(x) ∝ exp(-E(x))`, a density known up to its constant."""

from dataclasses import replace

from pgcompile.syntax import tree


def read_energies(program: tree.Program) -> tree.Program:
    """The program with `LogDensity(-E(x))` for `∝ exp(-E(x))`, for `= exp(-E(x))`, and for that over a constant `Z`."""
    declared = {
        name.id
        for s in program.statements
        if isinstance(s, tree.TensorDeclaration | tree.SpaceDeclaration)
        for name in s.names
    }
    declared |= {s.name.id for s in program.statements if isinstance(s, tree.ConstDeclaration)}
    declared |= {
        s.left.id for s in program.statements if isinstance(s, tree.Definition) and isinstance(s.left, tree.Name)
    }
    return replace(program, statements=tuple(_read(s, declared) for s in program.statements))


def _names(head: tree.Call) -> set[str]:
    """The variables that a factor is over: an energy speaks of one of them, `p(x|z) = exp(z)` is something else."""
    return {a.value.id for a in head.args if isinstance(a.value, tree.Name)}


def _read(statement: tree.Statement, declared: set[str]) -> tree.Statement:
    if not isinstance(statement, tree.Definition | tree.Proportional) or not isinstance(statement.left, tree.Call):
        return statement
    right = statement.right
    value = right.value if isinstance(right, tree.Where) else right
    if isinstance(value, tree.Quotient) and isinstance(value.denominator, tree.Name):
        # The constant of the density, which nobody has: `Z` is a name for it.
        value = value.numerator if value.denominator.id not in declared else value
    match value:
        case tree.Call("exp", (tree.Argument(None, log),), None) if _names(statement.left) & tree.names_in(right):
            made: tree.Expr = replace(value, name="LogDensity", args=(tree.Argument(None, log, span=log.span),))
        case _:
            return statement
    whole = replace(right, value=made) if isinstance(right, tree.Where) else made
    return tree.Definition(statement.left, whole, span=statement.span)
