"""`pgc export`: a part of a trained program for places without Python."""

from __future__ import annotations

from pathlib import Path

import click

from pgcompile.cli.options import CHECKPOINT, CONSTANTS, EXTERNS, PROGRAM, parts
from pgcompile.cli.programs import Constants, compiled


@click.command()
@PROGRAM
@CONSTANTS
@CHECKPOINT
@click.option("--part", required=True, help='sample, sample_mean, log_prob, an objective, or "q(z|x)".')
@click.option(
    "--format",
    "form",
    type=click.Choice(["pt2", "onnx", "aoti"]),
    default="pt2",
    show_default=True,
    help="Of the file.",
)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@EXTERNS
def command(
    program: str,
    constants: Constants,
    weights: Path,
    part: str,
    form: str,
    output: Path,
    externs: tuple[str, ...],
) -> None:
    """Write a part of a trained PROGRAM for torch.export, ONNX or AOTInductor, and check it against the module."""
    from pgcompile.training.export import export

    made = compiled(program, constants)
    lines = export(made, weights, part, output, form, parts(externs))
    click.echo("\n".join([f"wrote {output}", *lines]))
