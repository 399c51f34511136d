"""Means and sums over the rows of the batch: `mean_{x'} f`, which is `E_{data(x')}[f]`."""

from pgcompile.model.model import Model
from pgcompile.syntax import tree
from pgcompile.syntax.rows import row_names


def rows_of(expr: tree.Expectation, model: Model) -> tuple[str, ...] | None:
    """The names that stand for other rows of the batch in an expectation; None where it is over something else."""
    names = row_names(expr.over)
    return names if names and all(name in model.rows for name in names) else None
