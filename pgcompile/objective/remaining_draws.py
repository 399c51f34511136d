"""The draws that are left in a rewritten objective."""

from pgcompile.model.dependence import formula_parents
from pgcompile.model.factors import FactorInstance
from pgcompile.model.model import Model
from pgcompile.objective.dependence import Place
from pgcompile.objective.derivation import Rewritten
from pgcompile.objective.leaves import Leaf, variables_of
from pgcompile.objective.terms import Draw


def sampled_atoms(model: Model, rewritten: Rewritten) -> list[tuple[Draw, FactorInstance]]:
    """Every factor that the objective draws from, with its draw, in the order found."""
    pending: list[Place] = []
    leaves: list[Leaf] = list(rewritten.leaves.values())
    while leaves:
        pending += variables_of(leaves.pop(0))
    found: dict[tuple[Draw, FactorInstance], None] = {}
    seen: set[Place] = set()
    while pending:
        item = pending.pop(0)
        if item in seen:
            continue
        seen.add(item)
        variable, env = item
        draw = env.get(variable)
        if draw is not None:
            drawn = draw.atom_of(variable)
            if drawn is not None:
                found.setdefault((draw, drawn))
                pending += [(v, draw.inside) for v in drawn.parents]
        else:
            pending += [(v, env) for v in formula_parents(variable, model) or ()]
    return list(found)
