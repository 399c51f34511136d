"""Rows from several files: what one of them lacks, a label say, is missing in its rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pgcompile.diagnostics import DataError
from pgcompile.training.data import arrays
from pgcompile.vocabulary.spaces import Space


def of_several(paths: Sequence[Path], spaces: Mapping[str, Space]) -> dict[str, np.ndarray]:
    """The rows of several files, one after another.

    Args:
        paths: files as `arrays` takes them.
        spaces: those of the program's variables. What data may lack, as `observed(y)` says, a file may lack: its rows
            have NaN there, and -1 for an index.

    Raises:
        DataError: a file cannot be read, or lacks what every row needs.
    """
    files = {path: arrays(path, list(spaces)) for path in paths}
    names = [name for name in spaces if any(name in found for found in files.values())]
    whole: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for path, found in files.items():
        known = [name for name in names if name in found]
        if not known:
            raise DataError(f"{path.name} has no variable of the program: it has {', '.join(found) or 'none'}")
        count = len(found[known[0]])
        for name in names:
            whole[name].append(found[name] if name in found else _missing(name, spaces[name], path, count))
    for name, pieces in whole.items():
        if len({piece.shape[1:] for piece in pieces}) > 1:
            shapes = ", ".join(str(list(piece.shape[1:])) for piece in pieces)
            raise DataError(f"the rows of {name} have different shapes in the files: {shapes}")
    return {name: np.concatenate(pieces) for name, pieces in whole.items()}


def _missing(name: str, space: Space, path: Path, rows: int) -> np.ndarray:
    """Rows of a variable that a file does not have."""
    if not space.optional:
        raise DataError(f"{path.name} has no array {name}; if its rows may lack it, say so with observed({name})")
    if space.kind == "category":
        return np.full((rows, *space.shape), -1)
    return np.full((rows, *space.shape), np.nan, dtype=np.float32)
