"""The command line: `pgc compile | check | explain | graph | latex | fmt | train | sample`.

Exit status: 0 fine, 1 the program has errors, 2 the command was misused.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcompile.diagnostics import CompileError, DataError, Diagnostic, InternalError, MissingPart, Severity, Source
from pgcompile.tracebacks import explained

if TYPE_CHECKING:
    from pgcompile.compiler import Analysis
    from pgcompile.training.applied import Applied

_PROGRAM = click.argument("program")
_SET = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a const of the program.")
_OUT = click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")


_EXTERN = click.option(
    "--extern", "externs", multiple=True, metavar="NAME=PKG.MOD:CLASS", help="An extern part of the program."
)

_CODE = re.compile(r"(PGC|W|N)\d{3}")
_FIXES = 20  # runs of `--fix`: a cure may bring the next mistake to light


class _Group(click.Group):
    """Turns the product's own exceptions into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            with explained():
                return super().invoke(ctx)
        except CompileError as error:
            _print(error.diagnostics, as_json=False)
            sys.exit(1)
        except MissingPart as error:
            raise click.UsageError(str(error)) from None
        except DataError as error:
            raise click.ClickException(str(error)) from None
        except InternalError as error:
            click.echo(f"internal error: {error}", err=True)
            sys.exit(3)
        except OSError as error:
            raise click.ClickException(
                f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            ) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pgcompile")
def main() -> None:
    """Deep generative models written as formulas, compiled to PyTorch."""


@main.command("compile")
@_PROGRAM
@_OUT
@_SET
@click.option("--name", help="Name of the emitted class.")
@click.option("--link", is_flag=True, help="Import special functions from pgcompile instead of copying them.")
@click.option("--debug", is_flag=True, help="Emit a module that checks values, and names the first that is not finite.")
@click.option("--quiet", is_flag=True, help="Do not print notes.")
@click.option(
    "--train",
    "training",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a training script for the module too, for python and torchrun.",
)
@click.option(
    "--source-map",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the places of the program that each line of the module comes from, as JSON.",
)
def compile_command(
    program: str,
    output: Path | None,
    settings: tuple[str, ...],
    name: str | None,
    link: bool,
    debug: bool,
    quiet: bool,
    training: Path | None,
    source_map: Path | None,
) -> None:
    """Compile PROGRAM to a PyTorch module."""
    from pgcompile.program import compile_source
    from pgcompile.writing import write_atomically

    try:
        compiled = compile_source(_source(program), name, _constants(settings), link=link, debug=debug)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    found = [d for d in compiled.diagnostics if not quiet or d.severity is Severity.WARNING]
    _print(found, as_json=False)
    if output is None:
        click.echo(compiled.source, nl=False)
    else:
        write_atomically(output, compiled.source.encode())
        click.echo(f"{output}: {compiled.source.count(chr(10))} lines, class {compiled.class_name}", err=True)
    if source_map is not None:
        write_atomically(source_map, json.dumps(compiled.source_map.to_json(), indent=1).encode())
    if training is not None:
        if output is None or output.parent.resolve() != training.parent.resolve() or not output.stem.isidentifier():
            raise click.UsageError("--train needs -o with a module beside the script: -o model.py --train train.py")
        try:
            text = compiled.training_script(output.stem)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        write_atomically(training, text.encode())
        click.echo(f"{training}: trains it", err=True)


@main.command()
@_PROGRAM
@_SET
@click.option("--json", "as_json", is_flag=True, help="Print diagnostics as JSON.")
@click.option("--warn", type=click.Choice(["default", "error"]), default="default", help="Treat warnings as errors.")
@click.option("--fix", is_flag=True, help="Apply the cures that are mechanical to the file (formulas are printed).")
def check(program: str, settings: tuple[str, ...], as_json: bool, warn: str, fix: bool) -> None:
    """Check PROGRAM (a file, or formulas in quotes) and report every mistake."""
    if fix:
        program = _fix(program, settings)
    analysis = _analyse(program, settings)
    found = [replace(d, strict=warn == "error") for d in analysis.diagnostics]
    _print(found, as_json=as_json)
    if any(d.severity is Severity.ERROR for d in found):
        sys.exit(1)
    if not as_json:
        from pgcompile.program import describe

        click.echo(describe(analysis))
        if analysis.model.is_structure:
            from pgcompile.views.drawing import mermaid
            from pgcompile.views.latex import latex

            click.echo(f"\n{mermaid(_graph(analysis))}\n\n{latex(analysis.tree)}")


