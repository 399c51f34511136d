"""The derivation of an objective: what it became, and the step of every rule that was applied."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sympy import Expr, Symbol

from pgcompile.diagnostics import Span
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.objective.leaves import Leaf, ParameterUse
from pgcompile.objective.terms import OBSERVED, Draw, Env


@dataclass(frozen=True)
class Step:
    """A rule that fired: its name, what it turned into what, and why it may."""

    rule: str
    before: str
    after: str
    why: str
    formula: Expr | None = field(default=None, compare=False)
    """The formula that `after` prints, where it is one."""
    span: Span | None = field(default=None, compare=False)
    """The part of the objective that it rewrites."""


@dataclass(frozen=True, eq=False)
class Rewritten:
    """An objective ready to be planned."""

    expr: Expr
    leaves: dict[Symbol, Leaf]
    draws: dict[Symbol, Draw]
    steps: tuple[Step, ...]
    observed: frozenset[str] = frozenset()
    spans: dict[Symbol, tuple[Span, ...]] = field(default_factory=dict)
    """Where each leaf stands in the text."""
    path: Env = OBSERVED
    """The draws of all variables, which those at other places of an index are from."""


def log_sum_text(sign: str, atoms: Iterable[FactorInstance]) -> str:
    return f" {sign} ".join(f"log {atom.label}" for atom in atoms)


def solved_families(distribution: Distribution) -> str:
    """`log p(x), a MultivariateNormal`."""
    shown = []
    for atom in distribution.atoms:
        if atom.factor.family is not None:
            name = atom.factor.family.name
            shown.append(f"log {atom.label}, {'an' if name[0] in 'AEIOU' else 'a'} {name}")
        else:
            shown.append(f"log {atom.label}, by Bayes' rule at one point")
    return " + ".join(shown)


def known_for(atoms: list[FactorInstance]) -> str:
    names = [a.factor.family.name for a in atoms if a.factor.family is not None]
    return f"known for {' | '.join(dict.fromkeys(names))}"


def with_parameter_names(formula: Expr, own: Iterable[tuple[Symbol, ParameterUse]]) -> Expr:
    """A formula with its parameters' names: `q_` those of what is averaged over, `p_` those of the other side."""
    mine = {symbol for symbol, _ in own}
    names = {}
    for symbol in formula.free_symbols:
        prefix, _, name = str(symbol).partition("_")
        if prefix.startswith("f") and prefix[1:].isdigit() and name:
            names[symbol] = Symbol(f"{'q' if symbol in mine else 'p'}_{name}")
    return formula.subs(names)
