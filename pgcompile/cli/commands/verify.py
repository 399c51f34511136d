"""`pgc verify`: the emitted module against the reference interpreter."""

import sys

import click

from pgcompile.cli.options import CONSTANTS, EXTERNS, PROGRAM, parts
from pgcompile.cli.programs import Constants, compiled


@click.command()
@PROGRAM
@CONSTANTS
@EXTERNS
@click.option("--seed", default=0, show_default=True, help="Of parameters, data and noise.")
@click.option("--runs", default=2400, show_default=True, type=click.IntRange(min=48), help="Evaluations if sampled.")
def command(program: str, constants: Constants, externs: tuple[str, ...], seed: int, runs: int) -> None:
    """Compare the emitted module of PROGRAM with the reference interpreter."""
    made = compiled(program, constants, warn=True)
    supplied = parts(externs)
    from tqdm import tqdm

    with tqdm(desc="verifying", unit=" checks", leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(what: str) -> None:
            bar.set_postfix_str(what)
            bar.update()

        checks = made.verify(supplied, seed=seed, runs=runs, progress=show)
    for check in checks:
        click.echo(str(check))
    failed = sum(not check.passed for check in checks)
    skipped = sum(bool(check.skipped) for check in checks)
    more = f", {skipped} could not be made" if skipped else ""
    click.echo(f"{len(checks) - failed - skipped} of {len(checks) - skipped} checks passed{more}")
    if failed:
        sys.exit(1)
