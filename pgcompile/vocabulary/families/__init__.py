"""Every family, found by listing this folder: a file that defines `FAMILY` is a word of the language."""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from pgcompile.vocabulary.family import Family


@cache
def families() -> dict[str, Family]:
    """All families by name."""
    modules = sorted(module.name for module in iter_modules(__path__))
    found: list[Family] = [import_module(f"{__name__}.{name}").FAMILY for name in modules]
    return {family.name: family for family in sorted(found, key=lambda f: f.name)}


def family_paths() -> list[Path]:
    """The files of families."""
    return [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.name != "__init__.py"]
