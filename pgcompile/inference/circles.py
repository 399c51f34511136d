"""Circles: variables that a draw of a distribution would make from themselves."""

import networkx as nx

from pgcompile.model.dependence import formula_parents
from pgcompile.model.distributions import Distribution
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable


def circle_of(distribution: Distribution, model: Model) -> list[Variable] | None:
    """The variables through which one is made from itself, looking through deterministic variables.

    A density may be scored at a value that is made from what it is a density of: `log p(x|z)` with `z = e(x)` is how an
    autoencoder is written. It cannot be drawn, for no value is there first.

    Returns:
        The variables along the circle, parent before child, with the first again at the end; None where there is none.
    """
    graph = nx.DiGraph()
    pending: list[Variable] = []
    for atom in distribution.atoms:
        graph.add_edges_from((parent, target) for parent in atom.parents for target in atom.targets)
        pending += atom.parents
    drawn, seen = set(distribution.targets), set[Variable]()
    while pending:
        variable = pending.pop()
        made = formula_parents(variable, model)
        if variable in drawn or variable in seen or not made:
            continue
        seen.add(variable)
        graph.add_edges_from((parent, variable) for parent in made)
        pending += made
    try:
        edges = nx.find_cycle(graph, sorted(drawn & set(graph)))
    except nx.NetworkXNoCycle:
        return None
    return [edges[0][0], *(edge[1] for edge in edges)]
