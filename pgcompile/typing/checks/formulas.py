"""Checks of factors that are formulas: deterministic variables, log-densities, weights of mixtures."""

from dataclasses import replace

from pgcompile.model.factors import Deterministic, Extern, LogDensityUse, Mixture
from pgcompile.syntax import tree
from pgcompile.typing.checks.circles import is_in_circle
from pgcompile.typing.checks.context import FactorContext
from pgcompile.typing.scope import Scope
from pgcompile.vocabulary.layers import show


def check_deterministic(context: FactorContext, made: Deterministic) -> None:
    """Check `x = expr`: x is not defined by itself, and is what it is declared as."""
    model, sink, typer = context.model, context.sink, context.typer
    variable = context.factor.targets[0]
    if is_in_circle(context):
        model.untyped.add(variable)
        return
    value = typer.typed(made.expr, context.scope(made.bindings))
    if value is None:
        model.untyped.add(variable)
        return
    declared = model.spaces.get(variable)
    if declared is None:
        model.spaces[variable] = value.space
    elif declared.shape != value.shape:
        sink.add(
            "PGC301",
            made.expr.span,
            f"{variable} is declared as `{declared}`, this is {show(value.shape)}",
            help=f"declare {variable} as `{replace(declared, shape=value.shape)}`, or change the formula",
        )


def check_extern(context: FactorContext, definition: Extern) -> None:
    """Check a factor that Python supplies: the spaces of its variables are known."""
    for variable in context.factor.targets:
        context.space_of(variable)


def check_mixture(context: FactorContext, mixture: Mixture) -> None:
    """Check a mixture: its components, and that each weight is one number, or one for each entry of the variable."""
    for component in mixture.components:
        context.check(component)
    assert isinstance(mixture.types, dict)
    space = context.model.spaces.get(context.factor.targets[0])
    shape = () if space is None or len(context.factor.targets) > 1 else space.shape
    for place, weight in enumerate(mixture.weights):
        text = context.typer.text(weight)
        found = context.typer.quiet().typed(weight, context.scope(())) if shape else None
        if found is not None and found.shape == shape:
            mixture.types[place] = found
            continue
        help = f"write {text}[0]"
        if shape:
            help += f", or a weight for each entry, which is {show(shape)}"
        _check_one_number(context, weight, context.scope(()), "a weight", help)
    if mixture.by_entry:
        _check_independent_entries(context, mixture)


def _check_independent_entries(context: FactorContext, mixture: Mixture) -> None:
    """Report components whose entries depend on each other: a choice for each entry leaves them no density."""
    for component in mixture.components:
        family = component.family
        if family is not None and family.event_rank == 0:
            continue
        what = "has no family" if family is None else f"is a {family.name}, whose entries depend on each other"
        context.sink.add(
            "PGC216",
            context.factor.span,
            f"{context.factor.label} has weights for each entry, and {component.label} {what}",
            reasons=["each entry is a mixture of its own, of the densities of that entry"],
            help="weigh whole vectors by one number, or give the component a family of single numbers",
        )


def check_log_density(context: FactorContext, use: LogDensityUse) -> None:
    """Check `LogDensity(expr)`: one number for each data point."""
    scope = context.scope(use.bindings, with_targets=True)
    text = context.typer.text(use.expr)
    _check_one_number(context, use.expr, scope, "a log-density", f"write sum({text})")


def _check_one_number(context: FactorContext, expr: tree.Expr, scope: Scope, noun: str, help: str) -> None:
    """Report an expression that has several values for each data point."""
    found = context.typer.typed(expr, scope)
    if found is not None and found.shape:
        context.sink.add(
            "PGC402",
            expr.span,
            f"`{context.typer.text(expr)}` is {show(found.shape)}: "
            f"{noun} of {context.factor.label} is one number a data point",
            help=help,
        )
