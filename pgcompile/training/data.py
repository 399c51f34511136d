"""Data files, matched to variables by name and checked against their declared spaces."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pgcompile.diagnostics import nearest
from pgcompile.model.values import Model
from pgcompile.vocabulary.spaces import KINDS, Space, contains


class DataError(Exception):
    """A data file or checkpoint that does not fit the program."""


def load(path: Path, wanted: list[str], model: Model) -> dict[str, Tensor]:
    """The arrays of a data file, by variable.

    Args:
        path: an `.npz` with an array a variable, or an `.npy` for a program of one observed variable.
        wanted: variables that the objective needs.
        model: their spaces.

    Raises:
        DataError: the file, a name, a shape or a value does not fit; the message says which.
    """
    arrays = _read(path, wanted)
    missing = [name for name in wanted if name not in arrays]
    if missing:
        close = nearest(missing[0], arrays)
        hint = f"; did you mean {close}?" if close else ""
        raise DataError(f"{path.name} has no array {missing[0]}: it has {', '.join(arrays) or 'none'}{hint}")
    found = {name: _checked(name, arrays[name], model.spaces[name], path) for name in wanted}
    sizes = {name: len(value) for name, value in found.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise DataError(f"the arrays of {path.name} differ in their number of rows: {listed}")
    if 0 in sizes.values():
        raise DataError(f"{path.name} has no rows")
    return found


def _read(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            if len(wanted) != 1:
                raise DataError(
                    f"{path.name} holds one array, and the program observes {', '.join(wanted)}: use an .npz"
                )
            return {wanted[0]: content}
        with content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(f"{path.name} cannot be read as .npz or .npy: {error}") from None


def _checked(name: str, array: np.ndarray, space: Space, path: Path) -> Tensor:
    """One array as a tensor in its space."""
    where = f"{name} in {path.name}"
    if array.dtype.kind not in "buif":
        raise DataError(f"{where} holds {array.dtype}, not numbers")
    if array.shape[1:] != space.shape:
        flat = int(np.prod(array.shape[1:])) == space.numel and array.ndim > 1
        hint = f"; reshape it to {(len(array), *space.shape)}" if flat else ""
        raise DataError(
            f"{where} has rows of shape {list(array.shape[1:])}, and `{name} : {space}` needs {list(space.shape)}{hint}"
        )
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array.reshape(len(array), -1)).all(1))[0, 0])
        raise DataError(f"{where} has a value that is not a number in row {row}")
    bad = _outside(array, space)
    if bad is not None:
        raise DataError(
            f"{where} has the value {bad:g} outside its space `{space}`, whose values are {KINDS[space.kind].what}"
        )
    if space.kind == "category":
        return torch.as_tensor(array.astype(np.int64))
    return torch.as_tensor(array.astype(np.float32))


def _outside(array: np.ndarray, space: Space) -> float | None:
    """A value that is not in the space, if there is one."""
    bad = np.zeros(array.shape, dtype=bool)
    if space.kind == "category":
        bad = (array != np.floor(array)) | (array < 0) | (array >= (space.categories or 0))
    elif contains("boolean", space.kind):
        bad = (array != 0) & (array != 1)
    elif contains("unit_interval", space.kind):
        bad = (array < 0) | (array > 1)
    elif contains("nonnegative_integer", space.kind):
        bad = (array < 0) | (array != np.floor(array))
    elif contains("positive", space.kind):
        bad = array <= 0
    elif contains("nonnegative", space.kind):
        bad = array < 0
    return float(array[bad][0]) if bad.any() else None
