"""The library that emitted modules copy from, read as text: special functions, and the transforms of flows."""

import ast
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_SPECIAL = _ROOT.parent / "special.py"
TRANSFORMS = _ROOT / "transforms"


@cache
def library_files() -> tuple[Path, ...]:
    """The files, special functions first."""
    return (_SPECIAL, *sorted(p for p in TRANSFORMS.glob("*.py") if p.name != "__init__.py"))


@cache
def library_trees() -> dict[str, ast.Module]:
    """The syntax tree of each file, by its name as a module."""
    found = {}
    for path in library_files():
        name = "pgcompile.special" if path == _SPECIAL else f"pgcompile.vocabulary.transforms.{path.stem}"
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def library_sources() -> dict[str, str]:
    """Source of every function, class and table, those before others that build on them."""
    found: dict[str, str] = {}
    for path, tree in zip(library_files(), library_trees().values(), strict=True):
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in tree.body:
            name = _defined(node)
            if name is not None and isinstance(node, ast.stmt):
                found[name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    bases = {name: [base for base in _bases().get(name, ()) if base in found] for name in found}
    ordered: dict[str, str] = {}

    def place(name: str) -> None:
        if name not in ordered:
            for base in bases[name]:
                place(base)
            ordered[name] = found[name]

    for name in found:
        place(name)
    return ordered


def _defined(node: ast.stmt) -> str | None:
    """What a statement of a file defines, for others to use."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "__all__":
        return node.targets[0].id
    return None


@cache
def _bases() -> dict[str, tuple[str, ...]]:
    """What each class is derived from."""
    return {
        node.name: tuple(base.id for base in node.bases if isinstance(base, ast.Name))
        for tree in library_trees().values()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


@cache
def library_modules() -> dict[str, str]:
    """The module that holds each function, class and table."""
    return {name: module for module, tree in library_trees().items() for node in tree.body if (name := _defined(node))}


@cache
def library_uses() -> dict[str, list[str]]:
    """What each of them uses of the others."""
    sources = library_sources()
    names = {
        name: {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        for name, source in sources.items()
    }
    return {name: [other for other in sources if other in used and other != name] for name, used in names.items()}
