"""Whether every sampled variable passes a gradient to what it is computed with."""

from pgcompile.diagnostics import NOWHERE, Sink
from pgcompile.model.expressions import names_in
from pgcompile.model.values import Atom, FamilyUse, Model
from pgcompile.objective.review import learnables_of
from pgcompile.objective.rewrite import ClosedLeaf, Leaf, LogDensityLeaf, NamedLeaf, PlainLeaf, Rewritten
from pgcompile.objective.terms import Draw, Env


def check_gradients(model: Model, objectives: dict[str, Rewritten], sink: Sink) -> None:
    """Report draws that would silently train nothing: no pathwise gradient, although something learnable made them."""
    for name, rewritten in objectives.items():
        for draw, atom in sampled_atoms(model, rewritten):
            definition = atom.factor.definition
            if not isinstance(definition, FamilyUse) or definition.family.pathwise:
                continue
            learnable = _learnable(model, draw, atom)
            if not learnable:
                continue
            objective = model.objectives.get(name)
            sink.add(
                "PGC403",
                objective.span if objective is not None else NOWHERE,
                f"{name} samples {', '.join(atom.targets)} from {atom.label}, "
                f"and {definition.family.name} draws pass no gradient to "
                f"{', '.join(sorted(learnable))}",
                reasons=["the terms that depend on the draw would train with a zero gradient"],
                help=_RELAXED.get(definition.family.name, "use a reparameterisable family, such as Normal"),
            )


_SIMPLEX = "relax it: declare the variable `simplex[K]`, with RelaxedOneHotCategorical(0.5, logits = ...) in p and q"
_RELAXED = {
    "Bernoulli": "relax it: declare the variable `unit_interval`, with RelaxedBernoulli(0.5, logits = ...) in p and q",
    "Categorical": _SIMPLEX,
    "OneHotCategorical": _SIMPLEX,
}


def _learnable(model: Model, draw: Draw, atom: Atom) -> set[str]:
    """What is learned upstream of a draw: its own factor's nets and params, and those of what it is drawn from."""
    found: set[str] = set()
    stack, seen = [atom], {atom}
    while stack:
        current = stack.pop()
        found |= learnables_of(current.factor, model)
        for parent in current.parents:
            above = draw.atom_of(parent)
            other = draw.env.get(parent)
            if above is None and other is not None:
                above = other.atom_of(parent)
            if above is not None and above not in seen:
                seen.add(above)
                stack.append(above)
            if parent in model.deterministic:
                found |= learnables_of(model.deterministic[parent], model)
    return found


def sampled_atoms(model: Model, rewritten: Rewritten) -> list[tuple[Draw, Atom]]:
    """Every factor that the objective draws from, with its draw, in the order found."""
    pending: list[tuple[str, Env]] = []
    leaves: list[Leaf] = list(rewritten.leaves.values())
    while leaves:
        match leaves.pop(0):
            case LogDensityLeaf(atom, env):
                pending += [(v, env) for v in (*atom.targets, *atom.parents)]
            case ClosedLeaf(touches=touches):
                pending += list(touches)
            case PlainLeaf(expr, env):
                pending += [(v, env) for v in sorted(names_in(expr))]
            case NamedLeaf(_, value):
                leaves += list(value.leaves.values())
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
