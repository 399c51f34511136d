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
    """Check a mixture: its components, and that each weight is one number."""
    for component in mixture.components:
        context.check(component)
    for weight in mixture.weights:
        text = context.typer.text(weight)
        target = context.factor.targets[0]
        space = context.model.spaces.get(target)
        found = context.typer.quiet().typed(weight, context.scope(())) if space is not None and space.shape else None
        help = f"write {text}[0]"
        if found is not None and space is not None and found.shape == space.shape:
            sizes = ", ".join(map(str, space.shape))
            help = (
                f"a choice for each entry is drawn: `b : boolean[{sizes}]`, `p(b) = Bernoulli({text})`, "
                f"and `p({target}) = sum_b p({target}|b) p(b)`, which is a product over the entries"
            )
        _check_one_number(context, weight, context.scope(()), "a weight", help)


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