@main.command()
@_PROGRAM
@_SET
@click.option("--gradients", is_flag=True, help="How each draw passes a gradient, and why.")
@click.option("--latex", "as_latex", is_flag=True, help="The derivation as LaTeX.")
def explain(program: str, settings: tuple[str, ...], gradients: bool, as_latex: bool) -> None:
    """Print every rewrite of PROGRAM's objectives with the rule that allowed it.

    Given a code such as PGC203 instead of a program, print what it means, with a wrong and a right example.
    """
    from pgcompile.views.explain import explain as explain_text
    from pgcompile.views.explain import explain_code, explain_gradients, explain_latex

    if _CODE.fullmatch(program.upper()):
        page = explain_code(program.upper())
        if page is None:
            raise click.UsageError(f"there is no code {program.upper()}; `docs/diagnostics.md` lists all")
        click.echo(page)
        return

    analysis = _checked(program, settings)
    made = explain_gradients if gradients else explain_latex if as_latex else explain_text
    click.echo(made(analysis))


@main.command()
@_PROGRAM
@_OUT
@_SET
@click.option(
    "--format", "form", type=click.Choice(["svg", "dot", "mermaid"]), help="By default after the file's ending."
)
def graph(program: str, output: Path | None, settings: tuple[str, ...], form: str | None) -> None:
    """Draw the graph of PROGRAM as SVG, DOT or Mermaid."""
    from pgcompile.views import drawing
    from pgcompile.writing import write_atomically

    endings = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".md": "mermaid"}
    if form is None and output is not None and output.suffix.lower() not in endings:
        raise click.UsageError(f"{output.name} is none of {', '.join(endings)}; `--format` says which it is")
    chosen = form or endings.get(output.suffix.lower() if output else "", "svg" if output else "mermaid")
    text = {"svg": drawing.svg, "dot": drawing.dot, "mermaid": drawing.mermaid}[chosen](
        _graph(_checked(program, settings))
    )
    if output is None:
        click.echo(text)
    else:
        write_atomically(output, text.encode())


@main.command()
@_PROGRAM
@click.argument("question")
@_SET
def query(program: str, question: str, settings: tuple[str, ...]) -> None:
    """Is "x _|_ y | z" true of PROGRAM's graph? Exit status 0 if it is, 3 if it is not."""
    from pgcompile.views.query import QueryError, answer, drawn_path, read_query

    graph = _graph(_checked(program, settings))
    try:
        asked = read_query(question, graph)
    except QueryError as error:
        raise click.UsageError(str(error)) from None
    found = answer(asked, graph)
    given = f" given {', '.join(asked.given)}" if asked.given else ""
    sides = f"{', '.join(asked.xs)} and {', '.join(asked.ys)}"
    if found.independent:
        click.echo(f"yes: {sides} are independent{given}")
        return
    click.echo(f"no: {sides} may depend on each other{given}")
    click.echo(f"  open path: {drawn_path(found.path, graph)}")
    for reason in found.reasons:
        click.echo(f"  {reason}")
    sys.exit(3)


@main.command()
@_PROGRAM
def latex(program: str) -> None:
    """Print the formulas of PROGRAM in LaTeX."""
    from pgcompile.views.latex import latex as latex_text

    click.echo(latex_text(_checked(program, ()).tree))


@main.command()
@_PROGRAM
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 if the file is not formatted.")
def fmt(program: str, only_check: bool) -> None:
    """Format PROGRAM in place (formulas in quotes are printed)."""
    from pgcompile.compiler import parse_only
    from pgcompile.syntax.format import format_program
    from pgcompile.writing import write_atomically

    source = _source(program)
    text = format_program(parse_only(source), source)
    path = Path(program)
    if not path.is_file():
        click.echo(text, nl=False)
    elif only_check:
        sys.exit(0 if text == source.text else 1)
    elif text != source.text:
        write_atomically(path, text.encode())
        click.echo(f"formatted {path}", err=True)


