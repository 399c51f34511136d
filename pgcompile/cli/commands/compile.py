"""`pgc compile`: write a program's PyTorch module, and a script that trains it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pgcompile.cli.messages import print_diagnostics
from pgcompile.cli.options import CONSTANTS, OUTPUT, PROGRAM
from pgcompile.cli.programs import Constants, refuse_overwriting, source_of
from pgcompile.diagnostics import Severity


@click.command("compile")
@PROGRAM
@OUTPUT
@CONSTANTS
@click.option("--name", help="Name of the emitted class.")
@click.option("--link", is_flag=True, help="Import special functions from pgcompile instead of copying them.")
@click.option("--debug", is_flag=True, help="Emit a module that checks values, and names the first that is not finite.")
@click.option("--quiet", is_flag=True, help="Do not print notes.")
@click.option(
    "--train",
    "script",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a training script for the module too, for python and torchrun.",
)
@click.option(
    "--source-map",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the places of the program that each line of the module comes from, as JSON.",
)
def command(
    program: str,
    output: Path | None,
    constants: Constants,
    name: str | None,
    link: bool,
    debug: bool,
    quiet: bool,
    script: Path | None,
    source_map: Path | None,
) -> None:
    """Compile PROGRAM to a PyTorch module."""
    from pgcompile.atomic_write import write_atomically
    from pgcompile.program import compile_source

    refuse_overwriting(program, output, script, source_map)
    made = compile_source(source_of(program), name, constants, link=link, debug=debug)
    print_diagnostics([d for d in made.diagnostics if not quiet or d.severity is Severity.WARNING])
    if output is None:
        click.echo(made.source, nl=False)
    else:
        write_atomically(output, made.source.encode())
        click.echo(f"{output}: {made.source.count(chr(10))} lines, class {made.class_name}", err=True)
    if source_map is not None:
        write_atomically(source_map, json.dumps(made.source_map.to_json(), indent=1).encode())
        click.echo(f"{source_map}: the map from its lines to the program", err=True)
    if script is not None:
        if output is None or output.parent.resolve() != script.parent.resolve() or not output.stem.isidentifier():
            raise click.UsageError("--train needs -o with a module beside the script: -o model.py --train train.py")
        write_atomically(script, made.training_script(output.stem).encode())
        click.echo(f"{script}: trains it", err=True)
