"""Printing of diagnostics."""

import json
import os
import sys

import click

from pgcompile.diagnostics import Diagnostic, Severity


def print_diagnostics(found: list[Diagnostic]) -> None:
    """Print diagnostics with their source lines to stderr, and the number of errors."""
    from pgcompile.diagnostics.render import render_all

    if not found:
        return
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    click.echo(render_all(found, colour=colour) + "\n", err=True)
    errors = sum(d.severity is Severity.ERROR for d in found)
    if errors:
        click.echo(f"{errors} error{'s' * (errors > 1)}", err=True)


def print_json(found: list[Diagnostic]) -> None:
    """Print diagnostics as a JSON list to stdout."""
    click.echo(json.dumps([d.to_json() for d in found], indent=2))
