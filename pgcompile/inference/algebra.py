"""The rules by which distributions combine, one function a rule. Each reports what breaks it and returns None."""

from collections.abc import Iterable, Mapping

import networkx as nx

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.values import Atom, Distribution
from pgcompile.model.variable import Variable, shown


def multiply(parts: Iterable[tuple[Distribution, Span]], sink: Sink, span: Span) -> Distribution | None:
    """The product of distributions: their targets must be disjoint and the joint graph acyclic.

    Hidden variables of the parts stay hidden; those that meet become copies of their own.
    """
    parts = list(parts)
    for part, place in parts:
        if part.evidence and len(parts) > 1:
            sink.add(
                "PGC213",
                place,
                f"the posterior {part.label} cannot be a factor of a product",
                help="multiply first, and divide then: `(sum_k p(y|k) p(x|k) p(k)) / p(x)` is p(y|x)",
            )
            return None
    seen: dict[Variable, tuple[str, Span]] = {}
    sound = True
    for part, place in parts:
        for target in part.targets:
            if target in seen:
                other, other_place = seen[target]
                sink.add(
                    "PGC202",
                    place,
                    f"these factors cannot be multiplied: {part.label} and {other} both generate {target}",
                    related=[(other_place, f"{target} is generated here already")],
                    help="a product of experts over one variable, normalised, is written with ∝ in place of ="
                    if all(p.targets == part.targets for p, _ in parts) and part.label != other
                    else f"leave {part.label} out"
                    if part.label == other
                    else f"leave one out, or rename it: `{part.label}[{target} -> {target}_2]`",
                )
                sound = False
            else:
                seen[target] = (part.label, place)
    if not sound:
        return None
    atoms: list[Atom] = []
    hidden: list[Variable] = []
    taken: set[Variable] = set()
    for part, _ in parts:
        fresh = _copies([h for h in part.hidden if h in taken], {*taken, *part.hidden})
        renamed = [atom.renamed(fresh) for atom in part.atoms]
        atoms += renamed
        hidden.extend(fresh.get(h, h) for h in part.hidden)
        taken.update(hidden, *((*atom.targets, *atom.parents) for atom in renamed))
    # The order in which a product is written says nothing: keep that in which the factors were declared.
    atoms.sort(key=lambda atom: (atom.factor.span, atom.label))
    product = Distribution(tuple(atoms), tuple(hidden))
    cycle = find_cycle(product)
    if cycle is None:
        return product
    places = [place for part, place in parts if set(part.targets) & set(cycle)]
    pairs = (
        f"{' and '.join(map(str, sorted(cycle)))} condition on each other"
        if len(cycle) == 2
        else f"{shown(cycle)} condition on each other in a ring"
    )
    if len(cycle) == 1:
        pairs = f"{cycle[0]} conditions on itself"
    sink.add(
        "PGC203",
        places[0] if places else span,
        f"these factors cannot be multiplied: {pairs}",
        related=[(place, "") for place in places[1:]],
        reasons=[f"cycle: {' -> '.join(map(str, [*cycle, cycle[0]]))}"],
        help=_order_help(product, cycle),
    )
    return None


def find_cycle(distribution: Distribution) -> list[Variable] | None:
    """The variables of a cycle, parent before child and starting at the smallest name, or None."""
    graph = nx.DiGraph()
    for atom in distribution.atoms:
        graph.add_edges_from((parent, target) for parent in atom.parents for target in atom.targets)
    if nx.is_directed_acyclic_graph(graph):
        return None
    variables = [edge[0] for edge in nx.find_cycle(graph, sorted(graph))]
    start = variables.index(max(variables))
    return variables[start:] + variables[:start]


def _order_help(product: Distribution, cycle: list[Variable]) -> str:
    if len(cycle) == 2:
        name = product.atoms[0].factor.name
        a, b = sorted(cycle)
        return f"a joint needs an order; write {name}({a}|{b}) {name}({b}) or {name}({b}|{a}) {name}({a})"
    return "a joint needs an order; remove one of the conditions"


def marginalise(
    distribution: Distribution, variables: Iterable[tuple[Variable, Span]], sink: Sink
) -> Distribution | None:
    """Integrate variables out: each must be a target. Its name is free again afterwards."""
    fresh: dict[Variable, Variable] = {}
    sound = True
    targets = set(distribution.targets)
    taken = {*distribution.hidden, *targets}
    for variable, place in variables:
        if variable in targets:
            fresh[variable] = variable.apart_from(taken)
            taken.add(fresh[variable])
            continue
        sound = False
        known = shown(distribution.targets)
        if variable in distribution.parents:
            sink.add(
                "PGC204",
                place,
                f"{variable} cannot be integrated out: {distribution.spelled} "
                "is conditioned on it but does not generate it",
                help=(
                    f"multiply by a factor that generates {variable}, such "
                    f"as p({variable}); here {known} can be integrated out"
                ),
            )
        else:
            sink.add(
                "PGC204",
                place,
                f"{variable} cannot be integrated out: it does not occur in {distribution.spelled}",
                help=f"here {known} can be integrated out",
            )
    if not sound:
        return None
    atoms = tuple(atom.renamed(fresh) for atom in distribution.atoms)
    return Distribution(atoms, (*distribution.hidden, *fresh.values()), distribution.evidence)


