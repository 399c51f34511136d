"""`pgc fmt`: the formatter."""

import sys
from pathlib import Path

import click

from pgcompile.cli.options import PROGRAM
from pgcompile.cli.programs import source_of


@click.command()
@PROGRAM
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 if the file is not formatted.")
def command(program: str, only_check: bool) -> None:
    """Format PROGRAM in place (formulas in quotes are printed)."""
    from pgcompile.atomic_write import write_atomically
    from pgcompile.pipeline import parse_only
    from pgcompile.syntax.format import format_program

    source = source_of(program)
    text = format_program(parse_only(source), source)
    path = Path(program)
    if not path.is_file():
        click.echo(text, nl=False)
    elif only_check:
        sys.exit(0 if text == source.text else 1)
    elif text != source.text:
        write_atomically(path, text.encode())
        click.echo(f"formatted {path}", err=True)
