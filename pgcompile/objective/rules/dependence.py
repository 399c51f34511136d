"""Dependence of a formula on draws through its leaves: the guards that every rule asks."""

from typing import TYPE_CHECKING

import networkx as nx
from sympy import Expr

from pgcompile.model.variable import Variable
from pgcompile.objective.dependence import depends_on
from pgcompile.objective.leaves import Leaf, variables_of
from pgcompile.objective.terms import Draw, Env

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


def depends(state: "Rewriting", expr: Expr, draw: Draw) -> bool:
    """True if a formula depends on what a draw makes, what is summed out of it included: a mixture's component."""
    return depends_on_variables(state, expr, draw, {*draw.distribution.targets, *draw.variables})


def depends_on_variables(state: "Rewriting", expr: Expr, draw: Draw, variables: set[Variable]) -> bool:
    """True if a formula depends on some variables of a draw, other than through those of the same draw."""
    for symbol in expr.free_symbols:
        leaf = state.leaves.get(symbol)
        if leaf is not None and leaf_depends(state, leaf, draw, variables):
            return True
    return False


def leaf_depends(state: "Rewriting", leaf: Leaf, draw: Draw, variables: set[Variable]) -> bool:
    return any(reaches(state, name, env, draw, variables) for name, env in variables_of(leaf))


def reaches(state: "Rewriting", variable: Variable, env: Env, draw: Draw, blocked: set[Variable]) -> bool:
    """True if a variable, through deterministic ones and other draws, depends on a blocked variable of a draw."""
    return depends_on((variable, env), draw, blocked, state.model)


def downstream(state: "Rewriting", draw: Draw, variable: Variable) -> set[Variable]:
    """The variable and what descends from it, through deterministic variables too."""
    return {variable, *nx.descendants(graph_of_draw(state, draw), variable)}


def needed_variables(state: "Rewriting", pieces: list[Expr], draw: Draw) -> set[Variable]:
    """The drawn variables that some pieces depend on, with those above them."""
    found: set[Variable] = set()
    for variable in draw.variables:
        if any(depends_on_variables(state, piece, draw, {variable}) for piece in pieces):
            found.add(variable)
    if draw.distribution.evidence and found:
        return {*draw.variables}
    return found | above(state, found, draw)


def above(state: "Rewriting", variables: set[Variable], draw: Draw) -> set[Variable]:
    graph = graph_of_draw(state, draw)
    return {a for v in variables if v in graph for a in nx.ancestors(graph, v)} & {*draw.variables}


def graph_of_draw(state: "Rewriting", draw: Draw) -> nx.DiGraph:
    """The graph of the drawn variables, through deterministic ones."""
    graph = nx.DiGraph()
    graph.add_nodes_from(draw.variables)
    for atom in draw.distribution.atoms:
        graph.add_edges_from((parent, target) for parent in atom.parents for target in atom.targets)
    for name, factor in state.model.deterministic.items():
        graph.add_edges_from((Variable(parent), Variable(name)) for parent in factor.parents)
    return graph
