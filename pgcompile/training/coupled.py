"""Terms that compare the rows of a batch with each other, and what they ask of batches."""

from torch import Tensor

from pgcompile.diagnostics import DataError
from pgcompile.program import Program
from pgcompile.training.settings import Settings

LEAST = 2
"""Rows that such a term needs."""


def least_rows(program: Program) -> int:
    """The fewest rows of a batch that every objective is defined for."""
    return 1 if program.coupled is None else LEAST


def check_batches(program: Program, settings: Settings, processes: int) -> None:
    """Refuse batches that are too small for a term over their rows, and parts of batches where they change a value.

    Raises:
        DataError: with what to change.
    """
    whole = program.whole_data
    if whole is not None and (settings.accumulate > 1 or processes > 1):
        left_out = "leave out accumulate" if settings.accumulate > 1 else "train it in one process"
        raise DataError(
            f"{whole} is a function of a sum over the data, which no parts of a batch add up to: {left_out}"
        )
    label = program.coupled
    if label is None:
        return
    if settings.accumulate > 1:
        raise DataError(
            f"{label} compares the rows of a batch with each other, and would be another in parts: leave out accumulate"
        )
    if settings.batch_size < LEAST * processes:
        each = "" if processes == 1 else f" in each of {processes} processes"
        raise DataError(
            f"{label} compares the rows of a batch with each other: it takes {LEAST} rows{each} at least, "
            f"and batch_size is {settings.batch_size}"
        )


def check_rows(program: Program, count: int, what: str, processes: int = 1) -> None:
    """Refuse rows that are too few for a term over them.

    Raises:
        DataError: with the number that is wanted.
    """
    label = program.coupled
    if label is not None and 0 < count < LEAST * processes:
        raise DataError(f"{label} compares rows with each other: {count} {what} is too few, it takes {LEAST}")


def split_rows(index: Tensor, size: int, least: int = 1) -> list[Tensor]:
    """Rows in batches; a last one of too few rows joins the one before it.

    Args:
        index: numbers of the rows.
        size: of a batch.
        least: the fewest rows of a batch.
    """
    chunks = list(index.split(size))
    if len(chunks) > 1 and len(chunks[-1]) < least:
        before = sum(len(chunk) for chunk in chunks[:-2])
        chunks[-2:] = [index[before:]]
    return chunks


def count_batches(rows: int, size: int, least: int = 1) -> int:
    """The number of batches that `split_rows` makes."""
    whole, rest = divmod(rows, size)
    return max(1, whole + (rest >= (least if whole else 1)))
