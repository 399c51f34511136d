"""Options that several commands share, and the parsing of their values."""

from __future__ import annotations

import math
import sys
import traceback
from pathlib import Path

import click


def _assignments(settings: tuple[str, ...], form: str) -> dict[str, str]:
    """Values by name from `NAME=VALUE` texts."""
    found = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign:
            raise click.UsageError(f"`{setting}` is not {form}")
        found[name.strip()] = value.strip()
    return found


def numbers_of(ctx: click.Context, parameter: click.Parameter, settings: tuple[str, ...]) -> dict[str, float]:
    """Callback of an option that is given as NAME=NUMBER any number of times."""
    found = {}
    for name, value in _assignments(settings, "NAME=NUMBER").items():
        try:
            found[name] = float(value)
        except ValueError:
            raise click.UsageError(f"`{name}={value}` is not NAME=NUMBER") from None
    return found


def _constants_of(ctx: click.Context, parameter: click.Parameter, settings: tuple[str, ...]) -> dict[str, int | float]:
    """Callback of `--set`: whole numbers stay whole, as sizes are."""
    found: dict[str, int | float] = {}
    for name, value in _assignments(settings, "NAME=NUMBER").items():
        try:
            found[name] = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            found[name] = math.nan
        if not math.isfinite(found[name]):
            raise click.UsageError(f"`{name}={value}` is not NAME=NUMBER")
    return found


def parts(externs: tuple[str, ...]) -> dict[str, object]:
    """Extern parts from `--extern NAME=PKG.MOD:CLASS`: a module as it is, or what its class or function makes."""
    form = "NAME=PACKAGE.MODULE:CLASS"
    return {name: _part(name, place) for name, place in _assignments(externs, form).items()}


def _part(name: str, place: str) -> object:
    import importlib

    module, _, attribute = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = getattr(importlib.import_module(module), attribute)
        made = found() if (callable(found) and not hasattr(found, "parameters")) or isinstance(found, type) else found
    except (ImportError, AttributeError) as error:
        raise click.UsageError(f"--extern {name}: {error}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # any fault of the user's file
        raise click.UsageError(f"--extern {name}: {module} fails with {_told(error)}") from None
    finally:
        sys.path.pop(0)
    if not (hasattr(made, "parameters") or hasattr(made, "log_prob") or callable(made)):
        raise click.UsageError(f"--extern {name}: {place} is a {type(made).__name__}, and no module")
    return made


def _told(error: BaseException) -> str:
    """An error with the line of the file that raised it."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"


# --- programs ---

PROGRAM = click.argument("program")
CONSTANTS = click.option(
    "--set",
    "constants",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_constants_of,
    help="Set a const of the program.",
)
EXTERNS = click.option(
    "--extern", "externs", multiple=True, metavar="NAME=PKG.MOD:CLASS", help="An extern part of the program."
)


def _file_or_none(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """`-` is standard output, as it is standard input where a program is read; so is an output that is not given."""
    return None if value == Path("-") else value


OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_file_or_none,
    help="File to write; standard output without it, or for `-`.",
)

# --- training, and use of what was trained ---

DATA = click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="An .npz, .npy, .csv or .parquet file, or a folder of images or of .npy files, if it needs one.",
)
INPUTS = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    callback=numbers_of,
    help="Value of an `input` of the program.",
)
DEVICE = click.option("--device", default="auto", show_default=True, help="cpu, cuda, mps or auto.")
BATCH_SIZE = click.option(
    "--batch-size", default=128, show_default=True, type=click.IntRange(min=1), help="Examples of an update."
)
CHECKPOINT = click.option(
    "--checkpoint", "weights", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
NOISE_SEED = click.option("--seed", default=0, show_default=True, help="Of the noise.")
ARRAYS_OR_PICTURE = click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="An .npz or .png file."
)
