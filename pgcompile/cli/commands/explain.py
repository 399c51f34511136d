"""`pgc explain`: the derivation of a program's objectives, or the meaning of a diagnostic's code."""

import re

import click

from pgcompile.cli.options import CONSTANTS, PROGRAM
from pgcompile.cli.programs import Constants, checked

_CODE = re.compile(r"(PGC|W|N)\d{3}")


@click.command()
@PROGRAM
@CONSTANTS
@click.option("--gradients", is_flag=True, help="How each draw passes a gradient, and why.")
@click.option("--latex", "as_latex", is_flag=True, help="The derivation as LaTeX.")
def command(program: str, constants: Constants, gradients: bool, as_latex: bool) -> None:
    """Print every rewrite of PROGRAM's objectives with the rule that allowed it.

    Given a code such as PGC203 instead of a program, print what it means, with a wrong and a right example.
    """
    from pgcompile.views.explain import explain, explain_code, explain_gradients, explain_latex

    if _CODE.fullmatch(program.upper()):
        page = explain_code(program.upper())
        if page is None:
            raise click.UsageError(f"there is no code {program.upper()}; `docs/diagnostics.md` lists all")
        click.echo(page)
        return
    analysis = checked(program, constants)
    view = explain_gradients if gradients else explain_latex if as_latex else explain
    click.echo(view(analysis))
