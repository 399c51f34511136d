"""Variables that data may lack: those that a program asks `observed(x)` of."""

from dataclasses import replace

from pgcompile.model.kinds import expressions_of
from pgcompile.model.model import Model
from pgcompile.syntax import tree


def mark_optional(model: Model) -> None:
    """Let the spaces of variables in `observed(x)` be optional."""
    formulas = [objective.expr for objective in model.objectives.values()]
    formulas += [e for f in (*model.factors, *model.deterministic.values()) for e in expressions_of(f)]
    for call in tree.walk(*formulas):
        match call:
            case tree.Call("observed", (tree.Argument(None, tree.Name(id)),), None) if id in model.spaces:
                model.spaces[id] = replace(model.spaces[id], optional=True)
            case _:
                pass
