"""`pgc interpolate`: lines between the latents of data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgcompile.cli.options import (
    ARRAYS_OR_PICTURE,
    CHECKPOINT,
    CONSTANTS,
    DATA,
    DEVICE,
    EXTERNS,
    NOISE_SEED,
    PROGRAM,
)
from pgcompile.cli.programs import Constants, applied


@click.command()
@PROGRAM
@CONSTANTS
@CHECKPOINT
@DATA
@ARRAYS_OR_PICTURE
@click.option("--pairs", default=8, show_default=True, type=click.IntRange(min=1), help="Pairs of rows.")
@click.option("--steps", default=8, show_default=True, type=click.IntRange(min=2), help="Points of each line.")
@NOISE_SEED
@DEVICE
@EXTERNS
def command(program: str, constants: Constants, output: Path, pairs: int, steps: int, **chosen: Any) -> None:
    """Lines between the latents of rows of DATA, decoded by a trained PROGRAM."""
    applied(program, constants, **chosen).interpolate(output, pairs, steps)
    click.echo(f"wrote {output}", err=True)
