"""Check of factors that are flows: their contexts, their shapes and their bases."""

from pgcompile.model.factors import FamilyUse, FlowUse
from pgcompile.typing.checks.context import FactorContext
from pgcompile.typing.flows import size_flow
from pgcompile.vocabulary.spaces import KINDS, Space


def check_flow(context: FactorContext, use: FlowUse) -> None:
    """Check `Flow(base, f(c))`, size f on its first use, and settle the space of the base."""
    model, sink, factor = context.model, context.sink, context.factor
    if use.base_name in model.spaces:
        return
    scope = context.scope(use.bindings)
    contexts = [context.typer.typed(argument, scope) for argument in use.arguments]
    target = context.space_of(factor.targets[0])
    if target is None or None in contexts:
        model.untyped.add(use.base_name)
        return
    out = size_flow(factor, use, target.space, [c for c in contexts if c is not None], context.typer)
    definition = use.base.definition
    assert isinstance(definition, FamilyUse)
    if out is None:
        return
    family = definition.family
    off_the_reals = family.name in ("Delta", "VonMisesFisher") or family.event_rank == 2
    if not family.pathwise or off_the_reals or family.index_valued:
        sink.add(
            "PGC316",
            use.base.span,
            f"{family.name} is no base of a flow: a base has a density over vectors, and pathwise draws",
            help=f"write {factor.label} = Flow(Normal(0, 1), ...)",
        )
        return
    kind = family.support if KINDS[family.support].event_rank == 0 else "real"
    model.spaces[use.base_name] = Space(kind, out)
    context.check(use.base)
