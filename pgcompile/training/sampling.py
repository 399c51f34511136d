"""`pgc sample`: draws of a trained model into a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgcompile.diagnostics import DataError
from pgcompile.program import Program
from pgcompile.training import checkpoint
from pgcompile.training.data import load, save_arrays
from pgcompile.training.pictures import image_shape, save_grid, save_scatter


def draw(
    program: Program,
    weights: Path,
    output: Path,
    *,
    number: int,
    mean: bool,
    seed: int,
    given: Path | None = None,
    extern: Mapping[str, Any] | None = None,
) -> Path:
    """Draw from a trained program.

    Args:
        program: the program.
        weights: its checkpoint.
        output: an `.npz` with every variable, or a `.png` grid of the first one that can be shown as images.
        number: how many draws.
        mean: propagate means instead of drawing.
        seed: of the noise.
        given: an `.npz` of variables to condition on.
        extern: the program's extern parts.

    Raises:
        DataError: the checkpoint, the condition or the output does not fit.
    """
    if program.generative is None or not hasattr(program.Model, "sample"):
        raise DataError("the program has no model to draw from")
    check_ending(output)
    model, prepared = checkpoint.trained(program, weights, extern)
    torch.manual_seed(seed)
    conditions = prepared(_conditions(program, given))
    sampler = model.sample_mean if mean else model.sample
    with torch.no_grad():
        try:
            values = sampler(() if conditions else (number,), conditions)
        except (KeyError, ValueError) as error:
            raise DataError(str(error).strip("'\"")) from None
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


def _conditions(program: Program, given: Path | None) -> dict[str, torch.Tensor]:
    if given is None:
        return {}
    try:
        with np.load(given, allow_pickle=False) as content:
            names = list(content.files)
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{given.name} cannot be read as .npz: {error}") from None
    known = program.analysis.model.spaces
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"{given.name} holds {unknown[0]}, which is no variable of the program: {', '.join(known)}")
    return load(given, names, program.analysis.model.spaces)


def _picture(program: Program, values: dict[str, torch.Tensor], output: Path) -> Path:
    for name, value in values.items():
        size = image_shape(program.analysis.model.spaces[name].shape)
        if size is not None:
            if program.generative is not None and name not in program.generative.target_names[-1:]:
                continue
            return save_grid(value.float().cpu().numpy(), size, output)
    plane = next((v for v in values.values() if v.shape[1:] == (2,)), None)
    if plane is not None:
        return save_scatter(plane.float().cpu().numpy(), None, output)
    raise DataError(f"no variable of the program can be shown as images: write an .npz instead of {output.name}")
