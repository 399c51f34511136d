"""`pgc latex`: a program's formulas for a paper."""

import click

from pgcompile.cli.options import PROGRAM
from pgcompile.cli.programs import checked


@click.command()
@PROGRAM
def command(program: str) -> None:
    """Print the formulas of PROGRAM in LaTeX."""
    from pgcompile.views.latex import latex

    click.echo(latex(checked(program, {}).tree))
