"""Sequences of unequal length, given as a list of arrays: filled up to the longest, and their lengths beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from pgcompile.diagnostics import DataError
from pgcompile.model.model import Model
from pgcompile.syntax.places import python_name


def filled_up(data: Mapping[str, Any], model: Model) -> Mapping[str, Any]:
    """Data whose sequences are arrays of one length, behind which zeros stand; the lengths are an array of their own.

    Args:
        data: arrays by variable, or lists of an array a row.
        model: says which variables are sequences, and what their lengths are called.

    Raises:
        DataError: lengths differ where the program has no `padded` index, or from variable to variable.
    """
    found, lengths = dict(data), dict[str, tuple[str, np.ndarray]]()
    for name in model.variables:
        own = [i for i in model.indices.of(name) if not model.indices.ranges[i].of_data]
        value = data.get(python_name(name))
        if not own or not isinstance(value, list | tuple) or not all(map(_is_array, value)) or not value:
            continue
        rows = [_array(row) for row in value]
        counts = np.array([len(row) if row.ndim else 0 for row in rows])
        known = model.indices.ranges[own[0]]
        if len({*counts.tolist()}) == 1:
            found[python_name(name)] = np.stack(rows)
            continue
        if known.lengths is None:
            raise DataError(
                f"the rows of {python_name(name)} have {counts.min()} to {counts.max()} places: "
                f"`index {known.name} in 1..T padded` takes sequences of unequal length"
            )
        if len({row.shape[1:] for row in rows}) > 1:
            raise DataError(f"the places of {python_name(name)} differ in shape from row to row")
        first, before = lengths.setdefault(known.lengths, (python_name(name), counts))
        if len(before) != len(counts) or (before != counts).any():
            raise DataError(f"the sequences of {first} and {python_name(name)} differ in length")
        whole = np.zeros((len(rows), int(counts.max()), *rows[0].shape[1:]), rows[0].dtype)
        for row, count, to in zip(rows, counts, whole, strict=True):
            to[:count] = row
        found[python_name(name)] = whole
    return found | {name: counts for name, (_, counts) in lengths.items() if name not in data}


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor | list)


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
