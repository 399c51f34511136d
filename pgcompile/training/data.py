"""Data files, matched to variables by name and checked against their declared spaces."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcompile.array_errors import UNREADABLE
from pgcompile.atomic_write import write_atomically
from pgcompile.diagnostics import DataError, nearest
from pgcompile.training.npz import NpzArrays
from pgcompile.training.tables import read_csv, read_parquet
from pgcompile.vocabulary.spaces import ANY, KINDS, Space, contains, filling

IN_MEMORY = 256 * 2**20  # bytes of a file above which its rows stay on disk
CHUNK = 2**16  # rows that are checked at once


def load(path: Path, wanted: list[str], spaces: Mapping[str, Space]) -> dict[str, Tensor]:
    """The arrays of a data file as tensors, by variable.

    Args:
        path: see `arrays`.
        wanted: variables that are needed.
        spaces: their spaces.

    Raises:
        DataError: the file, a name, a shape or a value does not fit; the message says which.
    """
    found = arrays(path, wanted)
    checked(found, wanted, spaces, path.name)
    return {name: as_tensor(found[name], spaces[name]) for name in wanted}


def arrays(path: Path, wanted: list[str]) -> Mapping[str, np.ndarray]:
    """The arrays of a data file; those of an `.npz` are read when they are asked for.

    Args:
        path: an `.npz` with an array a variable, an `.npy` for a program of one observed variable (a large one stays
            on disk), a folder with an `.npy` a variable, or a `.csv` or `.parquet` table with a column a number.
        wanted: variables that are needed.

    Raises:
        DataError: it cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(path.glob("*.npy"))
            if not files:
                raise DataError(f"{path.name} is a folder without .npy files, and without images")
            return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}
        match path.suffix.lower():
            case ".csv" | ".tsv":
                return read_csv(path, wanted)
            case ".parquet":
                return read_parquet(path, wanted)
            case ".npz":
                return NpzArrays(path)
            case ".npy" if path.stat().st_size > IN_MEMORY:
                content: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            case _:
                content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            if len(wanted) != 1:
                raise DataError(
                    f"{path.name} holds one array, and the program observes {', '.join(wanted)}: use an .npz"
                )
            return {wanted[0]: content}
        with content:  # an archive under another ending
            return {name: content[name] for name in content.files}
    except ImportError as error:
        raise DataError(f"{path.name} needs {error.name}: `pip install {error.name}`") from None
    except UNREADABLE as error:
        kinds = ".npz, .npy, .csv or .parquet"
        reason = "it is none, or holds Python objects" if "pickle" in str(error) else str(error)
        raise DataError(f"{path.name} cannot be read as {kinds}: {reason}") from None


def checked(found: Mapping[str, np.ndarray], wanted: list[str], spaces: Mapping[str, Space], source: str) -> None:
    """Check that arrays have the wanted variables, in their spaces.

    Raises:
        DataError: a name, a shape, a length or a value does not fit.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        close = nearest(missing[0], found)
        hint = f"; did you mean {close}?" if close else ""
        raise DataError(f"{source} has no array {missing[0]}: it has {', '.join(found) or 'none'}{hint}")
    for name in wanted:
        _check(name, found[name], spaces[name], source)
    sizes = {name: len(found[name]) for name in wanted}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise DataError(f"the arrays of {source} differ in their number of rows: {listed}")
    if 0 in sizes.values():
        raise DataError(f"{source} has no rows")


def as_tensor(array: np.ndarray, space: Space) -> Tensor:
    """Rows as a tensor of the type that their space has."""
    if space.kind == "category":
        array = np.where(np.isnan(array), -1, array) if array.dtype.kind == "f" else array
        return torch.as_tensor(array.astype(np.int64))
    return torch.as_tensor(array.astype(np.float32))


def _check(name: str, array: np.ndarray, space: Space, source: str) -> None:
    """Types, shapes and values of one array, piece by piece."""
    where = f"{name} in {source}"
    if array.dtype.kind not in "buif":
        raise DataError(f"{where} holds {array.dtype}, not numbers")
    if not _fits(array.shape[1:], space.shape):
        flat = int(np.prod(array.shape[1:])) == space.numel and array.ndim > 1
        hint = f"; reshape it to {(len(array), *space.shape)}" if flat else ""
        has = f"{where} has rows of shape {list(array.shape[1:])}"
        raise DataError(f"{has}, and `{name} : {space}` needs {_sizes(space.shape)}{hint}")
    for start in range(0, len(array), CHUNK):
        rows = np.asarray(array[start : start + CHUNK])
        if space.optional:
            lacking = (rows == -1) | np.isnan(rows) if space.kind == "category" else np.isnan(rows)
            rows = np.where(lacking, filling(space.kind), rows)
        for unfit, what in ((np.isnan, "is not a number"), (_too_large, "is too large for single precision")):
            if (found := unfit(rows)).any():
                row = start + int(np.argwhere(found.reshape(len(rows), -1).any(1))[0, 0])
                raise DataError(f"{where} has a value that {what} in row {row}")
        bad = _outside(rows, space)
        if bad is not None:
            raise DataError(
                f"{where} has the value {bad:g} outside its space `{space}`, whose values are {KINDS[space.kind].what}"
            )


def _fits(sizes: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """True if rows have the sizes that are wanted, of which some may be any."""
    return len(sizes) == len(wanted) and all(w in (ANY, s) for s, w in zip(sizes, wanted, strict=True))


def _sizes(shape: tuple[int, ...]) -> str:
    return f"[{', '.join('any' if size == ANY else str(size) for size in shape)}]"


def _too_large(array: np.ndarray) -> np.ndarray:
    """Where the values are infinite, or would be as floats of 32 bits."""
    found: np.ndarray = np.abs(array) > np.finfo(np.float32).max
    return found


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


def save_arrays(values: Mapping[str, np.ndarray], path: Path) -> Path:
    """Write an `.npz`."""
    buffer = BytesIO()
    np.savez_compressed(buffer, **dict(values))  # type: ignore[arg-type]
    return write_atomically(path, buffer.getvalue())
