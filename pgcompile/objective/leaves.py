"""The parts of an objective once its terms are a formula: leaves, and the heads that stand over them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sympy import Expr, Function, Symbol

from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.variable import Variable
from pgcompile.objective import terms
from pgcompile.objective.dependence import Place
from pgcompile.objective.moments import ExprUse
from pgcompile.objective.terms import Env
from pgcompile.syntax import tree

if TYPE_CHECKING:
    from pgcompile.objective.derivation import Rewritten

Minimum = Function("Minimum")
Maximum = Function("Maximum")
Detach = Function("Detach")
BatchMean = Function("BatchMean")
BatchSum = Function("BatchSum")
# MeanOver(draw, body, log weights, surrogates ...): the mean over the draws of one expectation and the sum over its
# enumerated variables, each weighted by its probability.
MeanOver = Function("MeanOver")
# LogMean(draw, body, log weights, surrogates ...): log of the mean of exp(body).
LogMean = Function("LogMean")
# Surrogate(draw, log q, cost, log weights below, log weights above, baseline): zero, with the score-function gradient.
Surrogate = Function("Surrogate")
# OuterScoreTerm(draw, log q, value, baseline): zero, with the score-function gradient of a value that is no mean over
# the draws.
OuterScoreTerm = Function("OuterScoreTerm")
# BaselineLoss(draw, baseline, cost, log weights, sign): zero, with the gradient that fits a baseline to the cost.
BaselineLoss = Function("BaselineLoss")
# OverPlaces(index, body): the sum over the places of an index; PlaceCount(index): how many there are.
OverPlaces = Function("OverPlaces")
PlaceCount = Function("PlaceCount")
Expect = Function("Expect")  # before the expectation rules have been applied
Softplus = Function("Softplus")
Sigmoid = Function("Sigmoid")
Tanh = Function("Tanh")
Log1p = Function("Log1p")
Relu = Function("Relu")


@dataclass(frozen=True)
class ParameterUse:
    """A parameter of a factor in an environment: what a symbol of a formula stands for."""

    atom: FactorInstance
    name: str
    env: Env
    detached: bool = False
    """Whether it passes no gradient: the distribution of `E_{detach p(z|x)}`."""


@dataclass(frozen=True)
class LogDensityLeaf:
    """log of one factor at the variables of an environment."""

    atom: FactorInstance
    env: Env
    detached: bool = False
    """True if its parameters pass no gradient (Roeder et al. 2017: sticking the landing)."""


@dataclass(frozen=True)
class ClosedLeaf:
    """An expectation known in closed form.

    Args:
        kind: `KL`, `H` or `CE`, which names the value.
        formula: in terms of the symbols of `parameters`; of one element of the variable, to be summed over the rest.
        parameters: what the symbols stand for.
        atom: the factor whose variable is averaged over.
        label: `KL[q(z|x) || p(z)]`.
        touches: variables (with their environments) that it depends on.
    """

    kind: str
    formula: Expr
    parameters: tuple[tuple[Symbol, ParameterUse | ExprUse], ...]
    atom: FactorInstance
    label: str
    touches: tuple[Place, ...]
    shape: tuple[int, ...] | None = None
    """The shape that the formula is summed over; None stands for the elements of the atom's variable."""


@dataclass(frozen=True)
class PointwiseLeaf:
    """An expression without distributions; `names` are the variables that it speaks of."""

    expr: tree.Expr
    env: Env
    text: str
    names: tuple[Variable, ...]
    densities: tuple[tuple[tree.Expr, Distribution], ...] = ()


@dataclass(frozen=True)
class NamedLeaf:
    """Another objective of the program, computed under its name."""

    name: str
    value: "Rewritten"


@dataclass(frozen=True)
class DiscrepancyLeaf:
    """A discrepancy between samples."""

    term: terms.Discrepancy


@dataclass(frozen=True)
class MarginalLeaf:
    """log of a product with finite variables summed out."""

    distribution: Distribution
    env: Env


@dataclass(frozen=True)
class AggregateLeaf:
    """The total correlation or mutual information of an aggregate posterior."""

    term: terms.Aggregate


@dataclass(frozen=True)
class EntriesLeaf:
    """The entries of a factor's variable, each scored by itself; see `terms.Entries`."""

    kind: str
    atom: FactorInstance
    env: Env
    label: str


Leaf = (
    EntriesLeaf
    | LogDensityLeaf
    | ClosedLeaf
    | PointwiseLeaf
    | NamedLeaf
    | DiscrepancyLeaf
    | AggregateLeaf
    | MarginalLeaf
)


def variables_of(leaf: Leaf) -> list[Place]:
    """The variables that a leaf speaks of, with where they come from."""
    match leaf:
        case LogDensityLeaf(atom, env) | EntriesLeaf(_, atom, env):
            return [(v, env) for v in (*atom.targets, *atom.parents)]
        case ClosedLeaf():
            return list(leaf.touches)
        case PointwiseLeaf(env=env, names=names):
            return [(v, env) for v in names]
        case MarginalLeaf(distribution, env):
            found = dict.fromkeys(v for atom in distribution.atoms for v in (*atom.targets, *atom.parents))
            return [(v, env) for v in found if v not in distribution.hidden]
        case AggregateLeaf(term):
            return [(term.atom.targets[0], term.env), *((p, term.draw.env) for p in term.atom.parents)]
        case DiscrepancyLeaf(term):
            return [(v, env) for v in term.variables for env in (term.left_env, term.right_env)]
        case NamedLeaf(_, value):
            return [pair for inner in value.leaves.values() for pair in variables_of(inner)]


def is_own(leaf: LogDensityLeaf) -> bool:
    """True if a log-density is of a variable that its own factor drew."""
    draw = leaf.env.get(leaf.atom.targets[0])
    return draw is not None and leaf.atom in draw.distribution.atoms


def label_of(leaf: Leaf) -> str:
    """A leaf as people write it."""
    match leaf:
        case LogDensityLeaf(atom):
            return f"log {atom.label}"
        case ClosedLeaf(label=label) | EntriesLeaf(label=label):
            return label
        case PointwiseLeaf(text=text):
            return text
        case NamedLeaf(name):
            return name
        case MarginalLeaf(distribution):
            return f"log {distribution.label}"
        case DiscrepancyLeaf() | AggregateLeaf():
            return leaf.term.label
