"""Which draws are left in a rewritten objective."""

from pgcompile.model.values import Atom, Model
from pgcompile.objective.rewrite import Leaf, Rewritten, touched
from pgcompile.objective.terms import Draw, Env


def sampled_atoms(model: Model, rewritten: Rewritten) -> list[tuple[Draw, Atom]]:
    """Every factor that the objective draws from, with its draw, in the order found."""
    pending: list[tuple[str, Env]] = []
    leaves: list[Leaf] = list(rewritten.leaves.values())
    while leaves:
        pending += touched(leaves.pop(0))
    found: dict[tuple[int, Atom], tuple[Draw, Atom]] = {}
    seen: set[tuple[str, Env]] = set()
    while pending:
        item = pending.pop(0)
        if item in seen:
            continue
        seen.add(item)
        name, env = item
        draw = env.get(name)
        if draw is not None:
            drawn = draw.atom_of(name)
            if drawn is not None:
                found.setdefault((draw.number, drawn), (draw, drawn))
                pending += [(v, draw.inside) for v in drawn.parents]
        elif name in model.deterministic:
            pending += [(v, env) for v in model.deterministic[name].parents]
    return list(found.values())
