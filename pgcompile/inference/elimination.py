"""The order in which finite variables are summed out of a product, and how large its tables become."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import networkx as nx
from networkx.algorithms.approximation import treewidth_min_degree

from pgcompile.inference.algebra import drop_barren, hide_targets
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Atom
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable


@dataclass(frozen=True)
class Elimination:
    """Variables in the order in which they are summed out, and the entries of the largest table on the way."""

    order: tuple[Variable, ...]
    largest: int


def eliminate(atoms: tuple[Atom, ...], hidden: Mapping[Variable, int]) -> Elimination:
    """A good order by a tree decomposition (minimum degree).

    Args:
        atoms: the factors.
        hidden: the variables to sum out, with the number of their values.
    """
    graph = nx.Graph()
    graph.add_nodes_from(hidden)
    for atom in atoms:
        inside = [v for v in (*atom.targets, *atom.parents) if v in hidden]
        graph.add_edges_from((a, b) for i, a in enumerate(inside) for b in inside[i + 1 :])
    order: list[Variable] = []
    largest = 1
    for part in nx.connected_components(graph):
        _, tree = treewidth_min_degree(graph.subgraph(sorted(part)))
        largest = max(largest, *(prod(hidden[v] for v in bag) for bag in tree))
        order += _from_leaves(tree)
    return Elimination(tuple(order), largest)


def states(atom: Atom, model: Model) -> int | None:
    """The number of values that a factor's variable can take; None where they are not finitely many."""
    family = atom.factor.family
    space = model.spaces.get(atom.factor.targets[0])
    if family is None or space is None:
        return None
    match family.support:
        case "boolean":
            return 1 << min(prod(space.shape), 64)
        case "category":
            base: int = space.categories or 1
            return prod([base] * min(prod(space.shape), 64))
        case "one_hot" if len(space.shape) == 1:
            return space.shape[0]
        case _:
            return None


def hidden_states(distribution: Distribution, model: Model) -> dict[Variable, int] | None:
    """The number of values of each hidden variable; None where one of them is not finite."""
    makers = {t: atom for atom in distribution.atoms for t in atom.targets}
    counts = {h: states(makers[h], model) for h in distribution.hidden}
    known = {h: count for h, count in counts.items() if count is not None}
    return known if len(known) == len(counts) else None


def tables(distribution: Distribution, model: Model) -> Elimination | None:
    """The order in which the hidden variables of a product are summed out; None where one of them is not finite."""
    counts = hidden_states(distribution, model)
    return None if counts is None else eliminate(distribution.atoms, counts)


def evidence_of(posterior: Distribution) -> Distribution:
    """The marginal that a posterior is divided by, without what integrates to one."""
    return drop_barren(hide_targets(posterior))


def _from_leaves(tree: nx.Graph) -> list[Variable]:
    """The variables of a tree decomposition, those that are in one leaf only before the others."""
    tree = nx.Graph(tree)
    order: list[Variable] = []
    leaves = sorted((bag for bag in tree if tree.degree(bag) <= 1), key=sorted)
    while leaves:
        leaf = leaves.pop()
        if leaf not in tree:
            continue
        neighbours = list(tree[leaf])
        rest = neighbours[0] if neighbours else frozenset()
        order += sorted(leaf - rest)
        tree.remove_node(leaf)
        leaves += [bag for bag in neighbours if tree.degree(bag) <= 1]
    return order
