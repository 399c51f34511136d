"""`pgc reconstruct`: data as a trained program gives it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pgcompile.cli.options import (
    ARRAYS_OR_PICTURE,
    BATCH_SIZE,
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
@click.option("-n", "--number", type=click.IntRange(min=1), help="How many rows; 32 for a picture, else all.")
@BATCH_SIZE
@NOISE_SEED
@DEVICE
@EXTERNS
def command(program: str, constants: Constants, output: Path, number: int | None, **chosen: Any) -> None:
    """DATA as a trained PROGRAM gives it back from its latents."""
    applied(program, constants, **chosen).reconstruct(output, number, progress=sys.stderr.isatty())
    click.echo(f"wrote {output}", err=True)
