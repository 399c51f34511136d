"""Checks every factor: its parameters' shapes and supports against its family and its variable's space."""

from collections.abc import Callable
from typing import Any

from pgcompile.diagnostics import InternalError
from pgcompile.model.factors import (
    Data,
    Deterministic,
    Evidence,
    Extern,
    Factor,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Pushforward,
    Undefined,
)
from pgcompile.model.typed import Typed
from pgcompile.typing.checks.context import FactorContext
from pgcompile.typing.checks.families import check_family
from pgcompile.typing.checks.flows import check_flow
from pgcompile.typing.checks.formulas import (
    check_deterministic,
    check_extern,
    check_log_density,
    check_mixture,
)
from pgcompile.typing.context import TypingContext

Check = Callable[[FactorContext, Any], None]


CHECKS: dict[type, Check | None] = {
    FamilyUse: check_family,
    FlowUse: check_flow,
    Mixture: check_mixture,
    Extern: check_extern,
    Deterministic: check_deterministic,
    LogDensityUse: check_log_density,
    Data: None,
    Undefined: None,
    Evidence: None,
    Pushforward: None,
}
"""The check of each kind of factor; None where there is nothing to check, or its parts have been checked."""


def check_factor(factor: Factor, typer: TypingContext) -> None:
    """Type the parameters of a factor, settle its variable's space, and report what does not fit.

    Args:
        factor: the factor.
        typer: of the model; its model is given the space.

    Raises:
        InternalError: no row of `CHECKS` for this kind of factor.
    """
    kind = type(factor.definition)
    if kind not in CHECKS:
        raise InternalError(f"no check for {kind.__name__}")
    check = CHECKS[kind]
    if check is None:
        return
    context = FactorContext(
        factor,
        typer,
        parents={parent: space_of(parent, typer, factor) for parent in factor.parents},
        space_of=lambda variable: space_of(variable, typer, factor),
        check=lambda part: check_factor(part, typer),
    )
    check(context, factor.definition)


def space_of(variable: str, typer: TypingContext, factor: Factor) -> Typed | None:
    """Type of a variable: as declared, or as its family and parameters determine it.

    Args:
        variable: its name.
        typer: of the model.
        factor: the factor that asks, which a report points at where nothing declares the variable.

    Returns:
        Its type, None after a report, or while it is being settled.
    """
    model = typer.model
    known = model.spaces.get(variable)
    if known is not None:
        return Typed(known)
    lag = model.indices.lags.get(variable)
    if lag is not None and (there := space_of(lag.of, typer, factor)) is not None:
        model.spaces[variable] = model.indices.space_at(lag, there.space)
        return Typed(model.spaces[variable])
    if variable in model.untyped:
        return None
    model.untyped.add(variable)
    maker = next((f for f in model.factors if variable in f.targets and isinstance(f.definition, FamilyUse)), None)
    maker = model.deterministic.get(variable, maker)
    if maker is not None:
        check_factor(maker, typer)
        known = model.spaces.get(variable)
    if known is not None:
        model.untyped.discard(variable)
        return Typed(known)
    if not typer.sink.has_errors:
        typer.sink.add(
            "PGC307",
            model.variables.get(variable, factor.span),
            f"the space of {variable} is not known",
            help=f"declare it: `{variable if lag is None else lag.of} : real[64]`",
        )
    return None