@main.command()
@_PROGRAM
@_SET
@_EXTERN
@click.option("--seed", default=0, show_default=True, help="Of parameters, data and noise.")
@click.option("--runs", default=2400, show_default=True, type=click.IntRange(min=48), help="Evaluations if sampled.")
def verify(program: str, settings: tuple[str, ...], externs: tuple[str, ...], seed: int, runs: int) -> None:
    """Compare the emitted module of PROGRAM with the reference interpreter."""
    from pgcompile.program import compile_source

    compiled = compile_source(_source(program), None, _constants(settings), link=False)
    _print([d for d in compiled.diagnostics if d.severity is Severity.WARNING], as_json=False)
    supplied = _parts(externs)
    from tqdm import tqdm

    with tqdm(desc="verifying", unit=" checks", leave=False, disable=not sys.stderr.isatty()) as bar:

        def tell(what: str) -> None:
            bar.set_postfix_str(what)
            bar.update()

        checks = compiled.verify(supplied, seed=seed, runs=runs, progress=tell)
    for check in checks:
        click.echo(str(check))
    failed = sum(not check.passed for check in checks)
    skipped = sum(bool(check.skipped) for check in checks)
    more = f", {skipped} could not be made" if skipped else ""
    click.echo(f"{len(checks) - failed - skipped} of {len(checks) - skipped} checks passed{more}")
    if not all(check.passed for check in checks):
        sys.exit(1)


_DATA = click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="An .npz, .npy, .csv or .parquet file, or a folder of images or of .npy files, if it needs one.",
)
_INPUT = click.option(
    "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="Value of an `input` of the program."
)
_DEVICE = click.option("--device", default="auto", show_default=True, help="cpu, cuda, mps or auto.")
_BATCH = click.option(
    "--batch-size", default=128, show_default=True, type=click.IntRange(min=1), help="Examples of an update."
)


@main.command()
@_PROGRAM
@_SET
@_DATA
@click.option(
    "--out", default="runs/latest", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results."
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder of --out.")
@click.option("--epochs", default=50, show_default=True, type=click.IntRange(min=1), help="Passes over the data.")
@_BATCH
@click.option(
    "--validation", default=0.1, show_default=True, type=click.FloatRange(0.0, 0.9), help="Share of the data held out."
)
@click.option("--patience", type=click.IntRange(min=1), help="Stop after so many epochs without a better validation.")
@click.option("--seed", default=0, show_default=True, help="Of weights, split, order and noise.")
@_DEVICE
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", help="Autocast.")
@click.option("--tf32", is_flag=True, help="Let float32 products use TF32 units.")
@click.option(
    "--compile",
    "mode",
    is_flag=False,
    flag_value="default",
    type=click.Choice(["default", "reduce-overhead", "max-autotune"]),
    help="Compile the losses with torch.compile.",
)
@click.option("--accumulate", default=1, show_default=True, type=click.IntRange(min=1), help="Parts of a batch.")
@click.option(
    "--ema", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Keep an average of the weights."
)
@click.option("--strategy", type=click.Choice(["ddp", "fsdp"]), default="ddp", help="Under torchrun.")
@click.option("--workers", default=0, type=click.IntRange(min=0), help="Processes that read data from disk.")
@click.option("--normalize", multiple=True, metavar="NAME", help="Give a variable mean 0 and deviation 1.")
@click.option("--dequantize", multiple=True, metavar="NAME=LEVELS", help="Whole numbers below LEVELS to shares of one.")
@click.option("--log-every", default=50, show_default=True, type=click.IntRange(min=1), help="Steps between readings.")
@click.option("--save-every", default=60.0, show_default=True, help="Seconds between checkpoints of the run.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard events too.")
@_INPUT
@_EXTERN
def train(
    program: str,
    settings: tuple[str, ...],
    data: Path | None,
    out: Path,
    resume: bool,
    inputs: tuple[str, ...],
    externs: tuple[str, ...],
    mode: str | None,
    dequantize: tuple[str, ...],
    **chosen: Any,
) -> None:
    """Train PROGRAM on DATA: checkpoints, a log, loss curves, samples and reconstructions.

    Ctrl-C and SIGTERM save the run; --resume goes on with it. Under torchrun several processes train together.
    """
    from pgcompile.program import compile_source
    from pgcompile.training import Interrupted, Settings, fit

    compiled = compile_source(_source(program), None, _constants(settings), link=False)
    _print([d for d in compiled.diagnostics if d.severity is Severity.WARNING], as_json=False)
    numbers = {name: float(value) for name, value in _pairs(inputs).items()}
    levels = {name: int(float(value)) for name, value in _pairs(dequantize).items()}
    supplied = _parts(externs)
    try:
        how = Settings(inputs=numbers, compile=mode, dequantize=levels, **chosen)
        result = fit(compiled, data, out, how, progress=True, resume=resume, extern=supplied)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except Interrupted as error:
        click.echo(str(error), err=True)
        sys.exit(128 + error.number)
    if result.files:
        click.echo(result.summary())


_WEIGHTS = click.option(
    "--checkpoint", "weights", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
_SEED = click.option("--seed", default=0, show_default=True, help="Of the noise.")
_PICTURE = click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="An .npz or .png file."
)


@main.command()
@_PROGRAM
@_SET
@_WEIGHTS
@click.option("-n", "--number", type=click.IntRange(min=1), help="How many; 64, or one for each row that is given.")
@click.option("--mean", is_flag=True, help="Propagate means instead of drawing.")
@_SEED
@click.option(
    "--given",
    "given",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An .npz of variables to condition on.",
)
@_PICTURE
@_EXTERN
def sample(
    program: str,
    settings: tuple[str, ...],
    weights: Path,
    number: int | None,
    mean: bool,
    seed: int,
    given: Path | None,
    output: Path,
    externs: tuple[str, ...],
) -> None:
    """Draw from a trained PROGRAM."""
    from pgcompile.program import compile_source
    from pgcompile.training import draw

    if given is not None and number is not None:
        raise click.UsageError("-n and --given: there is one draw for each row that is given")
    compiled = compile_source(_source(program), None, _constants(settings), link=False)
    draw(compiled, weights, output, number=number or 64, mean=mean, seed=seed, given=given, extern=_parts(externs))
    click.echo(f"wrote {output}", err=True)


@main.command()
@_PROGRAM
@_SET
@_WEIGHTS
@_DATA
@click.option("--bound", default=0, type=click.IntRange(min=0), help="Draws of an importance-weighted bound of log p.")
@_BATCH
@_SEED
@_DEVICE
@_INPUT
@_EXTERN
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    program: str, settings: tuple[str, ...], weights: Path, data: Path | None, bound: int, as_json: bool, **chosen: Any
) -> None:
    """The mean of every named term of a trained PROGRAM over DATA."""
    found = _applied(program, settings, weights, data, chosen).evaluate(bound, progress=sys.stderr.isatty())
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        click.echo(f"{name}: {value:.4f}")


