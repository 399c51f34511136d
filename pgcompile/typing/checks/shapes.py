"""Shapes of parameters, against the shape of the variable."""

from dataclasses import replace
from fractions import Fraction
from math import prod

from pgcompile.model.tensors import TensorValue
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.checks.context import FamilyContext
from pgcompile.vocabulary.family import Family, Parameter
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import Space


def check_shape(context: FamilyContext, parameter: Parameter, expr: tree.Expr, value: Typed, space: Space) -> bool:
    """Test the shape of a parameter, and report it if it does not fit.

    Args:
        context: the factor.
        parameter: the parameter.
        expr: as it is written.
        value: its type.
        space: of the variable.

    Returns:
        Whether it fits.
    """
    wanted = _expected(context.family, parameter, value, space)
    if _fits(parameter, value, wanted, whole=context.family.index_valued):
        return True
    subject = context.factor.subject
    blamed = _tensor_in(context, expr, value.shape)
    related = [(context.declared_at, f"{subject} is `{space}`")]
    if blamed is not None:
        related.append((blamed.span, f"{blamed.name} is declared `{blamed.space}`"))
    context.sink.add(
        "PGC305",
        expr.span,
        f"{parameter.name} of {context.factor.label} is {show(value.shape)}, and {subject} needs {show(wanted)}",
        related=related,
        help=f"declare `{blamed.name} : {replace(blamed.space, shape=wanted)}`"
        if blamed is not None
        else _declaration(context, space, value.shape) + _help(context, expr, value.shape, wanted),
    )
    return False


def _expected(family: Family, parameter: Parameter, value: Typed, space: Space) -> tuple[int, ...]:
    """The shape that a parameter has for a variable of this space."""
    if parameter.shared:
        return ()
    if parameter.per_event:
        return space.shape[: len(space.shape) - family.event_rank]
    if family.index_valued and parameter.rank == 1:
        categories = space.categories - parameter.fewer if space.categories else None
        return (*space.shape, categories or (value.shape[-1] if value.shape else 0))
    if parameter.rank == 2 and family.event_rank == 2:
        return space.shape
    if parameter.rank == 2:
        return (*space.shape, value.shape[-1] if parameter.wide and value.shape else space.shape[-1])
    return space.shape


def _fits(parameter: Parameter, value: Typed, wanted: tuple[int, ...], *, whole: bool) -> bool:
    """Test a shape: the wanted one, a scalar for all entries, or numbers for each of several events alike.

    What an index is drawn with has the shape of the index itself: `whole`.
    """
    if value.shape == wanted:
        return True
    filled = value.literal is not None and parameter.rank == 1 and parameter.constraint in ("real", "positive")
    if not value.shape and ((parameter.rank == 0 and not whole) or filled):
        return True
    if parameter.constraint == "simplex" and isinstance(value.literal, Fraction) and wanted:
        return abs(float(value.literal) * wanted[-1] - 1) < 1e-6  # `probs = 1/10`: the same for each category
    return bool(parameter.rank) and value.literal is not None and value.shape == wanted[-parameter.rank :]


def _tensor_in(context: FamilyContext, expr: tree.Expr, shape: tuple[int, ...]) -> TensorValue | None:
    """The param or buffer in an expression that gives it its shape, if one does."""
    bound = {name.id: b.value for b in context.use.bindings for name in b.names}
    names = names_in(expr) | {n for name in names_in(expr) if name in bound for n in names_in(bound[name])}
    tensors = [context.model.tensors[n] for n in sorted(names) if n in context.model.tensors]
    return next((t for t in tensors if t.space.shape == shape), None)


def _declaration(context: FamilyContext, space: Space, shape: tuple[int, ...]) -> str:
    """For a variable without a declaration, whose space was only inferred, the one that the value asks for."""
    subject = context.factor.subject
    if context.sink.source.snippet(context.declared_at) == subject or space.shape or not shape:
        return ""
    return f"declare `{subject} : {replace(space, shape=shape)}`, or "


def _help(context: FamilyContext, expr: tree.Expr, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """The change that would give an expression of this shape the wanted one."""
    text = context.typer.text(expr)
    net = context.net_of(expr)
    if net is not None and len(shape) > max(len(wanted), 1):
        return f"Linear acts on the last dimension only: start {net} with Flatten"
    for binding in context.use.bindings:
        cut = [n.id for n in binding.names]
        if len(cut) > 1 and names_in(expr) & {*cut} and isinstance(binding.value, tree.Call) and wanted:
            whole = len(cut) * prod(wanted)
            return f"end {binding.value.name} with Linear({whole}): it is cut into {len(cut)} parts"
    if net is not None and wanted:
        size = prod(wanted)
        return f"end {net} with Linear({size})" + (f" >> Unflatten({wanted})" if len(wanted) > 1 else "")
    if shape == (1,) and not wanted:
        plain = isinstance(expr, tree.Name | tree.Call | tree.Index)
        return f"write `{text}[0]`" if plain else f"write `({text})[0]`"
    if net is not None:
        return f"end {net} with Linear(1) and write `{text}[0]`"
    return f"give `{text}` the shape {show(wanted)}" if wanted else f"make `{text}` a scalar"
