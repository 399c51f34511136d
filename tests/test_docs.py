"""The pages: links, paths and rooms are real, the site builds, and public names have examples."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pgcompile
from pgcompile import lazy
from tests.programs import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted(p for p in (ROOT / "docs").glob("*.md") if ".template" not in p.name),
]
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", _prose(page))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_in_pages_exist(page: Path) -> None:
    """Of the repository, of the package (`plan/ops.py`), or of the tests (`model/test_exact.py`)."""
    named = re.findall(r"`((?:[\w.]+/)+[\w.]*\w(?:\.py|\.lark|\.pgc|\.md)?|(?:[\w]+/)+)(?:::\w+)?`", _prose(page))
    real = {"pgcompile", "tests", "docs", "examples", "grammar", "benchmarks"}
    real |= {p.name for folder in ("pgcompile", "tests") for p in (ROOT / folder).iterdir() if p.is_dir()}
    paths = [n for n in named if n.split("/")[0] in real]
    places = (ROOT, ROOT / "pgcompile", ROOT / "tests")
    assert [n for n in paths if not any((place / n).exists() for place in places)] == []


def test_paths_in_docstrings_and_comments_exist() -> None:
    stale = []
    for path in sorted((ROOT / "pgcompile").rglob("*.py")):
        for named in re.findall(r"`((?:pgcompile|tests|docs|grammar)/[\w./]+)`", path.read_text(encoding="utf-8")):
            if not (ROOT / named).exists():
                stale.append(f"{path.relative_to(ROOT)}: {named}")
    assert stale == []


def _rooms() -> list[str]:
    """The table of rooms in CONTRIBUTING.md, from top to bottom."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| room | holds |") :].split("\n\n")[0]
    return [row.rstrip("/").removesuffix(".py") for row in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)]


def test_the_rooms_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c["type"] == "layers")["layers"]
    contracted = [room.strip().removeprefix("pgcompile.") for layer in layers for room in re.split(r"[|:]", layer)]
    rooms = _rooms()
    assert [room for room in rooms if room in contracted] == [room for room in contracted if room in rooms]
    assert {room.partition(".")[0] for room in contracted} <= {*rooms}


def test_every_package_is_named_in_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    packages = [p.name for p in (ROOT / "pgcompile").iterdir() if (p / "__init__.py").is_file()]
    assert [name for name in packages if f"`{name}/`" not in text] == []


def test_the_site_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'id="pgcompile.compile"' in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")


def _of_the_api() -> list[str]:
    return re.findall(r"^::: ([\w.]+)", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_api_page_names_what_is_public() -> None:
    """By whatever path: a class is itself wherever it is imported from."""
    listed = {id(_found(name)) for name in _of_the_api()}
    missing = [n for n in pgcompile.__all__ if id(getattr(pgcompile, n)) not in listed]
    missing += [n for n in lazy.__all__ if n.startswith(("Lazy", "Flow", "Un")) and id(getattr(lazy, n)) not in listed]
    assert set(missing) <= {"InternalError", "LazyFactor", "Unconditional"}


def _found(path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "path",
    [
        "pgcompile.compile",
        "pgcompile.check",
        "pgcompile.explain_error",
        "pgcompile.program.Program",
        "pgcompile.backends.source_map.SourceMap",
        "pgcompile.training.trainer.Trainer",
        "pgcompile.lazy.LazyDistribution",
        "pgcompile.lazy.LazyTransform",
        "pgcompile.lazy.LazyBijection",
        "pgcompile.lazy.LazyComposedTransform",
        "pgcompile.lazy.Flow",
        "pgcompile.lazy.NormalizingFlow",
        "pgcompile.lazy.UnconditionalDistribution",
        "pgcompile.lazy.UnconditionalTransform",
        "pgcompile.flows",
        "pgcompile.flows.RealNVP",
        "pgcompile.flows.MAF",
    ],
)
def test_public_names_have_an_example(path: str) -> None:
    """pytest runs it: `--doctest-modules` in pyproject.toml."""
    assert path in _of_the_api() or path.startswith("pgcompile.flows")
    documented = inspect.getdoc(_found(path)) or ""
    assert doctest.DocTestParser().get_examples(documented)