@main.command()
@_PROGRAM
@_SET
@_WEIGHTS
@_DATA
@_PICTURE
@click.option("-n", "--number", type=click.IntRange(min=1), help="How many rows; 32 for a picture, else all.")
@_BATCH
@_SEED
@_DEVICE
@_EXTERN
def reconstruct(
    program: str,
    settings: tuple[str, ...],
    weights: Path,
    data: Path | None,
    output: Path,
    number: int | None,
    **chosen: Any,
) -> None:
    """DATA as a trained PROGRAM gives it back from its latents."""
    _applied(program, settings, weights, data, chosen).reconstruct(output, number, progress=sys.stderr.isatty())
    click.echo(f"wrote {output}", err=True)


@main.command()
@_PROGRAM
@_SET
@_WEIGHTS
@_DATA
@_PICTURE
@click.option("--pairs", default=8, show_default=True, type=click.IntRange(min=1), help="Pairs of rows.")
@click.option("--steps", default=8, show_default=True, type=click.IntRange(min=2), help="Points of each line.")
@_SEED
@_DEVICE
@_EXTERN
def interpolate(
    program: str,
    settings: tuple[str, ...],
    weights: Path,
    data: Path | None,
    output: Path,
    pairs: int,
    steps: int,
    **chosen: Any,
) -> None:
    """Lines between the latents of rows of DATA, decoded by a trained PROGRAM."""
    _applied(program, settings, weights, data, chosen).interpolate(output, pairs, steps)
    click.echo(f"wrote {output}", err=True)


@main.command()
@_PROGRAM
@_SET
@_WEIGHTS
@click.option("--part", "what", required=True, help='sample, sample_mean, log_prob, an objective, or "q(z|x)".')
@click.option(
    "--format",
    "form",
    type=click.Choice(["pt2", "onnx", "aoti"]),
    default="pt2",
    show_default=True,
    help="Of the file.",
)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@_EXTERN
def export(
    program: str,
    settings: tuple[str, ...],
    weights: Path,
    what: str,
    form: str,
    output: Path,
    externs: tuple[str, ...],
) -> None:
    """Write a part of a trained PROGRAM for torch.export, ONNX or AOTInductor, and check it against the module."""
    from pgcompile.program import compile_source
    from pgcompile.training.export import export as export_part

    compiled = compile_source(_source(program), None, _constants(settings), link=False)
    supplied = _parts(externs)
    lines = export_part(compiled, weights, what, output, form, supplied)
    click.echo("\n".join([f"wrote {output}", *lines]))


