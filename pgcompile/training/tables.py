"""Tables: a column a number, matched to the entries of variables by name."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_ENTRY = re.compile(r"(?P<name>.+?)[._\[ ]?(?P<index>\d+)\]?")


def read_csv(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    """A table with a line of names at its top; separated by commas, semicolons or tabs.

    Raises:
        ValueError: it is no table of numbers; the message names the line.
    """
    with path.open(encoding="utf-8") as file:
        head = file.readline().strip()
    mark = max(",;\t", key=head.count)
    names = [name.strip().strip('"') for name in head.split(mark)]
    if all(_is_number(name) for name in names):
        raise ValueError("its first line has numbers, and it names the columns")
    table = np.genfromtxt(path, delimiter=mark, skip_header=1, ndmin=2, dtype=np.float64, encoding="utf-8")
    if table.shape[1] != len(names):
        raise ValueError(f"{len(names)} columns are named, and its rows have {table.shape[1]}")
    return by_variable({name: table[:, i] for i, name in enumerate(names)}, wanted)


def read_parquet(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    """A Parquet table; a column may hold a list a row.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: lists of one column differ in length.
    """
    from pyarrow import parquet

    table = parquet.read_table(path)
    columns = {}
    for name in table.column_names:
        values = table.column(name).to_numpy()
        columns[name] = np.stack(list(values)) if values.dtype == object and len(values) else values
    return by_variable(columns, wanted)


def by_variable(columns: Mapping[str, np.ndarray], wanted: list[str]) -> dict[str, np.ndarray]:
    """Columns `x_0`, `x_1`, ... (or `x[0]`, `x.0`, `x0`) together as `x`; others as they are."""
    found = dict(columns)
    for variable in wanted:
        if variable in found:
            continue
        entries: dict[int, np.ndarray] = {}
        for name, values in columns.items():
            match = _ENTRY.fullmatch(name)
            if match and match["name"] == variable:
                entries[int(match["index"])] = values
        if entries:
            found[variable] = np.stack([entries[i] for i in sorted(entries)], axis=1)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
