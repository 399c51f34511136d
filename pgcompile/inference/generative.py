"""The generative part of a model, and the graph of its variables."""

import networkx as nx

from pgcompile.inference.circles import circle_of
from pgcompile.inference.declared_factors import is_sound
from pgcompile.inference.distributions import Resolver
from pgcompile.model.distributions import Distribution, names_of
from pgcompile.model.factors import Factor, FactorInstance, base_name
from pgcompile.model.model import Model


def generative_part(model: Model, resolver: Resolver) -> Distribution | None:
    """The product of all `p` factors (or, where none is called p, those named as the first factor is).

    None where they are no product, or one that cannot be drawn: a variable is generated twice, they condition on each
    other, or one is made from itself through deterministic variables.
    """
    if model.structure is not None:
        return model.structure if circle_of(model.structure, model) is None else None
    if not model.factors:
        return None
    names = [base_name(f.name) for f in model.factors]
    atoms = resolver.factors.called("p" if "p" in names else names[0])
    atoms = [a for a in atoms if not a.factor.is_data]
    product = Distribution(tuple(atoms))
    return product if atoms and is_sound(product) and circle_of(product, model) is None else None


def graph_of(model: Model, distribution: Distribution | None) -> nx.DiGraph:
    """Variables as nodes (each with the `factor` that generates it, if one does), edges from parent to child.

    Of a model with indices, the names of its templates, those at other places among them.
    """
    graph = nx.DiGraph()
    atoms: list[FactorInstance | Factor] = (
        list(distribution.atoms) if distribution is not None else [FactorInstance(f) for f in model.factors]
    )
    mentioned = {n for atom in atoms for side in names_of(atom) for n in side}
    atoms += [f for name, f in model.deterministic.items() if name in mentioned or {*f.parents} <= mentioned]
    for atom in atoms:
        targets, parents = names_of(atom)
        for target in targets:
            label = atom.label if atom.label[0] != "(" else f"{target} = f({','.join(parents)})"
            graph.add_node(target, factor=label)
        for parent in parents:
            if parent not in graph:
                graph.add_node(parent, factor=None)
            graph.add_edges_from((parent, target) for target in targets)
    return graph
