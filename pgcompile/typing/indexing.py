"""Types of `a[i, j]`: entries chosen by numbers, and by a variable that is an index."""

from fractions import Fraction

from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.scope import Scope
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import KINDS, Space


def type_of_index(typer: TypingContext, expr: tree.Index, scope: Scope) -> Typed | None:
    """Type of `a[i, j]`: the shape of the index of the first dimension, then the dimensions that are left."""
    base, indices = expr.base, expr.indices
    value = typer.typed(base, scope)
    if value is None:
        return None
    shape = value.shape
    if len(indices) > len(shape):
        return typer.fail(
            "PGC309",
            expr.span,
            f"`{typer.text(base)}` is {show(shape)} and takes at most {len(shape)} indices, not {len(indices)}",
            f"write `{typer.text(base)}` alone" if not shape else "an index is one number; a slice is not written",
        )
    lead: tuple[int, ...] = ()
    for dimension, index in enumerate(indices):
        at = typer.typed(index, scope)
        if at is None or not _fits(typer, base, shape, dimension, index, at):
            return None
        if not isinstance(at.literal, Fraction):
            if (dimension and at.shape) or lead:
                return typer.fail(
                    "PGC309",
                    index.span,
                    "a vector of indices stands alone, or before numbers",
                    f"index `{typer.text(base)}` by one entry of it, as in `{typer.text(index)}[0]`",
                )
            lead = at.shape
    kind = value.space.kind
    if KINDS[kind].event_rank > len(shape) - len(indices):
        # Entries of a simplex are shares, those of a matrix are numbers.
        kind = "unit_interval" if kind in ("simplex", "one_hot") else "real"
    categories = value.space.categories if kind == "category" else None
    return Typed(Space(kind, (*lead, *shape[len(indices) :]), categories))


def _fits(
    typer: TypingContext, base: tree.Expr, shape: tuple[int, ...], dimension: int, index: tree.Expr, at: Typed
) -> bool:
    """Test an index against the dimension it stands in, and report it if it does not fit."""
    if isinstance(at.literal, Fraction):
        return _number_fits(typer, base, shape[dimension], index, at.literal)
    if at.space.kind == "category":
        return _category_fits(typer, base, shape[dimension], index, at)
    typer.fail(
        "PGC309",
        index.span,
        f"`{typer.text(index)}` is `{at.space}`, and an index is a number or a category variable",
        f"declare it as `category[{shape[dimension]}]`",
    )
    return False


def _number_fits(typer: TypingContext, base: tree.Expr, size: int, index: tree.Expr, at: Fraction) -> bool:
    """Test a number as an index: whole, and one of the entries."""
    if at.denominator != 1:
        typer.fail(
            "PGC309",
            index.span,
            f"an index is a whole number, and {typer.text(index)} is none",
            f"indices of `{typer.text(base)}` go from 0 to {size - 1}",
        )
        return False
    if not 0 <= at < size:
        typer.fail(
            "PGC309",
            index.span,
            f"index {typer.text(index)} is outside `{typer.text(base)}`, which has {size} entries",
            f"indices go from 0 to {size - 1}",
        )
        return False
    return True


def _category_fits(typer: TypingContext, base: tree.Expr, size: int, index: tree.Expr, at: Typed) -> bool:
    """Test a category variable as an index: as many values as entries."""
    if at.space.categories != size:
        typer.fail(
            "PGC309",
            index.span,
            f"{typer.text(index)} takes {at.space.categories} values, `{typer.text(base)}` has {size} entries",
            "make the two sizes equal",
        )
        return False
    return True
