"""Expectations of expressions, and of log-densities with parameters that are formulas of the variable."""

from typing import TYPE_CHECKING

from sympy import Expr, Mul, Symbol

from pgcompile.objective.derivation import with_parameter_names
from pgcompile.objective.leaves import ClosedLeaf, LogDensityLeaf, ParameterUse, PointwiseLeaf, variables_of
from pgcompile.objective.moments import ExprUse, Moments
from pgcompile.objective.rules.dependence import depends_on_variables, downstream, reaches
from pgcompile.objective.rules.rule import Match, Outcome, Rule, Site

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


def _matches(state: "Rewriting", site: Site, pieces: list[Expr]) -> list[Match]:
    """Pieces that depend on the variable through one leaf alone, and on nothing that descends from the variable."""
    if site.draw.estimator.grad is not None or site.draw.relaxed:
        return []  # the program asks for the value at the draw
    found = []
    for piece in pieces:
        symbol = _moving(state, site, piece)
        if symbol is not None:
            found.append(Match((piece,), (symbol,)))
    return found


def _moving(state: "Rewriting", site: Site, piece: Expr) -> Symbol | None:
    """The one factor of a piece that depends on the variable, where its expectation may be taken."""
    draw, variable = site.draw, site.variable
    moving = [f for f in Mul.make_args(piece) if depends_on_variables(state, f, draw, {variable})]
    symbol = moving[0] if len(moving) == 1 else None
    leaf = state.leaves.get(symbol) if isinstance(symbol, Symbol) else None
    if not isinstance(leaf, PointwiseLeaf | LogDensityLeaf):
        return None
    below = downstream(state, draw, variable) - {variable}
    if any(reaches(state, v, env, draw, below) for v, env in variables_of(leaf)):
        return None
    if isinstance(leaf, LogDensityLeaf):
        target = leaf.atom.targets[0]
        if leaf.atom.factor.family is None or reaches(state, target, leaf.env, draw, {variable}):
            return None
    return symbol


def _apply(state: "Rewriting", site: Site, match: Match) -> Outcome | None:
    draw, atom, variable = site.draw, site.atom, site.variable
    (piece,), (symbol,) = match.pieces, match.members
    assert isinstance(symbol, Symbol)
    leaf = state.leaves[symbol]
    own, parameters = state.facts_of(atom, draw.inside, detached=draw.estimator.detached)
    moments = Moments(
        state.model,
        variable,
        state.model.spaces[atom.factor.targets[0]].shape,
        own,
        lambda name, env: reaches(state, name, env, draw, {variable}),
        state.sink,
    )
    if isinstance(leaf, PointwiseLeaf):
        found = moments.plain(leaf.expr, leaf.env)
    else:
        assert isinstance(leaf, LogDensityLeaf)
        found = moments.log_density(leaf.atom, leaf.env)
    if found is None:
        return None
    formula, shape = found
    label = f"E_{{{atom.label}}}[{state.label(symbol)}]"
    known: list[tuple[Symbol, ParameterUse | ExprUse]] = [*parameters, *moments.uses]
    kept = tuple(p for p in known if p[0] in formula.free_symbols)
    outer = [(v, leaf.env) for v, _ in variables_of(leaf) if v != variable]
    touches = tuple(dict.fromkeys([*((p, draw.inside) for p in atom.parents), *outer]))
    closed = ClosedLeaf("CE", formula, kept, atom, label, touches, shape)
    value = Mul(state.symbol(closed), *(f for f in Mul.make_args(piece) if f is not symbol))
    after = with_parameter_names(formula, parameters)
    return Outcome(value, label, after, f"a formula of {variable}, whose moments are known")


MOMENTS = Rule("moments", "the expectation of a formula follows from the moments of the draw", _matches, _apply)
