"""Every code of the catalogue: its wrong example gets it, and nothing else; its right example gets nothing."""

import re
from pathlib import Path

import pytest

import pgcompile as pgc
from pgcompile.diagnostics import CompileError, Diagnostic, Severity
from pgcompile.diagnostics.catalogue import CATALOGUE, Entry

ROOT = Path(__file__).parents[2]


def found(program: str, *, compiled: bool) -> list[Diagnostic]:
    if not compiled:
        return pgc.check(program)
    try:
        return pgc.compile(program).diagnostics
    except CompileError as error:
        return error.diagnostics


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.code)
def test_wrong_example(entry: Entry) -> None:
    note = entry.code.startswith("N")
    codes = {d.code for d in found(entry.wrong, compiled=entry.compiled) if note or d.severity is not Severity.NOTE}
    assert codes == {entry.code}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.code)
def test_right_example(entry: Entry) -> None:
    note = entry.code.startswith("N")
    left = [d for d in found(entry.right, compiled=entry.compiled) if note or d.severity is not Severity.NOTE]
    assert [(d.code, d.message) for d in left] == []


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    used = set()
    for path in (ROOT / "pgcompile").rglob("*.py"):
        if path.parent.name != "catalogue":
            used |= set(re.findall(r'"((?:PGC|W|N)\d{3})"', path.read_text(encoding="utf-8")))
    assert used == {entry.code for entry in CATALOGUE}


def test_errors_have_a_help_or_a_reason() -> None:
    """A message that only says no does not teach."""
    bare = []
    for entry in CATALOGUE:
        for diagnostic in found(entry.wrong, compiled=entry.compiled):
            if diagnostic.severity is Severity.ERROR and not (
                diagnostic.help or diagnostic.reasons or diagnostic.related
            ):
                bare.append((diagnostic.code, diagnostic.message))
    assert bare == []


def test_all_errors_come_in_one_run_and_in_source_order() -> None:
    program = "x : real\np(x) = Gaussian(0, 1)\np(y|x) = Normal(tahn(x), -1)\nq(z = 1\nmaximize foo"
    diagnostics = [d for d in pgc.check(program) if d.severity is Severity.ERROR]
    assert [d.code for d in diagnostics] == ["PGC102", "PGC103", "PGC006", "PGC113"] or len(diagnostics) >= 4
    assert [d.span.start for d in diagnostics] == sorted(d.span.start for d in diagnostics)


def test_a_warning_can_be_allowed_in_place() -> None:
    program = "x : real\np(x) = Gamma(1, 1)  # pgc: allow W103"
    assert pgc.check(program) == []


def test_compile_error_shows_the_caret_in_the_users_string() -> None:
    with pytest.raises(CompileError) as caught:
        pgc.compile(
            model="p(x|z) p(z)", objective="E_q[log p]", where={"x": "real", "z": "real", "p(z)": "Normal(0, -1)"}
        )
    text = str(caught.value)
    assert 'where["p(z)"]' in text
    assert "Normal(0, -1)" in text
    assert "^^" in text


def test_json_form() -> None:
    [diagnostic] = pgc.check("p(x|z) p(z|x)")
    data = diagnostic.to_json()
    assert data["code"] == "PGC203"
    assert (data["line"], data["column"]) == (1, 1)
    assert data["severity"] == "error"


def test_the_documentation_is_up_to_date() -> None:
    import subprocess
    import sys

    subprocess.run([sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], check=True, capture_output=True)
