"""`pgc graph`: a drawing of a program's generative graph."""

from __future__ import annotations

from pathlib import Path

import click

from pgcompile.cli.options import CONSTANTS, OUTPUT, PROGRAM
from pgcompile.cli.programs import Constants, checked, graph_of_program, refuse_overwriting

_ENDINGS = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".md": "mermaid"}


@click.command()
@PROGRAM
@OUTPUT
@CONSTANTS
@click.option(
    "--format", "form", type=click.Choice(["svg", "dot", "mermaid"]), help="By default after the file's ending."
)
def command(program: str, output: Path | None, constants: Constants, form: str | None) -> None:
    """Draw the graph of PROGRAM as SVG, DOT or Mermaid."""
    from pgcompile.atomic_write import write_atomically
    from pgcompile.views import drawing

    if form is None and output is not None and output.suffix.lower() not in _ENDINGS:
        raise click.UsageError(f"{output.name} is none of {', '.join(_ENDINGS)}; `--format` says which it is")
    chosen = form or (_ENDINGS.get(output.suffix.lower(), "svg") if output else "mermaid")
    draw = {"svg": drawing.svg, "dot": drawing.dot, "mermaid": drawing.mermaid}[chosen]
    text = draw(graph_of_program(checked(program, constants)))
    refuse_overwriting(program, output)
    if output is None:
        click.echo(text)
    else:
        write_atomically(output, text.encode())
