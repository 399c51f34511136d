"""Scoring and drawing of each kind of factor in a plan: a row a kind, found by the class of its definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgcompile.model.factors import (
    Evidence,
    Extern,
    FactorInstance,
    FamilyUse,
    FlowUse,
    LogDensityUse,
    Mixture,
    Pushforward,
)
from pgcompile.objective.terms import Env
from pgcompile.plan.lower.derived_factors import (
    log_density_of_evidence,
    log_density_of_pushforward,
    log_density_of_unnormalised,
)
from pgcompile.plan.lower.extern_factors import draw_of_extern, log_density_of_extern
from pgcompile.plan.lower.family_factors import draw_of_family, log_density_of_family
from pgcompile.plan.lower.flow_factors import draw_of_flow, log_density_of_flow
from pgcompile.plan.lower.mixture_factors import log_density_of_mixture
from pgcompile.plan.lower.requests import DrawRequest
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering

__all__ = ["HANDLERS", "DrawRequest", "Handler"]


@dataclass(frozen=True)
class Handler:
    """The lowering of one kind of factor.

    Args:
        log_density: its logarithm at the variables of an environment, one number a data point.
        draw: a draw; None where there is none inside an expectation.
    """

    log_density: "Callable[[FactorLowering, FactorInstance, Env], Value]"
    draw: "Callable[[FactorLowering, FactorInstance, Env, DrawRequest], Value] | None" = None


HANDLERS: dict[type, Handler] = {
    FamilyUse: Handler(log_density_of_family, draw_of_family),
    FlowUse: Handler(log_density_of_flow, draw_of_flow),
    Mixture: Handler(log_density_of_mixture),
    Extern: Handler(log_density_of_extern, draw_of_extern),
    LogDensityUse: Handler(log_density_of_unnormalised),
    Pushforward: Handler(log_density_of_pushforward),
    Evidence: Handler(log_density_of_evidence),
}
