"""`pgc evaluate`: the terms of a trained program on data."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pgcompile.cli.options import (
    BATCH_SIZE,
    CHECKPOINT,
    CONSTANTS,
    DATA,
    DEVICE,
    EXTERNS,
    INPUTS,
    NOISE_SEED,
    PROGRAM,
)
from pgcompile.cli.programs import Constants, applied


@click.command()
@PROGRAM
@CONSTANTS
@CHECKPOINT
@DATA
@click.option("--bound", default=0, type=click.IntRange(min=0), help="Draws of an importance-weighted bound of log p.")
@BATCH_SIZE
@NOISE_SEED
@DEVICE
@INPUTS
@EXTERNS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(program: str, constants: Constants, bound: int, as_json: bool, **chosen: Any) -> None:
    """The mean of every named term of a trained PROGRAM over DATA."""
    trained = applied(program, constants, **chosen)
    found = trained.evaluate(bound, progress=sys.stderr.isatty())
    if bound and not as_json:
        click.echo(f"the bound draws from {' '.join(trained.posterior)}", err=True)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        click.echo(f"{name}: {value:.4f}")
