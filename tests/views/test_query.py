"""`pgc query`: independence by d-separation, with the open path where it does not hold."""

import itertools

import networkx as nx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import pgcompile as pgc
from pgcompile.cli import main
from pgcompile.views.query import Query, QueryError, answer, read_query

ASIA = "p(a) p(s) p(t|a) p(l|s) p(b|s) p(e|t,l) p(x|e) p(d|e,b)"


@pytest.mark.parametrize(
    ("question", "lines"),
    [
        ("a _|_ s", ["yes: a and s are independent"]),
        ("t ⊥ l", ["yes"]),
        ("t _|_ l | e", ["no", "open path: t -> e <- l", "e is a common child of t and l, and given"]),
        ("t _|_ l | x", ["e is a common child of t and l, and an ancestor of x, which is given"]),
        ("l _|_ b", ["open path: l <- s -> b", "s is a common cause of l and b, and not given"]),
        ("l _|_ b | s", ["yes: l and b are independent given s"]),
        ("a _|_ x", ["open path: a -> t -> e -> x", "t passes it on from a to e: it is not given"]),
        ("a, s _|_ d | e, b", ["yes"]),
    ],
)
def test_questions(question: str, lines: list[str]) -> None:
    result = CliRunner().invoke(main, ["query", ASIA, question])
    assert result.exit_code == (0 if lines[0].startswith("yes") else 3), result.output
    for line in lines:
        assert line in result.output


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("a s", "no question"),
        ("a _|_ q", "q is not a variable"),
        ("a _|_ a", "two sides"),
        ("a _|_ | s", "lacks a side"),
    ],
)
def test_questions_that_are_none(question: str, message: str) -> None:
    result = CliRunner().invoke(main, ["query", ASIA, question])
    assert result.exit_code == 2
    assert message in result.output
    with pytest.raises(QueryError):
        read_query(question, nx.DiGraph([("a", "s")]))


@st.composite
def questions(draw: st.DrawFn) -> tuple[nx.DiGraph, Query]:
    size = draw(st.integers(3, 6))
    graph = nx.DiGraph()
    graph.add_nodes_from(f"v{i}" for i in range(size))
    graph.add_edges_from((f"v{i}", f"v{j}") for i in range(size) for j in range(i + 1, size) if draw(st.booleans()))
    given_ = tuple(f"v{i}" for i in range(2, size) if draw(st.booleans()))
    return graph, Query(("v0",), ("v1",), given_)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(questions())
def test_an_open_path_is_open(asked: tuple[nx.DiGraph, Query]) -> None:
    """Every inner variable of a path obeys the rule of d-separation; there is a path exactly when there must be."""
    graph, query = asked
    found = answer(query, graph)
    blocked = all(_is_blocked(path, query, graph) for path in nx.all_simple_paths(graph.to_undirected(), "v0", "v1"))
    assert found.independent == blocked
    if not found.independent:
        assert not _is_blocked(list(found.path), query, graph)
        assert len(found.reasons) == len(found.path) - 2


def _is_blocked(path: list[str], query: Query, graph: nx.DiGraph) -> bool:
    given_ = set(query.given)
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        collider = graph.has_edge(before, here) and graph.has_edge(after, here)
        if collider and not given_ & {here, *nx.descendants(graph, here)}:
            return True
        if not collider and here in given_:
            return True
    return any(not (graph.has_edge(a, b) or graph.has_edge(b, a)) for a, b in itertools.pairwise(path))


def test_a_circle_has_no_independences() -> None:
    program = pgc.compile("""
        x, z : real
        p(x|z) = Normal(z, 1)
        p(z|x) = Normal(x, 1)
        ll = log p(x|z) + log p(z|x)
    """)
    question = read_query("x _|_ z", program.graph)
    with pytest.raises(QueryError, match="is a circle"):
        answer(question, program.graph)
