"""Values that are zero and have the gradient of a score function, or that fit a baseline."""

from typing import TYPE_CHECKING

from sympy import Expr, Symbol

from pgcompile.objective.leaves import LogDensityLeaf
from pgcompile.objective.terms import Draw
from pgcompile.plan.builder import Builder
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.objectives import ObjectiveLowering


def gradient_of(build: Builder, value: Value) -> Value:
    """Zero, with the gradient of a value."""
    return build.binary("sub", value, build.unary("detach", value))


def bound_surrogate(whole: "ObjectiveLowering", draw: Draw, surrogate: Expr, log_w: Value, bound: Value) -> Value:
    """Zero, with the score-function gradient of a log of a mean (Mnih & Rezende 2016).

    Every draw of a variable is weighed by the whole bound, less what the bound would be had its weight been the
    geometric mean of the others.
    """
    build = whole.lowering.builder
    _, log_density, _, _, _, *baseline = surrogate.args
    log_q = whole.lower(log_density)
    leaf = whole.rewritten.leaves[log_density]
    assert isinstance(leaf, LogDensityLeaf)
    with build.section(f"the gradient through {leaf.atom.targets[0]}: a score function"):
        fixed = build.unary("detach", bound)
        axis = whole.lowering.axes.samples(draw)
        if baseline:
            other = build.unary("detach", whole.lower(baseline[0]))
        else:
            weights = build.unary("detach", log_w)
            other = build.make("special", (weights,), ("leave_one_out", log_w.axes.index(axis)), shape=())
        advantage = build.name(build.binary("sub", fixed, other), "advantage", materialize=True)
        product = build.binary("mul", gradient_of(build, log_q), advantage)
        return whole.reduce("sum_axis", product, axis) if axis in product.axes else product


def outer_score(whole: "ObjectiveLowering", args: list[Expr]) -> Value:
    """Zero, with the gradient of the score function of a value that depends on all draws at once."""
    build = whole.lowering.builder
    log_density, value, *baseline = args
    leaf = whole.rewritten.leaves[log_density]
    assert isinstance(leaf, LogDensityLeaf)
    with build.section(f"the gradient through {leaf.atom.targets[0]}: a score function"):
        log_q = whole.lower(log_density)
        while log_q.axes:
            log_q = whole.reduce("sum_axis", log_q, log_q.axes[0])
        advantage = build.unary("detach", whole.lower(value))
        if baseline:
            advantage = build.binary("sub", advantage, build.unary("detach", whole.lower(baseline[0])))
        advantage = build.name(advantage, "advantage", materialize=True)
        return build.binary("mul", gradient_of(build, log_q), advantage)


def fitted_baseline(whole: "ObjectiveLowering", symbol: Symbol, args: list[Expr]) -> Value:
    """Zero, with the gradient of the squared distance of a learned baseline from what it stands for."""
    build = whole.lowering.builder
    draw = whole.rewritten.draws[symbol]
    baseline, cost, weights, sign = args
    with build.section("the baseline is fitted to what it stands for"):
        value = build.unary("detach", whole.weighted(whole.lower(cost), weights, draw))
        distance = build.unary("square", build.binary("sub", value, whole.lower(baseline)))
        distance = build.name(whole.mean_over_samples(draw, distance), "distance", materialize=True)
        zero = gradient_of(build, distance)
    return zero if sign > 0 else build.unary("neg", zero)
