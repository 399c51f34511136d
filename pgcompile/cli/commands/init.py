"""`pgc init`: a program to start from."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pgcompile.cli.messages import print_diagnostics
from pgcompile.cli.options import OUTPUT
from pgcompile.cli.programs import analysed, refuse_overwriting
from pgcompile.diagnostics import Severity, Source

FIRST = "E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]"


@click.command()
@click.argument("program", default=FIRST)
@OUTPUT
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def command(program: str, output: Path | None, overwrite: bool) -> None:
    """Write a program that fills in what the formulas PROGRAM leave open.

    PROGRAM is a file, `-` for standard input, or formulas in quotes, such as an objective pasted from a paper; without
    it, the ELBO of a variational autoencoder. Spaces, families and nets are a first guess, to be replaced.
    """
    from pgcompile.atomic_write import write_atomically
    from pgcompile.pipeline import analyse, generate
    from pgcompile.views.skeleton import skeleton

    refuse_overwriting(program, output)
    if output is not None and output.exists() and not overwrite:
        raise click.UsageError(f"{output} exists: give another file, or --overwrite")
    analysis = analysed(program, {})
    analysis.raise_errors()
    text = skeleton(analysis.tree, analysis.model) if analysis.model.is_structure else analysis.source.text
    made = analyse(Source(text, str(output or "<program>")))
    if made.model.objectives and not made.sink.has_errors:
        _ = made.rewritten
    if not made.sink.has_errors:
        generate(made, "Model")
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())
        click.echo(f"wrote {output}: edit it, then `pgc check {output}`", err=True)
    found = [d for d in made.diagnostics if d.severity is Severity.ERROR]
    if found:
        click.echo("What the guess does not settle:", err=True)
        print_diagnostics(found)
        sys.exit(1)
