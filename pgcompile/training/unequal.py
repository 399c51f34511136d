"""Sequences of unequal length, given as a list of arrays: filled up to the longest, and their lengths beside them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pgcompile.diagnostics import DataError
from pgcompile.model.data_spaces import data_names
from pgcompile.model.model import Model
from pgcompile.syntax.places import python_name
from pgcompile.training.npz import NpzArrays
from pgcompile.training.rows import Data


def filled_up(data: Data, model: Model) -> Data:
    """Data whose sequences are arrays of one length, behind which zeros stand; the lengths are an array of their own.

    Args:
        data: arrays by variable, lists of an array a row, or a file with an array a sequence; others stay as they are.
        model: says which variables are sequences, and what their lengths are called.

    Raises:
        DataError: lengths differ where the program has no `padded` index, or from variable to variable.
    """
    given = numbered(Path(data), model) if isinstance(data, str | Path) else data
    if given is None or not isinstance(given, Mapping):
        return data
    data, found = given, dict(given)
    rows = {name: _sequences(data.get(python_name(name))) for name in model.variables if _sequence_index(model, name)}
    rows = {name: own for name, own in rows.items() if own}
    counts = {name: np.array([len(row) if row.ndim else 0 for row in own]) for name, own in rows.items()}
    uneven = {_sequence_index(model, name) for name, own in counts.items() if len({*own.tolist()}) > 1}
    for name, own in rows.items():
        index = _sequence_index(model, name)
        if index is None or index not in uneven:
            found[python_name(name)] = np.stack(own)
            continue
        known = model.indices.ranges[index]
        if known.lengths is None:
            raise DataError(
                f"the rows of {python_name(name)} have {counts[name].min()} to {counts[name].max()} places: "
                f"`index {known.name} in 1..T padded` takes sequences of unequal length"
            )
        if len({row.shape[1:] for row in own}) > 1:
            raise DataError(f"the places of {python_name(name)} differ in shape from row to row")
        first = next(other for other in rows if _sequence_index(model, other) == index)
        _check_same(first, counts[first], name, counts[name])
        whole = np.zeros((len(own), int(counts[name].max()), *own[0].shape[1:]), own[0].dtype)
        for row, count, to in zip(own, counts[name], whole, strict=True):
            to[:count] = row
        found[python_name(name)] = whole
        if known.lengths not in data:
            found[known.lengths] = counts[name]
    return found


def numbered(path: Path, model: Model) -> dict[str, Any] | None:
    """The arrays of an `.npz` that has an array a sequence: `x_0`, `x_1`, ... as the list `x`; None of other files.

    Raises:
        DataError: a sequence is missing.
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    content = NpzArrays(path)
    wanted = [python_name(name) for name in model.variables if _sequence_index(model, name)]
    lists: dict[str, Any] = {}
    for name in (name for name in wanted if name not in content):
        numbers = sorted(int(m[1]) for key in content if (m := re.fullmatch(rf"{re.escape(name)}_(\d+)", key)))
        if not numbers:
            continue
        missing = sorted({*range(numbers[0], numbers[-1])} - {*numbers})
        if missing:
            raise DataError(f"{path.name} has {name}_{numbers[-1]}, and no {name}_{missing[0]}")
        lists[name] = [content[f"{name}_{number}"] for number in numbers]
    kept = {*data_names(model)} & {*content}
    return {**{name: content[name] for name in kept}, **lists} if lists else None


def _sequence_index(model: Model, name: str) -> str | None:
    """The first index of a variable, but for that of the data points."""
    return next((i for i in model.indices.of(name) if not model.indices.ranges[i].of_data), None)


def _sequences(value: Any) -> list[np.ndarray]:
    """The arrays of a list of sequences; none of anything else."""
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)
    return [_array(row) for row in value] if isinstance(value, list | tuple) and all(map(_is_array, value)) else []


def _check_same(first: str, before: np.ndarray, name: str, counts: np.ndarray) -> None:
    """Refuse two variables of one sequence whose lengths differ."""
    one, two = python_name(first), python_name(name)
    if len(before) != len(counts):
        raise DataError(f"{one} has {len(before)} sequences, and {two} has {len(counts)}")
    differ = np.flatnonzero(before != counts)
    if len(differ):
        row = int(differ[0])
        raise DataError(f"sequence {row} has {before[row]} places in {one}, and {counts[row]} in {two}")


def check_ends(values: Mapping[str, Tensor], model: Model) -> None:
    """Check that no sequence is said to be longer than its variables.

    Args:
        values: rows by variable, lengths among them.
        model: says which variables are sequences.

    Raises:
        DataError: one is; the message names the row.
    """
    for variable in model.variables:
        name = python_name(variable)
        own = [i for i in model.indices.of(variable) if not model.indices.ranges[i].of_data]
        for axis, index in enumerate(own, 1) if name in values else ():
            ends = model.indices.ranges[index].lengths
            if ends is None or ends not in values:
                continue
            count = values[name].shape[axis]
            beyond = (values[ends] > count).nonzero()
            if len(beyond):
                row = int(beyond[0, 0])
                raise DataError(f"{ends} says {int(values[ends][row])} places in row {row}, and {name} has {count}")


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor | list)


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
