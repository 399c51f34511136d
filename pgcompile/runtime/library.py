"""The library that emitted modules copy from, read as text: functions, distributions, and the transforms of flows."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

from pgcompile.vocabulary.families import family_paths
from pgcompile.vocabulary.transforms import fact_statements, transform_paths

_ROOT = Path(__file__).resolve().parent
_FUNCTIONS = {
    f"pgcompile.runtime.{path.stem}": path
    for path in sorted(_ROOT.glob("*.py"))
    if path.name not in ("__init__.py", "library.py")
}
_TRANSFORMS = {f"pgcompile.runtime.transforms.{path.stem}": path for path in transform_paths()}


@dataclass(frozen=True)
class Library:
    """Functions, classes and tables by name.

    Args:
        sources: their text, those before others that build on them.
        modules: the module that each can be imported from; a class in the file of its family has none.
        uses: what each uses of the others.
    """

    sources: dict[str, str]
    modules: dict[str, str]
    uses: dict[str, list[str]]


@cache
def library(*, flows: bool) -> Library:
    """The library that a module may copy from; the transforms are read only for programs with flows."""
    nodes: dict[str, ast.stmt] = {}
    texts: dict[str, str] = {}
    modules: dict[str, str] = {}
    for module, path in {**_FUNCTIONS, **(_TRANSFORMS if flows else {})}.items():
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            name = _defined(node)
            if name is not None:
                nodes[name], modules[name] = node, module
                texts[name] = _text(node, lines)
    for node, text in _family_classes():
        nodes[node.name], texts[node.name] = node, text
    ordered: dict[str, str] = {}

    def place(name: str) -> None:
        node = nodes[name]
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            if isinstance(base, ast.Name) and base.id in nodes:
                place(base.id)
        ordered.setdefault(name, texts[name])

    for name in nodes:
        place(name)
    inside = {name: _names_in(node) for name, node in nodes.items()}
    uses = {name: [other for other in ordered if other in used and other != name] for name, used in inside.items()}
    return Library(ordered, modules, uses)


@cache
def library_names() -> frozenset[str]:
    """Every name that an emitted file may hold, found without reading the files as Python."""
    pattern = re.compile(r"^(?:def |class )?(\w+)(?=\(|:| =)", re.MULTILINE)
    paths = (*_FUNCTIONS.values(), *_TRANSFORMS.values())
    found = {name for path in paths for name in pattern.findall(path.read_text(encoding="utf-8"))}
    return frozenset({*found, *(node.name for node, _ in _family_classes())})


@cache
def _family_classes() -> tuple[tuple[ast.ClassDef, str], ...]:
    """Classes in `distribution()` of the files of families: of those that torch lacks."""
    found: list[tuple[ast.ClassDef, str]] = []
    for path in family_paths():
        text = path.read_text(encoding="utf-8")
        if "\ndef distribution(" not in text:
            continue
        lines = text.splitlines()
        makers = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == "distribution")
        found += [
            (node, dedent("\n".join(lines[node.lineno - 1 : node.end_lineno])))
            for maker in makers
            for node in maker.body
            if isinstance(node, ast.ClassDef)
        ]
    return tuple(found)


def _text(node: ast.stmt, lines: list[str]) -> str:
    """The text of a definition, without the statements in which a class tells the compiler of itself."""
    left_out: set[int] = set()
    if isinstance(node, ast.ClassDef):
        facts = {id(statement) for statement in fact_statements(node).values()}
        for before, statement in pairwise(node.body):
            if id(statement) in facts:
                left_out |= {*range(before.end_lineno or 0, statement.end_lineno or 0)}
    decorators = node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
    first = min([node.lineno, *(found.lineno for found in decorators)])
    return "\n".join(lines[i] for i in range(first - 1, node.end_lineno or 0) if i not in left_out)


def _names_in(node: ast.stmt) -> set[str]:
    """The names that a definition uses."""
    facts = [*fact_statements(node).values()] if isinstance(node, ast.ClassDef) else []
    told = {id(found) for fact in facts for found in ast.walk(fact)}
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name) and id(found) not in told}


def _defined(node: ast.stmt) -> str | None:
    """The name that a statement of a file defines, for others to use."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "__all__":
        return node.targets[0].id
    return None
