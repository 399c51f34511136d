"""Graphs of models with indices, and what they say of places."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from tests.sequences.test_programs import FOLDER, TEXTS

CHAIN = """index t in 1..T
z_t, x_t : real
z_0 = 0
h_t : real
h_0 = 0
h_t = tanh(h_{t-1} + z_t)
p(z_t|z_{t-1}) = Normal(z_{t-1}, 1)
p(x_t|z_t) = Normal(z_t, 1)
"""


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("z_1 _|_ z_3 | z_2", True),
        ("z_1 _|_ z_3", False),
        ("z_1 _|_ z_3 | x_2", False),
        ("x_1 _|_ x_3 | z_2", True),
        ("x_t _|_ z_{t-1} | z_t", True),
        ("x_t _|_ x_{t-1} | z_t", True),
        ("x_t _|_ z_{t-1}", False),
        ("x_1 _|_ x_30 | z_20", True),
    ],
)
def test_a_question_is_of_places(question: str, holds: bool, tmp_path: Path) -> None:
    path = tmp_path / "chain.pgc"
    path.write_text(CHAIN)
    done = CliRunner().invoke(main, ["query", str(path), question])
    assert done.exit_code == (0 if holds else 3), done.output


def test_plates_and_recurrences_are_drawn() -> None:
    graph = pgc.compile(TEXTS["dmm"]).graph
    assert dict(graph.nodes(data="plate")) == {"z_0": None, "z_t": "t", "x_t": "t"}
    assert {(a, b, d.get("place")) for a, b, d in graph.edges(data=True)} == {
        ("z_0", "z_t", "start"),
        ("z_t", "z_t", "t-1"),
        ("z_t", "x_t", None),
    }
    marked = {
        "mermaid": ("subgraph plate_t", "t-1"),
        "dot": ("cluster_t", "style=dashed"),
        "svg": ("stroke-dasharray", ">t-1<"),
    }
    for form, marks in marked.items():
        done = CliRunner().invoke(main, ["graph", str(FOLDER / "dmm.pgc"), "--format", form])
        assert done.exit_code == 0, done.output
        assert all(mark in done.output for mark in marks), done.output
