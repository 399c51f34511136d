"""Check of factors that have a family: their parameters are typed, their variable's space is settled."""

from pgcompile.model.factors import FamilyUse
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.checks.context import FactorContext, FamilyContext
from pgcompile.typing.checks.parameters import check_parameter
from pgcompile.typing.checks.supports import check_support
from pgcompile.typing.checks.together import check_together
from pgcompile.vocabulary.spaces import KINDS, Space


def check_family(context: FactorContext, use: FamilyUse) -> None:
    """Check `Family(parameters) where bindings` against the space of its variable; a second check does nothing."""
    if use.types:
        return
    types = _types_of_parameters(context, use)
    variable = context.factor.targets[0]
    if len(types) < len(use.parameters):
        context.model.untyped.add(variable)
        return
    assert isinstance(use.types, dict)
    use.types.update(types)
    family = FamilyContext(context, use)
    space = context.model.spaces.get(variable) or _space_from(family, types)
    if space is None:
        return
    context.model.spaces[variable] = space
    if not check_support(family, space):
        return
    for name, expr in use.parameters:
        check_parameter(family, use.family.parameter(name), expr, types[name], space)
    check_together(family, types)


def _types_of_parameters(context: FactorContext, use: FamilyUse) -> dict[str, Typed]:
    """Types of the parameters that have one; clauses of `where` that none of them uses are typed for their faults.

    Clauses come first, in their order: a long chain of them is not gone through from its end.
    """
    scope = context.scope(use.bindings)
    types: dict[str, Typed] = {}
    for name, (binding, _) in scope.bindings.items():
        context.typer.infer(tree.Name(name, span=binding.span), scope)
    for name, expr in use.parameters:
        value = context.typer.typed(expr, scope)
        if value is not None:
            types[name] = value
    return types


def _space_from(context: FamilyContext, types: dict[str, Typed]) -> Space | None:
    """The space that a family and its parameters give a variable that is not declared; None after a report."""
    family, variable = context.family, context.factor.subject
    shape: tuple[int, ...] = ()
    categories = None
    for name, value in types.items():
        rank = family.parameter(name).rank
        own = value.shape if not rank else value.shape[: len(value.shape) - rank + family.event_rank]
        if family.index_valued and rank == 1:
            fewer = family.parameter(name).fewer
            own, categories = value.shape[:-1], value.shape[-1] + fewer if value.shape else None
        if len(own) > len(shape):
            shape = own
    support = family.support
    if (family.index_valued and categories is None) or len(shape) < KINDS[support].event_rank:
        context.sink.add(
            "PGC307",
            context.factor.span,
            f"the space of {variable} is not known",
            help=f"declare it, as in `{variable} : {support}[10]`",
        )
        return None
    return Space(support, shape, categories)
