"""`pgc sample`: draws from a trained program."""

from __future__ import annotations

from pathlib import Path

import click

from pgcompile.cli.options import ARRAYS_OR_PICTURE, CHECKPOINT, CONSTANTS, EXTERNS, NOISE_SEED, PROGRAM, parts
from pgcompile.cli.programs import Constants, compiled


@click.command()
@PROGRAM
@CONSTANTS
@CHECKPOINT
@click.option(
    "-n", "--number", type=click.IntRange(1, 10_000_000), help="How many; 64, or one for each row that is given."
)
@click.option("--mean", is_flag=True, help="Propagate means instead of drawing.")
@NOISE_SEED
@click.option(
    "--given",
    "given",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An .npz of variables to condition on.",
)
@click.option("--part", help='Draw from this factor or distribution, "q(z|x)" say, not from the model.')
@ARRAYS_OR_PICTURE
@EXTERNS
def command(
    program: str,
    constants: Constants,
    weights: Path,
    number: int | None,
    mean: bool,
    seed: int,
    given: Path | None,
    part: str | None,
    output: Path,
    externs: tuple[str, ...],
) -> None:
    """Draw from a trained PROGRAM."""
    from pgcompile.training import draw

    if given is not None and number is not None:
        raise click.UsageError("-n and --given: there is one draw for each row that is given")
    made = compiled(program, constants)
    draw(
        made,
        weights,
        output,
        number=number or 64,
        mean=mean,
        seed=seed,
        given=given,
        part=part,
        extern=parts(externs),
        say=lambda text: click.echo(text, err=True),
    )
    click.echo(f"wrote {output}", err=True)
