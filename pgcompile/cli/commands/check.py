"""`pgc check`: every mistake of a program, and fixes of those that are mechanical."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from pgcompile.cli.messages import print_diagnostics, print_json
from pgcompile.cli.options import CONSTANTS, PROGRAM
from pgcompile.cli.programs import Constants, analysed, graph_of_program, source_of
from pgcompile.diagnostics import Severity, Source

_ROUNDS = 20  # of fixing: a fix may bring the next mistake to light


@click.command()
@PROGRAM
@CONSTANTS
@click.option("--json", "as_json", is_flag=True, help="Print diagnostics as JSON.")
@click.option("--warn", type=click.Choice(["default", "error"]), default="default", help="Treat warnings as errors.")
@click.option("--fix", is_flag=True, help="Apply the fixes that are mechanical to the file (formulas are printed).")
def command(program: str, constants: Constants, as_json: bool, warn: str, fix: bool) -> None:
    """Check PROGRAM (a file, `-` for standard input, or formulas in quotes) and report every mistake."""
    if fix:
        program = _fixed(program, constants)
    analysis = analysed(program, constants)
    found = [replace(d, strict=warn == "error") for d in analysis.diagnostics]
    if as_json:
        print_json(found)
    else:
        print_diagnostics(found)
    if any(d.severity is Severity.ERROR for d in found):
        sys.exit(1)
    if not as_json:
        from pgcompile.program import describe

        click.echo(describe(analysis))
        if analysis.model.is_structure:
            from pgcompile.views.drawing import mermaid
            from pgcompile.views.latex import latex
            from pgcompile.views.skeleton import missing

            click.echo(
                f"\n{mermaid(graph_of_program(analysis))}\n\n{latex(analysis.tree)}\n\n{missing(analysis.model)}"
            )


def _fixed(program: str, constants: Constants) -> str:
    """Apply mechanical fixes until none is left; the file is replaced only when all are in.

    Returns:
        The program to check now: the same file, or the fixed formulas.
    """
    from pgcompile.atomic_write import write_atomically
    from pgcompile.diagnostics.fixes import apply_edits
    from pgcompile.pipeline import analyse

    source = source_of(program)
    text, made = source.text, 0
    for _ in range(_ROUNDS):
        found = [d for d in analyse(Source(text, source.name), constants).diagnostics if d.edits]
        changed = apply_edits(text, found)
        if not found or changed == text:
            break
        text, made = changed, made + len(found)
    path = Path(program)
    if not path.is_file():
        click.echo(text)
    elif text != source.text:
        write_atomically(path, text.encode())
    click.echo(f"{made} mistake{'s' * (made != 1)} mended", err=True)
    return program if path.is_file() else text
