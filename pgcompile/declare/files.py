"""Numbers of a `param` or `buffer` from a file beside the program: `buffer m : real[3, 2] = file("m.npy")`."""

from fractions import Fraction
from pathlib import Path

from pgcompile.array_errors import UNREADABLE
from pgcompile.diagnostics import Sink
from pgcompile.model.typed import Constant
from pgcompile.syntax import tree
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import Space

MOST = 10_000
"""The most numbers of a file; they are written into the emitted module."""

_ENDINGS = (".npy", ".csv", ".txt")
_BYTES = 2**20  # of a file with so many numbers, as text


def numbers_of_file(expr: tree.Expr | None, space: Space, sink: Sink) -> tree.Expr | None:
    """The numbers that `file("...")` holds, as if they were written; any other initial value as it is.

    None after a report: the file is not there, is no array of numbers, or does not fit.
    """
    match expr:
        case tree.Call("file", (tree.Argument(None, tree.Text(name)),), None):
            pass
        case tree.Call("file"):
            sink.add("PGC315", expr.span, "file takes the name of a file in quotes", help='write file("m.npy")')
            return None
        case _:
            return expr
    reason, found = _read(name, space, sink)
    if found is None:
        sink.add("PGC315", expr.span, f"{name} gives no initial value: {reason}", help=_HELP)
        return None
    return _literal(found, expr)


_HELP = (
    f"a file beside the program, {', '.join(_ENDINGS)}, with at most {MOST:,} numbers; more are given to the model: "
    '`model.set("m", array)`'
)


def _read(name: str, space: Space, sink: Sink) -> tuple[str, Constant | None]:
    """The numbers of a file, or why there are none."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in _ENDINGS:
        return "its name is no path below the folder of the program, or has another ending", None
    whole = Path(sink.source.name).parent / path
    if not whole.is_file():
        return f"there is no file {whole}", None
    if whole.stat().st_size > _BYTES:
        return f"it has more than {_BYTES:,} bytes", None
    import numpy as np  # reading a program must not wait for it

    try:
        if path.suffix.lower() == ".npy":
            array = np.load(whole, allow_pickle=False)
        else:
            table = np.loadtxt(whole, delimiter="," if path.suffix.lower() == ".csv" else None, ndmin=2)
            # A row or a column of numbers is a vector.
            array = table.reshape(-1) if len(space.shape) == 1 and 1 in table.shape else table
    except UNREADABLE as error:
        return f"it cannot be read: {error}", None
    if array.dtype.kind not in "buif" or array.size > MOST:
        return f"it holds {array.size:,} values of {array.dtype}", None
    if not np.isfinite(array).all():
        return "it holds a value that is not a number", None
    if array.shape != space.shape:
        return f"it is {show(array.shape)}, and the space is `{space}`", None
    return "", _constant(array.astype(float).tolist())


def _constant(value: object) -> Constant:
    if isinstance(value, list):
        return tuple(_constant(item) for item in value)
    return Fraction(repr(value))


def _literal(value: Constant, expr: tree.Expr) -> tree.Expr:
    """Numbers as the tree of their list."""
    if isinstance(value, tuple):
        return tree.ListLiteral(tuple(_literal(item, expr) for item in value), span=expr.span)
    number: tree.Expr = tree.Number(repr(abs(float(value))), span=expr.span)
    return tree.Negative(number, span=expr.span) if value < 0 else number
