"""Graphs of models with indices: the templates as people draw them, and the places of a few, for questions."""

import re

import networkx as nx

from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.syntax.places import places_of, shown_place
from pgcompile.syntax.subscripts import Shift, subscripts

PLACES = 9
"""As many places of an index as questions are answered with, where none of them names a later one."""

MOST_PLACES = 400


def template_graph(graph: nx.DiGraph, model: Model) -> nx.DiGraph:
    """A graph over the names of templates with the variables at other places as marked edges, and plates as marks.

    Args:
        graph: of every name, those at other places among them.
        model: what it was made of.

    Returns:
        Nodes as people write them, with their `plate`; edges from another place have its subscript as `place`.
    """
    found = nx.DiGraph()
    for name, data in graph.nodes(data=True):
        if name not in model.indices.lags:
            plate = ", ".join(model.indices.of(name))
            found.add_node(shown_place(name), **data, **({"plate": plate} if plate else {}))
    for parent, child in graph.edges:
        lag = model.indices.lags.get(parent)
        if lag is None:
            found.add_edge(shown_place(parent), shown_place(child))
            continue
        place = parent[parent.index("_{") + 2 : -1].removeprefix("=")
        if lag.of not in graph:
            found.add_node(shown_place(lag.of), factor=None, plate=", ".join(model.indices.of(lag.of)))
        if not found.has_edge(shown_place(lag.of), shown_place(child)):
            found.add_edge(shown_place(lag.of), shown_place(child), place=place)
        for start in lag.starts:
            if isinstance(start, tree.Name) and start.id in graph:
                found.add_edge(start.id, shown_place(child), place="start")
    return found


def placed_graph(graph: nx.DiGraph, model: Model, asked: set[str]) -> nx.DiGraph:
    """The graph written out for some places of every index, in which `z_1` and `z_2` are nodes.

    `z_t` and `z_{t-1}` are places in the middle: `graph["called"]` says which.

    Args:
        graph: of every name.
        model: what it was made of.
        asked: names of a question; numbers in their subscripts say how many places are needed.
    """
    parts = [part for name in asked for part in re.findall(r"\d+", name.partition("_")[2])]
    numbers = [int(part) for part in parts if len(part) < 4]
    count = min(max([PLACES, *(number + 2 for number in numbers)]), MOST_PLACES)
    middle = count // 2 + 1
    found = nx.DiGraph()
    for child, data in graph.nodes(data=True):
        if child in model.indices.lags:
            continue
        for at in _grid(model, child, count):
            own = _at(model, child, at)
            found.add_node(own, **data)
            for parent in graph.predecessors(child):
                for other in _parents(model, parent, at, count):
                    found.add_edge(other, own)
    found.graph["called"] = {name: place for name in asked if (place := _called(model, name, middle)) is not None}
    return found


def _called(model: Model, name: str, middle: int) -> str | None:
    """The node of a name with an index in it, which is at a place in the middle."""
    split = subscripts(name, model.indices)
    if split is None or not all(isinstance(part, Shift) for part in split[1]):
        return None
    shifts = [part for part in split[1] if isinstance(part, Shift)]
    sizes = [model.indices.ranges[s.index].size or middle for s in shifts]
    places = [min(middle, size) + s.offset for s, size in zip(shifts, sizes, strict=True)]
    return "_".join([split[0], *map(str, places)])


def _grid(model: Model, name: str, count: int) -> list[dict[str, int]]:
    found: list[dict[str, int]] = [{}]
    for index in model.indices.of(name):
        size = model.indices.ranges[index].size or count
        found = [{**at, index: k} for at in found for k in range(1, min(size, count) + 1)]
    return found


def _at(model: Model, name: str, at: dict[str, int]) -> str:
    split = places_of(name)
    if split is None:
        return name
    return "_".join([split[0], *(str(at[index] + offset) for index, offset in split[1])])


def _parents(model: Model, parent: str, at: dict[str, int], count: int) -> list[str]:
    """The nodes that a parent stands for at some places."""
    lag = model.indices.lags.get(parent)
    if lag is None:
        return [_at(model, parent, at)]
    size = min(model.indices.ranges[lag.index].size or count, count)
    if lag.reach == "one":
        return [_at(model, lag.of, {**at, lag.index: lag.offset + 1 if lag.offset >= 0 else size})]
    if lag.reach:
        last = {"all": size, "here": at[lag.index], "past": at[lag.index] - 1}[lag.reach]
        return [_at(model, lag.of, {**at, lag.index: k}) for k in range(1, last + 1)]
    place = at[lag.index] + lag.offset
    if 1 <= place <= size:
        return [_at(model, lag.of, {**at, lag.index: place})]
    outside = 1 - place if lag.offset < 0 else place - size
    start = lag.starts[len(lag.starts) - outside] if outside <= len(lag.starts) else None
    return [start.id] if isinstance(start, tree.Name) else []
