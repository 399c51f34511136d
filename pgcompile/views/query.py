"""Conditional independence: does the graph say that x is independent of y given z (d-separation, Pearl 1988)?"""

import re
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from pgcompile.diagnostics import RequestError

_SPLIT = re.compile(r"_\|\|?_|⊥⊥?|\\\\perp(?:\\\\!+\\\\perp)?|\\perp|indep")

_COMMA = re.compile(r",(?![^{}]*\})")  # `r_{u,i}` is one name


@dataclass(frozen=True)
class Query:
    """`xs` independent of `ys` given `given`?"""

    xs: tuple[str, ...]
    ys: tuple[str, ...]
    given: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Answer to a query: independent, or a path that information flows along, with the reason at each step."""

    independent: bool
    path: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class QueryError(RequestError):
    """A question that cannot be read or asks about variables that are not there."""


def read_query(text: str, graph: nx.DiGraph) -> Query:
    """`x, w _|_ y | z`.

    Raises:
        QueryError: it is not of this form, or names a variable twice, or one that the graph does not have.
    """
    sides = _SPLIT.split(text, maxsplit=1)
    if len(sides) != 2:
        raise QueryError(f"`{text}` is no question: write `x _|_ y | z`")
    right, _, given = sides[1].partition("|")
    parts = [tuple(v.strip() for v in _COMMA.split(side) if v.strip()) for side in (sides[0], right, given)]
    called = graph.graph.get("called", {})  # `z_t` of a model with indices is one of its places
    parts = [tuple(called.get(v, v) for v in part) for part in parts]
    names = [v for part in parts for v in part]
    for name in names:
        if name not in graph:
            raise QueryError(f"{name} is not a variable of the model: {', '.join(sorted(graph))}")
        if names.count(name) > 1:
            raise QueryError(f"{name} stands on two sides of the question")
    if not parts[0] or not parts[1]:
        raise QueryError(f"`{text}` lacks a side: write `x _|_ y | z`")
    return Query(parts[0], parts[1], parts[2])


def names_asked(text: str) -> set[str]:
    """The names in a question, whether there are such variables or not."""
    return set(re.findall(r"\w+(?:_?\{[^{}]*\})?", text))


def answer(query: Query, graph: nx.DiGraph) -> Answer:
    """By d-separation; an open path is one along which information flows.

    Raises:
        QueryError: the graph has a circle, which d-separation says nothing of.
    """
    if not nx.is_directed_acyclic_graph(graph):
        circle = [edge[0] for edge in nx.find_cycle(graph)]
        raise QueryError(f"{' -> '.join([*circle, circle[0]])} is a circle: this is asked of graphs that have none")
    if nx.is_d_separator(graph, set(query.xs), set(query.ys), set(query.given)):
        return Answer(True)
    path = _open_path(query, graph)
    return Answer(False, path, tuple(_reasons(path, query, graph)))


def _open_path(query: Query, graph: nx.DiGraph) -> tuple[str, ...]:
    """A shortest open path, by breadth-first search over steps (Shachter's Bayes ball)."""
    given = set(query.given)
    above = given | {a for v in given for a in nx.ancestors(graph, v)}
    start: deque[tuple[tuple[str, ...], str]] = deque(
        [((x,), direction) for x in query.xs for direction in ("up", "down")]
    )
    seen: set[tuple[str, str]] = set()
    while start:
        path, direction = start.popleft()
        here = path[-1]
        if here in query.ys:
            return path
        if (here, direction) in seen:
            continue
        seen.add((here, direction))
        # `up`: we came from a child (or began here); `down`: from a parent.
        if direction == "up" and here not in given:
            start.extend(((*path, p), "up") for p in graph.predecessors(here) if p not in path)
            start.extend(((*path, c), "down") for c in graph.successors(here) if c not in path)
        if direction == "down":
            if here not in given:
                start.extend(((*path, c), "down") for c in graph.successors(here) if c not in path)
            if here in above:
                start.extend(((*path, p), "up") for p in graph.predecessors(here) if p not in path)
    return (*query.xs[:1], *query.ys[:1])


def _reasons(path: tuple[str, ...], query: Query, graph: nx.DiGraph) -> list[str]:
    """Why each inner variable of a path lets information through."""
    found = []
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        if graph.has_edge(before, here) and graph.has_edge(after, here):
            observed = (
                here
                if here in query.given
                else next((g for g in query.given if g in nx.descendants(graph, here)), here)
            )
            because = "given" if observed == here else f"an ancestor of {observed}, which is given"
            found.append(f"{here} is a common child of {before} and {after}, and {because}")
        elif graph.has_edge(here, before) and graph.has_edge(here, after):
            found.append(f"{here} is a common cause of {before} and {after}, and not given")
        else:
            found.append(f"{here} passes it on from {before} to {after}: it is not given")
    return found


def drawn_path(path: tuple[str, ...], graph: nx.DiGraph) -> str:
    """`x <- z -> y`."""
    text = path[0]
    for a, b in pairwise(path):
        text += f" -> {b}" if graph.has_edge(a, b) else f" <- {b}"
    return text
