"""Tables: a column a number, matched to the entries of variables by name."""

import csv
import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

_ENTRY = re.compile(r"(?P<name>.+?)[._\[ ]?(?P<index>\d+)\]?")


def read_csv(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    """A table with a line of names at its top; separated by commas, semicolons or tabs, quoted as spreadsheets do.

    Columns that no wanted variable has may hold anything.

    Raises:
        ValueError: it is no table of numbers; the message names the line.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        mark = max(",;\t", key=head.count)
        names = [name.strip() for name in next(csv.reader([head], delimiter=mark), [])]
        if all(_is_number(name) for name in names):
            raise ValueError("its first line has numbers, and it names the columns")
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"two columns are called {twice[0]}")
        used = [i for i, name in enumerate(names) if _is_of(name, wanted)]
        table = _numbers(csv.reader(file, delimiter=mark), names, used)
    return by_variable({names[i]: table[:, place] for place, i in enumerate(used)}, wanted)


def _numbers(lines: Iterator[list[str]], names: list[str], used: list[int]) -> np.ndarray:
    """The used columns of the rows under the names; an empty cell is no number."""
    cells = array("d")
    for number, cut in enumerate(lines, 2):
        if not cut:
            continue
        if len(cut) != len(names):
            raise ValueError(f"{len(names)} columns are named, and line {number} has {len(cut)}")
        for i in used:
            try:
                cells.append(float(cut[i]) if cut[i].strip() else float("nan"))
            except ValueError:
                raise ValueError(f"`{cut[i][:40]}` in line {number}, column {names[i]}, is not a number") from None
    return np.frombuffer(cells, dtype=np.float64).reshape(-1, max(len(used), 1)) if cells else np.zeros((0, len(used)))


def _is_of(name: str, wanted: list[str]) -> bool:
    """True if a column is a variable, or one of its entries."""
    match = _ENTRY.fullmatch(name)
    return name in wanted or (match is not None and match["name"] in wanted)


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
    """Columns `x_0`, `x_1`, ... (or `x[0]`, `x.0`, `x0`) together as `x`; others as they are.

    Raises:
        ValueError: an entry of a variable has two columns, or none.
    """
    found = dict(columns)
    for variable in wanted:
        if variable in found:
            continue
        entries: dict[int, np.ndarray] = {}
        for name, values in columns.items():
            match = _ENTRY.fullmatch(name)
            if match and match["name"] == variable:
                place = int(match["index"])
                if place in entries:
                    raise ValueError(f"{variable} has two columns for its entry {place}")
                entries[place] = values
        missing = sorted({*range(min(entries, default=0), max(entries, default=0))} - {*entries})
        if missing:
            raise ValueError(f"{variable} has columns up to {max(entries)}, and none for its entry {missing[0]}")
        if entries:
            found[variable] = np.stack([entries[i] for i in sorted(entries)], axis=1)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
