"""`pgc train`: a program and its data to a folder with the trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pgcompile.cli.options import BATCH_SIZE, CONSTANTS, DATA, DEVICE, EXTERNS, INPUTS, PROGRAM, numbers_of, parts
from pgcompile.cli.programs import Constants, compiled
from pgcompile.diagnostics import RequestError
from pgcompile.model.data_spaces import data_spaces


@click.command()
@PROGRAM
@CONSTANTS
@DATA
@click.option(
    "--more",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A further file of rows, such as those without labels; any number of times.",
)
@click.option(
    "--out", default="runs/latest", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results."
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder of --out.")
@click.option("--overwrite", is_flag=True, help="Replace a run that is in the folder of --out.")
@click.option("--allow-changes", is_flag=True, help="Go on although the program or the data is another than before.")
@click.option("--epochs", default=50, show_default=True, type=click.IntRange(min=1), help="Passes over the data.")
@BATCH_SIZE
@click.option(
    "--validation", default=0.1, show_default=True, type=click.FloatRange(0.0, 0.9), help="Share of the data held out."
)
@click.option("--patience", type=click.IntRange(min=1), help="Stop after so many epochs without a better validation.")
@click.option("--seed", default=0, show_default=True, help="Of weights, split, order and noise.")
@DEVICE
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", help="Autocast.")
@click.option("--tf32", is_flag=True, help="Let float32 products use TF32 units.")
@click.option(
    "--compile",
    "compile",
    is_flag=False,
    flag_value="default",
    type=click.Choice(["default", "reduce-overhead", "max-autotune"]),
    help="Compile the losses with torch.compile.",
)
@click.option("--accumulate", default=1, show_default=True, type=click.IntRange(min=1), help="Parts of a batch.")
@click.option(
    "--ema", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Keep an average of the weights."
)
@click.option("--strategy", type=click.Choice(["ddp", "fsdp"]), default="ddp", help="How they share it.")
@click.option("--processes", default=1, type=click.IntRange(min=1), help="Processes on this machine, a GPU each.")
@click.option("--workers", default=0, type=click.IntRange(min=0), help="Processes that read data from disk.")
@click.option("--normalize", multiple=True, metavar="NAME", help="Give a variable mean 0 and deviation 1.")
@click.option(
    "--dequantize",
    multiple=True,
    metavar="NAME=LEVELS",
    callback=numbers_of,
    help="Whole numbers below LEVELS to shares of one.",
)
@click.option("--log-every", default=50, show_default=True, type=click.IntRange(min=1), help="Steps between readings.")
@click.option("--save-every", default=60.0, show_default=True, help="Seconds between checkpoints of the run.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard events too.")
@INPUTS
@EXTERNS
def command(
    program: str,
    constants: Constants,
    data: Path | None,
    more: tuple[Path, ...],
    out: Path,
    resume: bool,
    overwrite: bool,
    allow_changes: bool,
    processes: int,
    externs: tuple[str, ...],
    dequantize: dict[str, float],
    **chosen: Any,
) -> None:
    """Train PROGRAM on DATA: checkpoints, a log, loss curves, samples and reconstructions.

    Ctrl-C and SIGTERM save the run; --resume goes on with it. With --processes, or under torchrun, several processes
    train together.
    """
    if processes > 1:
        from pgcompile.training.launch import is_member, launch

        if not is_member():
            sys.exit(launch(processes, sys.argv[1:]))
    from pgcompile.training import Interrupted, Settings, exit_team, fit
    from pgcompile.training.several import of_several

    made = compiled(program, constants, warn=True)
    settings = Settings(dequantize={name: int(levels) for name, levels in dequantize.items()}, **chosen)
    if more and data is None:
        raise RequestError("--more adds rows to those of --data: give that too")
    rows: Any = of_several((data, *more), data_spaces(made.analysis.model)) if data is not None and more else data
    try:
        result = fit(
            made,
            rows,
            out,
            settings,
            progress=True,
            resume=resume,
            overwrite=overwrite,
            allow_changes=allow_changes,
            extern=parts(externs),
        )
    except ValueError as error:  # the emitted module refuses what it is given
        raise RequestError(str(error)) from None
    except Interrupted as error:
        click.echo(str(error), err=True)
        exit_team(128 + error.number)
        sys.exit(128 + error.number)
    if result.files:
        click.echo(result.summary())
    exit_team(0)