def hide_targets(distribution: Distribution) -> Distribution:
    """The density of the evidence of a posterior: everything that it infers is integrated out."""
    fresh = _copies(distribution.targets, distribution.hidden)
    atoms = tuple(atom.renamed(fresh) for atom in distribution.atoms)
    return Distribution(atoms, (*distribution.hidden, *fresh.values()))


def condition(joint: Distribution, evidence: Distribution, written: str, sink: Sink, span: Span) -> Distribution | None:
    """`joint / evidence`: the evidence, `written` so, must be the marginal of the joint over its own variables."""
    given = set(evidence.targets)
    if joint.evidence or evidence.evidence or not given < set(joint.targets):
        sink.add(
            "PGC213",
            span,
            f"{joint.spelled} divided by {written} is no posterior",
            reasons=[f"{written} is not a marginal of {joint.label}"],
            help="write p(z|x) = p(x|z) p(z) / p(x)",
        )
        return None
    whole = {atom.factor for atom in joint.atoms}
    # What the marginal leaves out must integrate to one: factors of variables that nothing else conditions on.
    left = hide_targets(Distribution(joint.atoms, joint.hidden, tuple(v for v in joint.targets if v in given)))
    kept = {atom.factor for atom in drop_barren(Distribution(left.atoms, left.hidden)).atoms}
    if not kept <= {atom.factor for atom in evidence.atoms} <= whole:
        sink.add(
            "PGC213",
            span,
            f"{written} is not what integrating {joint.spelled} gives",
            reasons=[f"it is made of {evidence.spelled}"],
            help=f"define it from the same factors: `{written} = ∫ {joint.spelled} "
            f"{' '.join(f'd{v}' for v in joint.targets if v not in given)}`",
        )
        return None
    return Distribution(joint.atoms, joint.hidden, tuple(v for v in joint.targets if v in given))


def rename(
    distribution: Distribution, pairs: Mapping[Variable, tuple[Variable, Span]], sink: Sink
) -> Distribution | None:
    """Rename variables, all at once. New names must not meet each other or a name that stays."""
    visible = (*distribution.targets, *distribution.parents)
    sound = True
    for old, (_, place) in pairs.items():
        if old not in visible:
            sink.add(
                "PGC207",
                place,
                f"{old} cannot be renamed: {distribution.label} has no such variable",
                help=f"its variables are {shown(visible)}",
            )
            sound = False
    staying = {v: v for v in visible if v not in pairs}
    for old, (new, place) in pairs.items():
        if new in staying:
            sink.add(
                "PGC206",
                place,
                f"{old} cannot be renamed to {new}: {distribution.label} already has "
                + (f"a variable {new}" if staying[new] == new else f"{staying[new]} renamed to {new}"),
                help=f"choose another name, or rename {new} too",
            )
            sound = False
        staying[new] = old
    if not sound:
        return None
    mapping = {old: new for old, (new, _) in pairs.items()}
    clash = _copies([v for v in mapping.values() if v in distribution.hidden], (*distribution.hidden, *visible))
    atoms = tuple(atom.renamed(clash).renamed(mapping) for atom in distribution.atoms)
    given = tuple(mapping.get(v, v) for v in distribution.evidence)
    return Distribution(atoms, tuple(clash.get(h, h) for h in distribution.hidden), given)


def _copies(variables: Iterable[Variable], taken: Iterable[Variable]) -> dict[Variable, Variable]:
    """A copy for each of some variables, apart from each other and from those that are taken."""
    found: dict[Variable, Variable] = {}
    for variable in variables:
        found[variable] = variable.apart_from((*taken, *found.values()))
    return found


def order_atoms(distribution: Distribution) -> list[Atom]:
    """Atoms with parents before children; ties keep the written order."""
    producer = {target: index for index, atom in enumerate(distribution.atoms) for target in atom.targets}
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(distribution.atoms)))
    for index, atom in enumerate(distribution.atoms):
        graph.add_edges_from((producer[parent], index) for parent in atom.parents if parent in producer)
    return [distribution.atoms[i] for i in nx.lexicographical_topological_sort(graph)]


def drop_barren(distribution: Distribution) -> Distribution:
    """Without the hidden variables that no remaining factor conditions on: each integrates to one."""
    atoms = list(distribution.atoms)
    children: dict[Variable, int] = {}
    for atom in atoms:
        for parent in atom.parents:
            children[parent] = children.get(parent, 0) + 1
    hidden = set(distribution.hidden)
    if not hidden:
        return distribution
    dropped: set[Atom] = set()
    for atom in reversed(order_atoms(distribution)):
        if all(t in hidden and not children.get(t) for t in atom.targets):
            dropped.add(atom)
            for parent in atom.parents:
                children[parent] -= 1
    kept = tuple(atom for atom in atoms if atom not in dropped)
    left = {t for atom in kept for t in atom.targets}
    return Distribution(kept, tuple(h for h in distribution.hidden if h in left), distribution.evidence)
