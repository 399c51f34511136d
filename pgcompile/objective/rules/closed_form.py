"""Divergences, entropies and expected log-densities that the families know."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sympy import Expr, Mul, Symbol

from pgcompile.model.factors import FactorInstance
from pgcompile.objective.closed_forms import entropy, expected_log_density
from pgcompile.objective.derivation import known_for, log_sum_text, with_parameter_names
from pgcompile.objective.leaves import ClosedLeaf, LogDensityLeaf
from pgcompile.objective.rules.dependence import depends, downstream, reaches
from pgcompile.objective.rules.rule import Match, Outcome, Rule, Site
from pgcompile.objective.rules.state import Refusal

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


@dataclass(frozen=True)
class _Member:
    """A log-density of the variable: its piece, leaf and sign, and the coefficient that it shares with others."""

    piece: Expr
    symbol: Symbol
    leaf: LogDensityLeaf
    sign: int
    coefficient: Expr


def _matches(state: "Rewriting", site: Site, pieces: list[Expr]) -> list[Match]:
    """Log-densities of the variable with one coefficient: taken together, and where that is not known, one by one."""
    if site.draw.relaxed or site.draw.estimator.grad == "stl":
        return []  # the program asks for the value at the draw
    groups: dict[Expr, list[_Member]] = {}
    for piece in pieces:
        member = _member(state, site, piece)
        if member is not None:
            groups.setdefault(member.coefficient, []).append(member)
    return [_match(members) for members in groups.values()]


def _match(members: list[_Member]) -> Match:
    alone = tuple(Match((m.piece,), (m,)) for m in members) if len(members) > 1 else ()
    return Match(tuple(m.piece for m in members), tuple(members), alone)


def _member(state: "Rewriting", site: Site, piece: Expr) -> _Member | None:
    """A log-density of the variable times what does not depend on the draw, if the piece is that and may be closed."""
    factors = Mul.make_args(piece)
    leaves = [(f, leaf) for f in factors if isinstance(leaf := state.leaves.get(f), LogDensityLeaf)]
    if len(leaves) != 1:
        return None
    symbol, leaf = leaves[0]
    draw, variable = site.draw, site.variable
    if leaf.atom.targets != (variable,) or leaf.env.get(variable) != draw or leaf.atom.factor.family is None:
        return None
    coefficient = Mul(*(f for f in factors if f is not symbol))
    if depends(state, coefficient, draw) or _parent_drawn_later(state, site, symbol, leaf):
        return None
    sign = -1 if coefficient.could_extract_minus_sign() else 1
    return _Member(piece, symbol, leaf, sign, sign * coefficient)


def _parent_drawn_later(state: "Rewriting", site: Site, symbol: Symbol, leaf: LogDensityLeaf) -> bool:
    """True if the other side is conditioned on what descends from the variable in the draw: then it is not closed."""
    blocked = downstream(state, site.draw, site.variable)
    later = next((p for p in leaf.atom.parents if reaches(state, p, leaf.env, site.draw, blocked)), None)
    if later is None:
        return False
    spelled = site.draw.distribution.spelled
    why = f"{later}, on which {leaf.atom.label} is conditioned, is drawn after {site.variable} in {spelled}"
    what = f"E_{{{site.draw.distribution.label}}}[log {leaf.atom.label}]"
    state.refuse(symbol, site.draw, Refusal(what, why, note=True))
    return True


def _apply(state: "Rewriting", site: Site, match: Match) -> Outcome | None:
    members = [m for m in match.members if isinstance(m, _Member)]
    atom, inner = site.atom, site.draw.inside
    mine = [m for m in members if m.leaf.atom == atom and m.leaf.env.get(site.variable) == site.draw]
    others = [m for m in members if m not in mine]
    shape = _shape_of_entries(state, atom, [m.leaf.atom for m in others])
    if shape is not None and len(members) > 1:
        return None  # one density is of the vector, the other of its entries: each is taken by itself
    # A detached distribution is averaged over as it is; its density inside has its gradient.
    fixed = site.draw.estimator.detached
    own, uses = state.facts_of(atom, inner, detached=fixed)
    inside, inside_uses = state.facts_of(atom, inner)
    known = [*uses, *(use for use in inside_uses if use not in uses)]
    densities = [(m.sign, inside.log_density) for m in mine]
    for other in others:
        facts, more = state.facts_of(other.leaf.atom, other.leaf.env)
        densities.append((other.sign, facts.log_density))
        known.extend(p for p in more if p not in known)
    kind, label, sign = _read(atom, mine, others)
    averaged = [(sign * s, density) for s, density in densities]
    formula = entropy(own) if kind == "H" and not fixed else expected_log_density(averaged, own)
    if formula is None:
        if len(members) == 1:
            why = "no closed form is known for these families"
            state.refuse(members[0].symbol, site.draw, Refusal(label, why))
        return None
    parents = [(p, inner) for p in atom.parents]
    parents += [(p, m.leaf.env) for m in others for p in m.leaf.atom.parents]
    kept = tuple(p for p in known if p[0] in formula.free_symbols)
    leaf = ClosedLeaf(kind, formula, kept, atom, label, tuple(dict.fromkeys(parents)), shape)
    value = members[0].coefficient * sign * state.symbol(leaf)
    after = with_parameter_names(formula, uses)
    return Outcome(value, label, after, known_for([atom, *(m.leaf.atom for m in others)]))


def _read(atom: FactorInstance, mine: list[_Member], others: list[_Member]) -> tuple[str, str, int]:
    """The functional of a group of log-densities, `H`, `KL` or an expectation `CE`; its label and its sign."""
    if not others and len(mine) == 1:
        return "H", f"H[{atom.label}]", -mine[0].sign
    if len(others) == 1 and len(mine) == 1 and mine[0].sign == -others[0].sign:
        return "KL", f"KL[{atom.label} || {others[0].leaf.atom.label}]", mine[0].sign
    members = [*mine, *others]
    if len(members) == 1:
        return "CE", f"E_{{{atom.label}}}[log {members[0].leaf.atom.label}]", members[0].sign
    return "CE", f"E_{{{atom.label}}}[{log_sum_text('+', (m.leaf.atom for m in members))}]", 1


def _shape_of_entries(
    state: "Rewriting", atom: FactorInstance, others: Iterable[FactorInstance]
) -> tuple[int, ...] | None:
    """The shape over which densities of the entries of a vector are summed; None where both are of the vector."""
    ranks = [other.factor.family.event_rank for other in others if other.factor.family is not None]
    family = atom.factor.family
    mixed = family is not None and family.event_rank and 0 in ranks
    return state.model.spaces[atom.factor.targets[0]].shape if mixed else None


CLOSED_FORM = Rule(
    "closed form",
    "an expected log-density is a sum of moments that the family of the draw knows",
    _matches,
    _apply,
)
