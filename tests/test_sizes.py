"""No class of the package is over 300 lines, and no function over 60 but those that `docs/decisions.md` names."""

import ast

from tests.programs import ROOT

LONGER = {"compile", "plan"}


def test_classes_and_functions_fit_their_sizes() -> None:
    over = []
    for path in sorted((ROOT / "pgcompile").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            lines = getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0) + 1
            if isinstance(node, ast.ClassDef) and lines > 300:
                over.append(f"{path.name}: {node.name}, {lines} lines")
            if isinstance(node, ast.FunctionDef) and lines > 60 and node.name not in LONGER:
                over.append(f"{path.name}: {node.name}, {lines} lines")
    assert over == []
