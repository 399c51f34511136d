"""The order in which finite variables are summed out of a product, and how large its tables become."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import networkx as nx
from networkx.algorithms.approximation import treewidth_min_degree

from pgcompile.model.values import Atom


@dataclass(frozen=True)
class Elimination:
    """Variables in the order in which they are summed out, and the entries of the largest table on the way."""

    order: tuple[str, ...]
    largest: int


def eliminate(atoms: tuple[Atom, ...], hidden: Mapping[str, int]) -> Elimination:
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
    order: list[str] = []
    largest = 1
    for part in nx.connected_components(graph):
        _, tree = treewidth_min_degree(graph.subgraph(sorted(part)))
        largest = max(largest, *(prod(hidden[v] for v in bag) for bag in tree))
        order += _from_leaves(tree)
    return Elimination(tuple(order), largest)


def _from_leaves(tree: nx.Graph) -> list[str]:
    """What is only in a leaf of the decomposition goes first."""
    tree = nx.Graph(tree)
    order: list[str] = []
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
