"""Score functions of draws that later places of an index depend on: each is weighed by what comes of it.

The gradient of `E[sum_t f_t]` through a draw of z_t is `E[(f_t + f_{t+1} + ...) d log q(z_t)]`: what was settled before
z_t was drawn has no part in it (Schulman et al. 2015, "Gradient Estimation Using Stochastic Computation Graphs").
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sympy import Expr, Integer, Symbol

from pgcompile.diagnostics import InternalError
from pgcompile.model.factors import FactorInstance
from pgcompile.model.variable import Variable
from pgcompile.objective.dependence import carried_along
from pgcompile.objective.terms import Draw
from pgcompile.plan.lower.places import axis_of, inside_places, over_places, path_mean
from pgcompile.plan.lower.score_functions import gradient_of
from pgcompile.plan.region import PLACEHOLDER
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering
    from pgcompile.plan.lower.objectives import ObjectiveLowering


@dataclass(frozen=True)
class PlacedCost:
    """A sum over the places of an index, as a symbol of the objective, with the value of each place."""

    symbol: Symbol
    index: str
    value: Value


def scored_along(lowering: "FactorLowering") -> list[tuple[Draw, Variable]]:
    """The draws of the path that a score function carries, and that later places depend on."""
    if not lowering.model.indices.lags:
        return []
    carried = carried_along(lowering.model)
    bound = dict.fromkeys((draw, v) for v, draw in lowering.path.bindings if v in draw.scored and v in carried)
    return list(bound)


def path_scores(whole: "ObjectiveLowering", expr: Expr, costs: list[PlacedCost], apart: set[Symbol]) -> Iterator[Value]:
    """Zeros with the gradients of an objective through the draws of its path.

    Args:
        whole: the objective.
        expr: its formula over sums and other values.
        costs: its sums over places.
        apart: symbols of objectives that have their own gradients.
    """
    lowering = whole.lowering
    build = lowering.builder
    for draw, variable in scored_along(lowering):
        atom = draw.atom_of(variable)
        assert atom is not None
        (index, *others) = lowering.model.indices.of(variable.name)
        if others:
            raise InternalError(f"{variable} is drawn along a path of several indices")
        drawn = lowering.variable(variable, lowering.path)
        total: Value | None = None
        for cost in costs:
            share = expr.diff(cost.symbol)
            if share == 0 or not _depends(cost.value, drawn):
                continue
            if cost.index != index:
                raise InternalError(f"{variable} of {index} is scored in a sum over {cost.index}")
            value = build.binary("mul", whole.lower(share), _from_here(lowering, cost.value, index))
            total = value if total is None else build.binary("add", total, value)
        rest = expr.xreplace({symbol: Integer(0) for symbol in {c.symbol for c in costs} | apart})
        if rest != 0 and _depends(beside := build.tensor(whole.lower(rest)), drawn):
            total = beside if total is None else build.binary("add", total, beside)
        if total is not None:
            yield _surrogate(whole, draw, atom, index, total)


def _surrogate(whole: "ObjectiveLowering", draw: Draw, atom: FactorInstance, index: str, cost: Value) -> Value:
    """Zero, with the gradient of log q at each place times what comes of the draw there."""
    lowering = whole.lowering
    build = lowering.builder
    with build.section(f"the gradient through {atom.targets[0]}: a score function of this place and later ones"):
        log_q = lowering.log_density(atom, draw.inside)
        advantage = build.unary("detach", cost)
        axis = lowering.axes.samples(draw)
        if draw.samples > 1 and axis in advantage.axes:
            # The mean of the other paths is the baseline of each.
            mean = build.make("mean_axis_keep", (advantage,), (advantage.axes.index(axis),), shape=())
            scale = build.constant(draw.samples / (draw.samples - 1))
            advantage = build.binary("mul", scale, build.binary("sub", advantage, mean))
        advantage = build.name(advantage, "advantage", materialize=True)
        product = build.binary("mul", gradient_of(build, log_q), advantage)
        return path_mean(lowering, over_places(lowering, product, index, weighted=False))


def _from_here(lowering: "FactorLowering", value: Value, index: str) -> Value:
    """For each place of an index the sum of a value over it and what comes later."""
    build, axis = lowering.builder, axis_of(lowering, index)
    value = build.unary("detach", value)
    inside = inside_places(lowering, index)
    if axis not in value.axes:
        raise InternalError(f"a sum over {index} has no places")
    if inside is not None:
        here, value = build.align(inside, value)
        value = build.make("where", (here, value, build.constant(0.0)), shape=value.shape)
    backwards = all(lag.offset > 0 for lag in lowering.model.indices.lags.values() if not lag.reach)
    return build.make("from_here", (value,), (value.axes.index(axis), backwards), shape=value.shape, axes=value.axes)


def _depends(value: Value, drawn: Value) -> bool:
    """True if a value is computed from a draw, or from one at another place."""
    pending, seen = [value], set[int]()
    while pending:
        here = pending.pop()
        if here.number in seen:
            continue
        seen.add(here.number)
        if here is drawn or here.op == PLACEHOLDER:
            return True
        pending += here.args
    return False
