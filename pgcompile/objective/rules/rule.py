"""A rule of the derivation as data, and the place where it is applied."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sympy import Expr

from pgcompile.model.factors import FactorInstance
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Draw

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


@dataclass(frozen=True)
class Site:
    """The expectation over one variable of a draw, of a sum of pieces."""

    draw: Draw
    atom: FactorInstance

    @property
    def variable(self) -> Variable:
        """The variable that is averaged over."""
        return self.atom.targets[0]


@dataclass(frozen=True)
class Match:
    """Pieces of a sum that a rule would replace together.

    Args:
        pieces: of the sum.
        members: what the rule found in them.
        narrower: matches to try where the rule declines this one.
    """

    pieces: tuple[Expr, ...]
    members: tuple[object, ...] = ()
    narrower: "tuple[Match, ...]" = ()


@dataclass(frozen=True)
class Outcome:
    """The outcome of a match.

    Args:
        value: in the place of its pieces.
        before: the expectation, for people.
        after: its value, for people.
        why: why that is so.
    """

    value: Expr
    before: str
    after: Expr
    why: str


@dataclass(frozen=True)
class Rule:
    """One rule for the expectation over a drawn variable.

    Args:
        name: as `pgc explain` prints it.
        why: what makes it valid.
        matches: the matches among the pieces of a sum; those that its guards forbid are not among them.
        apply: the outcome of a match, or None where the rule declines.
    """

    name: str
    why: str
    matches: "Callable[[Rewriting, Site, list[Expr]], list[Match]]"
    apply: "Callable[[Rewriting, Site, Match], Outcome | None]"


def apply_rule(state: "Rewriting", rule: Rule, site: Site, pieces: list[Expr]) -> list[Expr]:
    """The pieces of a sum after a rule; every application is recorded."""
    for match in rule.matches(state, site, pieces):
        pieces = _try(state, rule, site, match, pieces)
    return pieces


def _try(state: "Rewriting", rule: Rule, site: Site, match: Match, pieces: list[Expr]) -> list[Expr]:
    with state.at(*state.spans_in(match.pieces)):
        outcome = rule.apply(state, site, match)
        if outcome is not None:
            state.step(rule.name, outcome.before, outcome.after, outcome.why)
            return [*(p for p in pieces if p not in match.pieces), outcome.value]
    for narrower in match.narrower:
        pieces = _try(state, rule, site, narrower, pieces)
    return pieces
