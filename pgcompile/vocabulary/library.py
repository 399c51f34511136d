"""The library that emitted modules copy from, read as text: special functions, and the transforms of flows."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_SPECIAL = {"pgcompile.special": _ROOT.parent / "special.py"}
_TRANSFORMS = {
    f"pgcompile.vocabulary.transforms.{path.stem}": path
    for path in sorted((_ROOT / "transforms").glob("*.py"))
    if path.name != "__init__.py"
}


@dataclass(frozen=True)
class Library:
    """Functions, classes and tables by name.

    Args:
        sources: their text, those before others that build on them.
        modules: the module that holds each.
        uses: what each uses of the others.
    """

    sources: dict[str, str]
    modules: dict[str, str]
    uses: dict[str, list[str]]


@cache
def library(*, flows: bool) -> Library:
    """What a module may copy; the transforms are read only for programs with flows."""
    nodes: dict[str, ast.stmt] = {}
    texts: dict[str, str] = {}
    modules: dict[str, str] = {}
    for module, path in {**_SPECIAL, **(_TRANSFORMS if flows else {})}.items():
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            name = _defined(node)
            if name is not None:
                nodes[name], modules[name] = node, module
                texts[name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    ordered: dict[str, str] = {}

    def place(name: str) -> None:
        node = nodes[name]
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            if isinstance(base, ast.Name) and base.id in nodes:
                place(base.id)
        ordered.setdefault(name, texts[name])

    for name in nodes:
        place(name)
    inside = {
        name: {found.id for found in ast.walk(node) if isinstance(found, ast.Name)} for name, node in nodes.items()
    }
    uses = {name: [other for other in ordered if other in used and other != name] for name, used in inside.items()}
    return Library(ordered, modules, uses)


@cache
def transform_trees() -> tuple[ast.Module, ...]:
    """The syntax trees of the files of transforms."""
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in _TRANSFORMS.values())


@cache
def library_names() -> frozenset[str]:
    """Every name that an emitted file may hold, found without reading the files as Python."""
    pattern = re.compile(r"^(?:def |class )?(\w+)(?=\(|:| =)", re.MULTILINE)
    paths = (*_SPECIAL.values(), *_TRANSFORMS.values())
    return frozenset(name for path in paths for name in pattern.findall(path.read_text(encoding="utf-8")))


def _defined(node: ast.stmt) -> str | None:
    """What a statement of a file defines, for others to use."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "__all__":
        return node.targets[0].id
    return None
