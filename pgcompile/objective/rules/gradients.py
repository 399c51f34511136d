"""Gradients of draws that are not pathwise: score functions, their baselines, and detached parameters."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from sympy import Add, Expr, Integer, Mul, Symbol

from pgcompile.model.learned import learned_in
from pgcompile.model.variable import Variable
from pgcompile.objective.dependence import variables_in
from pgcompile.objective.leaves import (
    BaselineLoss,
    BatchMean,
    BatchSum,
    Detach,
    LogDensityLeaf,
    LogMean,
    MeanOver,
    OuterScoreTerm,
    OverPlaces,
    PointwiseLeaf,
    Surrogate,
    is_own,
)
from pgcompile.objective.rules.dependence import above, depends_on_variables, downstream
from pgcompile.objective.rules.log_products import log_weights
from pgcompile.objective.terms import Draw

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


def detach_parameters(state: "Rewriting", piece: Expr, draw: Draw) -> Expr:
    """With the parameters of the drawn factors' own log-densities detached."""
    changes = {}
    for symbol in piece.free_symbols:
        leaf = state.leaves.get(symbol)
        if isinstance(leaf, LogDensityLeaf) and leaf.env.get(leaf.atom.targets[0]) == draw and is_own(leaf):
            changes[symbol] = state.symbol(replace(leaf, detached=True))
    return piece.xreplace(changes)


def surrogate(
    state: "Rewriting", symbol: Symbol, variable: Variable, pieces: list[Expr], needed: set[Variable]
) -> Expr:
    """Zero with the gradient `(f - baseline) d log q` (Williams 1992), f being what depends on the variable."""
    draw = state.draws[symbol]
    atom = draw.atom_of(variable)
    assert atom is not None
    below = downstream(state, draw, variable)
    cost = Add(*(piece for piece in pieces if depends_on_variables(state, piece, draw, below)))
    upstream = above(state, {variable}, draw)
    enumerated = [v for v in draw.enumerated if v in needed]
    log_density = state.symbol(LogDensityLeaf(atom, draw.inside))
    baseline: list[Expr] = []
    if draw.estimator.baseline is not None:
        expr = draw.estimator.baseline
        names = variables_in(expr, state.model)
        baseline = [state.symbol(PointwiseLeaf(expr, draw.env, state.text(expr), names))]
    return Surrogate(
        symbol,
        log_density,
        cost,
        log_weights(state, draw, [v for v in enumerated if v not in upstream]),
        log_weights(state, draw, [v for v in enumerated if v in upstream]),
        *baseline,
    )


def fit_baselines(state: "Rewriting", expr: Expr, sign: int) -> Expr:
    """With the terms that fit learned baselines to what they stand for.

    They push the same way as the line that optimises the objective, whatever the sign of the expectation.
    """
    fits = []
    for found in sorted(expr.atoms(MeanOver, LogMean), key=str):
        for surrogate in found.args[3:]:
            if len(surrogate.args) > 5 and _is_learned(state, surrogate.args[5]):
                draw, _, cost, below, above, baseline = surrogate.args
                if isinstance(found, LogMean):
                    cost = LogMean(*found.args[:3])
                fits.append(BaselineLoss(draw, baseline, cost, below + above, Integer(sign)))
    return Add(expr, *fits)


def _is_learned(state: "Rewriting", symbol: Symbol) -> bool:
    leaf = state.leaves[symbol]
    assert isinstance(leaf, PointwiseLeaf)
    return bool(learned_in(leaf.expr, state.model))


def hoist_score_terms(expr: Expr) -> Expr:
    """Score functions of expectations inside a nonlinear function weigh the value of the whole function.

    Inside, they would give the gradient of the function at the true expectation, of which the value is no estimate.
    """
    found: list[Expr] = []
    for term in Add.make_args(expr):
        number, body = term.as_coeff_Mul()
        inside = list(dict.fromkeys(_nonlinear(body, linear=True)))
        if not inside or body.has(BatchMean, BatchSum):
            found.append(term)
            continue
        plain = body.xreplace({node: node.func(*node.args[:3]) for node in inside})
        outer = [OuterScoreTerm(s.args[0], s.args[1], plain, *s.args[5:]) for node in inside for s in node.args[3:]]
        found.append(number * Add(plain, *outer))
    return Add(*found)


def _nonlinear(expr: Expr, *, linear: bool) -> Iterator[Expr]:
    """Means with score functions that a nonlinear function acts on; a product of independent means is none."""
    if isinstance(expr, Detach) or not expr.args:
        return
    if isinstance(expr, MeanOver | LogMean):
        if not linear and expr.args[3:]:
            yield expr
        yield from _nonlinear(expr.args[1], linear=linear and isinstance(expr, MeanOver))
        return
    keeps = isinstance(expr, Add | Mul | BatchMean | BatchSum | OverPlaces)
    for arg in expr.args:
        yield from _nonlinear(arg, linear=linear and keeps)
