"""The corpus of wrong programs: what is said of each is pinned, and read before it is accepted (`pytest --promote`)."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import pgcompile as pgc
from pgcompile.diagnostics import CompileError, Diagnostic, Severity
from pgcompile.diagnostics.render import render_all
from tests.conftest import GOLDEN

BAD = sorted((GOLDEN / "bad").rglob("*.pgc"))


def found(path: Path) -> list[Diagnostic]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pgc.ProgramWarning)
        try:
            return pgc.compile(path.read_text(encoding="utf-8"), name="Bad").diagnostics
        except CompileError as error:
            return error.diagnostics


def test_the_corpus_is_large() -> None:
    assert len(BAD) >= 400


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_is_said(path: Path, golden: Callable[[str, str], None]) -> None:
    diagnostics = found(path)
    assert any(d.severity is not Severity.NOTE or d.code in ("N105", "N108") for d in diagnostics)
    golden(f"bad/{path.parent.name}/{path.stem}.txt", render_all(diagnostics, colour=False) + "\n")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_error_teaches(path: Path) -> None:
    """It says why or what to write, points inside the program, and names no token of the grammar."""
    for diagnostic in found(path):
        if diagnostic.severity is Severity.ERROR:
            assert diagnostic.help or diagnostic.reasons
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(diagnostic.source.text)
        said = " ".join([diagnostic.message, diagnostic.help or "", *diagnostic.reasons])
        assert not any(word in said for word in ("LPAR", "RSQB", "_powers", "None]", "Token(", "$END"))
