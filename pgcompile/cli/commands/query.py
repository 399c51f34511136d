"""`pgc query`: d-separation in a program's graph."""

import sys

import click

from pgcompile.cli.options import CONSTANTS, PROGRAM
from pgcompile.cli.programs import Constants, checked, graph_of_question


@click.command()
@PROGRAM
@click.argument("question")
@CONSTANTS
def command(program: str, question: str, constants: Constants) -> None:
    """Is "x _|_ y | z" true of PROGRAM's graph? Exit status 0 if it is, 3 if it is not."""
    from pgcompile.views.query import answer, drawn_path, names_asked, read_query

    graph = graph_of_question(checked(program, constants), names_asked(question))
    asked = read_query(question, graph)
    found = answer(asked, graph)
    given = f" given {', '.join(asked.given)}" if asked.given else ""
    sides = f"{', '.join(asked.xs)} and {', '.join(asked.ys)}"
    if found.independent:
        click.echo(f"yes: {sides} are independent{given}")
        return
    click.echo(f"no: {sides} may depend on each other{given}")
    click.echo(f"  open path: {drawn_path(found.path, graph)}")
    for reason in found.reasons:
        click.echo(f"  {reason}")
    sys.exit(3)