# --- shared pieces ---


def _applied(
    program: str, settings: tuple[str, ...], weights: Path, data: Path | None, chosen: dict[str, Any]
) -> Applied:
    """A trained program with its data."""
    from pgcompile.program import compile_source
    from pgcompile.training import Settings
    from pgcompile.training.applied import Applied

    compiled = compile_source(_source(program), None, _constants(settings), link=False)
    numbers = {name: float(value) for name, value in _pairs(chosen.pop("inputs", ())).items()}
    supplied = _parts(chosen.pop("externs"))
    return Applied(compiled, weights, data, Settings(inputs=numbers, **chosen), supplied)


def _source(program: str) -> Source:
    from pgcompile.sources import read_source

    path = Path(program)
    looks_like_path = program.endswith(".pgc") or (os.sep in program and "|" not in program and "(" not in program)
    if looks_like_path or (len(program) < 200 and path.is_file()):
        if not path.is_file():
            raise click.UsageError(f"there is no file {program}")
        return read_source(path)
    return Source(program)


def _assignment(setting: str) -> tuple[str, str]:
    name, sign, value = setting.partition("=")
    if not sign:
        raise click.UsageError(f"`{setting}` is not NAME=PACKAGE.MODULE:CLASS")
    return name.strip(), value.strip()


def _parts(externs: tuple[str, ...]) -> dict[str, object]:
    """Extern parts, from `name=package.module:Class`."""
    return {name: _supplied(name, place) for name, place in map(_assignment, externs)}


def _supplied(name: str, place: str) -> object:
    """An extern part, made by calling what `package.module:Class` names."""
    import importlib

    module, _, attribute = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made: object = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise click.UsageError(f"--extern {name}: {error}") from None
    finally:
        sys.path.pop(0)
    return made


def _pairs(settings: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or not _is_number(value):
            raise click.UsageError(f"`{setting}` is not NAME=NUMBER")
        pairs[name.strip()] = value
    return pairs


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _constants(settings: tuple[str, ...]) -> dict[str, int | float]:
    return {
        name: float(value) if "." in value or "e" in value.lower() else int(value)
        for name, value in _pairs(settings).items()
    }


def _fix(program: str, settings: tuple[str, ...]) -> str:
    """Apply mechanical cures until none is left; the file is replaced only when all are in.

    The result is what to check now: the same file, or the mended formulas.
    """
    from pgcompile.compiler import analyse
    from pgcompile.diagnostics.fixes import apply_edits
    from pgcompile.writing import write_atomically

    source = _source(program)
    text, made = source.text, 0
    for _ in range(_FIXES):
        found = [d for d in analyse(Source(text, source.name), _constants(settings)).diagnostics if d.edits]
        changed = apply_edits(text, found)
        if not found or changed == text:
            break
        text, made = changed, made + len(found)
    path = Path(program)
    if not path.is_file():
        click.echo(text)
    elif text != source.text:
        write_atomically(path, text.encode())
    click.echo(f"{made} mistake{'s' * (made != 1)} mended", err=True)
    return program if path.is_file() else text


def _analyse(program: str, settings: tuple[str, ...]) -> Analysis:
    from pgcompile.compiler import analyse

    return analyse(_source(program), _constants(settings))


def _checked(program: str, settings: tuple[str, ...]) -> Analysis:
    analysis = _analyse(program, settings)
    analysis.raise_errors()
    return analysis


def _graph(analysis: Analysis):  # type: ignore[no-untyped-def]  # networkx has no types
    from pgcompile.objective.review import generative_part, graph_of

    return graph_of(analysis.model, generative_part(analysis.model, analysis.resolver))


def _print(found: list[Diagnostic], *, as_json: bool) -> None:
    from pgcompile.diagnostics.render import render_all

    if as_json:
        click.echo(json.dumps([d.to_json() for d in found], indent=2))
    elif found:
        colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        click.echo(render_all(found, colour=colour) + "\n", err=True)
        errors = sum(d.severity is Severity.ERROR for d in found)
        if errors:
            click.echo(f"{errors} error{'s' * (errors > 1)}", err=True)


if __name__ == "__main__":
    main()
