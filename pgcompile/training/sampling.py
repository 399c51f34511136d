"""`pgc sample`: draws of a trained model into a file."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgcompile.array_errors import UNREADABLE
from pgcompile.diagnostics import DataError
from pgcompile.model.data_spaces import data_spaces
from pgcompile.program import Program
from pgcompile.training import checkpoint
from pgcompile.training.data import load, save_arrays
from pgcompile.training.pictures import image_shape, save_grid, save_scatter
from pgcompile.training.sequence_draws import save_drawn_sequences


def draw(
    program: Program,
    weights: Path,
    output: Path,
    *,
    number: int,
    mean: bool,
    seed: int,
    given: Path | None = None,
    part: str | None = None,
    extern: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Draw from a trained program.

    Args:
        program: the program.
        weights: its checkpoint.
        output: an `.npz` with every variable, or a `.png` grid of the first one that can be shown as images.
        number: how many draws.
        mean: propagate means instead of drawing.
        seed: of the noise.
        given: an `.npz` of variables to condition on; what it holds besides is left out.
        part: a factor or distribution to draw from, `q(z)` say, in the place of the model.
        say: told what is left out.
        extern: the program's extern parts.

    Raises:
        DataError: the checkpoint, the condition or the output does not fit.
    """
    if part is None and (program.generative is None or not hasattr(program.Model, "sample")):
        raise DataError(
            "the program has no model to draw from: its factors p are no product that generates each variable once; "
            f"say what to draw from with --part, such as {_first_label(program)}"
        )
    check_ending(output)
    model, prepared = checkpoint.trained(program, weights, extern)
    torch.manual_seed(seed)
    conditions = prepared(_conditions(program, given, part, say))
    with torch.no_grad():
        try:
            if part is not None:
                values = _of_part(program, model, part, conditions, number, mean=mean)
            else:
                sampler = model.sample_mean if mean else model.sample
                values = sampler(() if conditions else (number,), conditions)
        except KeyError as error:
            raise DataError(_in_commands(str(error).strip("'\""))) from None
        except (ValueError, NotImplementedError) as error:
            raise DataError(_in_commands(str(error) or "this distribution has no mean")) from None
    values = prepared.undo(values)
    if output.suffix.lower() == ".png":
        return _picture(program, values, output)
    return save_arrays({name: value.cpu().numpy() for name, value in values.items()}, output)


def check_ending(output: Path) -> None:
    """Check that the file's ending is one for numbers or for pictures.

    Raises:
        DataError: it is neither.
    """
    if output.suffix.lower() not in (".npz", ".png"):
        raise DataError(f"{output.name} is neither .npz (numbers) nor .png (pictures)")


def _in_commands(text: str) -> str:
    """A message of the emitted module, with the option of the command that it asks for."""
    if text.startswith("say how many places"):
        return re.sub(r"sample\(\.\.\., (\w+)=20\)", r"--set \1=20", text)
    return text.replace("; give it", ": give it in a file, --given FILE.npz") if text.endswith("; give it") else text


def _first_label(program: Program) -> str:
    factors = program.analysis.model.factors
    return next((f.label for f in factors if not f.is_data), "a factor")


def _of_part(
    program: Program, model: Any, part: str, conditions: dict[str, torch.Tensor], number: int, *, mean: bool
) -> dict[str, torch.Tensor]:
    """Draws of one factor or named distribution, by its label."""
    if not hasattr(model, "factor"):
        raise DataError(f"the program has no distribution {part}")
    make = model.factor(part)
    targets, parents = _variables_of(part)
    missing = [name for name in parents if name not in conditions]
    if missing:
        raise DataError(f"{part} needs {', '.join(missing)}: give it in a file, --given FILE.npz")
    distribution = make(*(conditions[name] for name in parents))
    if mean:
        found = distribution.mean if parents else distribution.mean.expand(number, *distribution.mean.shape)
    else:
        found = distribution.sample(() if parents else (number,))
    return dict(found) if isinstance(found, Mapping) else {targets[0]: found}


def _variables_of(part: str) -> tuple[list[str], list[str]]:
    """Targets and parents of a label."""
    head, _, rest = part.replace(" ", "").partition("(")[2].rstrip(")").partition("|")
    return head.split(","), [name for name in rest.split(",") if name]


def _wanted(program: Program, names: list[str], part: str | None) -> list[str]:
    """The variables of a file that a draw can be conditioned on: those whose parents are there too."""
    if part is not None:
        return [name for name in names if name in _variables_of(part)[1]]
    kept: list[str] = []
    generative = program.generative
    assert generative is not None
    parents = {str(t): {*map(str, atom.parents)} for atom in generative.atoms for t in atom.targets}
    while fitting := [n for n in names if n not in kept and parents.get(n, set()) <= {*kept}]:
        kept += fitting
    return [name for name in names if name in kept]


def _conditions(
    program: Program, given: Path | None, part: str | None, say: Callable[[str], None]
) -> dict[str, torch.Tensor]:
    if given is None:
        return {}
    try:
        with np.load(given, allow_pickle=False) as content:
            names = list(content.files)
    except (*UNREADABLE, AttributeError) as error:
        raise DataError(f"{given.name} cannot be read as .npz: {error}") from None
    known = data_spaces(program.analysis.model)
    wanted = _wanted(program, [name for name in names if name in known], part)
    if not wanted:
        raise DataError(f"{given.name} holds {', '.join(names) or 'nothing'}, and no variable to condition on")
    left = [name for name in names if name not in wanted]
    if left:
        say(f"{given.name}: {', '.join(left)} left out, conditioned on {', '.join(wanted)}")
    return load(given, wanted, data_spaces(program.analysis.model, begun=True))


def _picture(program: Program, values: dict[str, torch.Tensor], output: Path) -> Path:
    if program.analysis.model.indices.carried:
        arrays = {name: value.float().cpu().numpy() for name, value in values.items()}
        found = save_drawn_sequences(program, arrays, output)
        if found is None:
            raise DataError(f"no sequence of the program can be shown: write an .npz instead of {output.name}")
        return found
    for name, value in values.items():
        size = image_shape(data_spaces(program.analysis.model)[name].shape)
        if size is not None:
            if program.generative is not None and name not in program.generative.target_names[-1:]:
                continue
            return save_grid(value.float().cpu().numpy(), size, output)
    plane = next((v for v in values.values() if v.shape[1:] == (2,)), None)
    if plane is not None:
        return save_scatter(plane.float().cpu().numpy(), None, output)
    raise DataError(f"no variable of the program can be shown as images: write an .npz instead of {output.name}")
