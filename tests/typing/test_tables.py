"""Tables of the typing rules: a row for every kind of expression, factor, function and argument there is."""

import ast
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pytest

import pgcompile.typing
from pgcompile.model.kinds import KINDS
from pgcompile.syntax import tree
from pgcompile.typing.checks.together import is_positive_definite
from pgcompile.typing.expressions import RULES
from pgcompile.typing.factors import CHECKS
from pgcompile.typing.function_shapes import SHAPES
from pgcompile.typing.layer_arguments import VALUE_KINDS
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import LAYERS

OF_THEIR_OWN = {"weight", "bias", "gradient", "jacobian", "observed", "tail", "quantile"}
"""Shapes of functions that are typed by rules of their own."""

ROOM = Path(pgcompile.typing.__file__).parent


def test_every_kind_of_expression_has_a_rule() -> None:
    assert {*RULES} == {*get_args(tree.Expr)} - {tree.Number}  # the value of a number is always known


def test_every_kind_of_factor_has_a_check() -> None:
    assert {*CHECKS} == {*KINDS}


def test_every_function_of_expressions_has_a_shape() -> None:
    assert {*SHAPES} == {function.shape for function in FUNCTIONS.values()} - OF_THEIR_OWN


def test_every_argument_of_a_layer_can_be_read() -> None:
    assert {*VALUE_KINDS} == {parameter.kind for layer in LAYERS.values() for parameter in layer.parameters}


def _imported(path: Path) -> set[str]:
    """The modules of the room that a file of it imports, in functions and under TYPE_CHECKING too."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    named = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return {name for name in {*named, *(node.module or "" for node in nodes)} if name.startswith("pgcompile.typing.")}


def test_the_room_has_no_circle() -> None:
    name = {
        path: "pgcompile.typing." + ".".join(path.relative_to(ROOM).with_suffix("").parts)
        for path in ROOM.rglob("*.py")
    }
    left = {name[path]: _imported(path) & {*name.values()} for path in name}
    while left:
        free = {module for module, imported in left.items() if not imported & {*left}}
        assert free, f"these import one another: {sorted(left)}"
        left = {module: imported for module, imported in left.items() if module not in free}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[2, 1], [1, 2]], True),
        ([[1, 2], [2, 1]], False),  # eigenvalues 3 and -1
        ([[2, 1], [0, 2]], False),  # not symmetric
        ([[0, 0], [0, 1]], False),  # an eigenvalue 0
        ([[4, 2, 0], [2, 4, 2], [0, 2, 4]], True),  # eigenvalues 4 and 4 +- 2 sqrt 2
        ([[1, 2, 3]], True),  # not square, which is reported elsewhere
    ],
)
def test_positive_definite_matrices(rows: list[list[int]], expected: bool) -> None:
    assert is_positive_definite(tuple(tuple(map(Fraction, row)) for row in rows)) is expected
