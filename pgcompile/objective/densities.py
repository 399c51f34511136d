"""Densities in objectives: which distribution a formula scores, and whether that is exact."""

from typing import TYPE_CHECKING

from pgcompile.diagnostics import Span
from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.elimination import evidence_of, tables
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import Pushforward, data_of
from pgcompile.model.kinds import unscored
from pgcompile.model.variable import shown
from pgcompile.objective import terms
from pgcompile.objective.context import Context
from pgcompile.objective.entries import TAILS, observed_entries, of_observed, tail
from pgcompile.objective.estimators import LARGEST_TABLE, LIMIT
from pgcompile.objective.places import log_over_places
from pgcompile.objective.terms import Env, Term, point
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.spaces import REAL

if TYPE_CHECKING:
    from pgcompile.objective.resolve import Objectives


def density(whole: "Objectives", expr: tree.Expr, env: Env, context: Context) -> Term | None:
    factor = of_observed(expr)
    if factor is not None and isinstance(expr, tree.Call):
        seen = observed_entries(whole, expr, factor, env)
        return seen and terms.Apply("exp", (seen,))
    log = log_density(whole, expr, env, context)
    return log and terms.Apply("exp", (log,))


def log(whole: "Objectives", expr: tree.Log, operand: tree.Expr, env: Env, context: Context) -> Term | None:
    if (
        isinstance(operand, tree.Quotient)
        and is_density(whole, operand.numerator)
        and is_density(whole, operand.denominator)
    ):
        top = log_density(whole, operand.numerator, env, context)
        bottom = log_density(whole, operand.denominator, env, context)
        return None if top is None or bottom is None else terms.Add(((1, top), (-1, bottom)))
    if (factor := of_observed(operand)) is not None and isinstance(operand, tree.Call):
        return observed_entries(whole, operand, factor, env)
    if isinstance(operand, tree.Call) and operand.name in TAILS and operand.name not in whole.model.nets:
        return tail(whole, operand, env, context)
    if is_density(whole, operand):
        return log_density(whole, operand, env, context)
    inner = whole.term(operand, env, context)
    if isinstance(inner, terms.Expectation) and inner.draw.unasked and not inner.draw.enumerated:
        count = f"{inner.draw.samples} draws" if inner.draw.samples > 1 else "one draw"
        whole.sink.add(
            "W128",
            expr.span,
            f"this is the logarithm of an average of {count}: its mean is below the logarithm of the expectation",
            help="say how many draws: `log E_{q; samples=50}[...]`; the bound is tighter the more there are",
        )
    return inner and terms.Apply("log", (inner,))


def is_density(whole: "Objectives", expr: tree.Expr) -> bool:
    match expr:
        case tree.Call(name=name, given=given):
            return given is not None or (name not in FUNCTIONS and name not in whole.model.nets)
        case tree.Name(id):
            return (
                id not in whole.model.variables and id not in whole.model.tensors and id not in whole.model.objectives
            )
        case tree.Integral() | tree.Whole():
            return True
        case tree.Rename(base):
            return is_density(whole, base)
        case tree.Product(factors):
            return all(is_density(whole, f) for f in factors)
        case _:
            return False


def log_density(whole: "Objectives", expr: tree.Expr, env: Env, context: Context) -> Term | None:
    distribution = _distribution(whole, expr, env, context)
    if distribution is None or not scorable(whole, distribution, expr.span):
        return None
    env = _observing(whole, distribution, env)
    if isinstance(expr, tree.Name | tree.Whole):
        return log_over_places(whole, drop_barren(distribution), env, context, expr.span)
    return terms.LogDensity(drop_barren(distribution), env, expr.span)


def _observing(whole: "Objectives", distribution: Distribution, env: Env) -> Env:
    """A deterministic variable that is scored is data, unless what it is made from is drawn."""
    for atom in distribution.atoms:
        definition = atom.factor.definition
        if isinstance(definition, Pushforward) and env.get(definition.base.targets[0]) is None:
            env = env.extended(atom.targets, point(data_of(atom.targets, atom.factor.span)))
    return env


def _distribution(whole: "Objectives", expr: tree.Expr, env: Env, context: Context) -> Distribution | None:
    """A distribution; a bare name inside an expectation means what the rest of the formula leaves of it."""
    found = whole.resolver.resolve(expr)
    if found is None or not isinstance(expr, tree.Name):
        return found
    counted = {t for name, targets in context.counted if name == expr.id for t in targets}
    rest = tuple(atom for atom in found.atoms if not counted & {*atom.targets})
    if rest and len(rest) < len(found.atoms):
        left = Distribution(rest, found.hidden)
        kept = Distribution(tuple(atom for atom in found.atoms if atom not in rest))
        whole.readings[expr.span] = left.spelled
        whole.reasons.append(f"log {expr.id} leaves out {kept.spelled}, which the KL counts already")
        return left
    whole.readings[expr.span] = found.spelled
    return found


def scorable(whole: "Objectives", distribution: Distribution, span: Span) -> bool:
    """True if the log-density is exact: no hidden variable is left that a factor conditions on."""
    left = drop_barren(distribution)
    for atom in left.atoms:
        obstacle = unscored(atom.factor, whole.model.spaces.get(atom.factor.targets[0], REAL))
        if obstacle is not None:
            why, instead = obstacle
            whole.sink.add("PGC210", span, f"{atom.label} has no log-density: {why}", help=instead)
            return False
    parts = [left, evidence_of(left)] if left.evidence else [left]
    tables = [_largest_table(whole, part) for part in parts]
    known = [table for table in tables if table is not None]
    if len(known) == len(tables):
        return all(_fits(whole, part, table, span) for part, table in zip(parts, known, strict=True))
    left = parts[tables.index(None)]
    names = shown(left.hidden)
    joint = " ".join(atom.label for atom in left.atoms)
    exact = whole.resolver.exact
    why_not = None if exact is None else exact.obstacles.get(distribution)
    whole.sink.add(
        "PGC210",
        span,
        f"there is no exact log-density of {distribution.label}: {names} would have to be integrated out of {joint}",
        reasons=[] if why_not is None else [why_not],
        help=f"use a bound: ELBO[{joint} || q({names}|{','.join(map(str, left.targets))})]",
    )
    return False


def _largest_table(whole: "Objectives", distribution: Distribution) -> int | None:
    """Entries of the largest table on the way to a marginal; None where a hidden variable is not finite."""
    found = tables(distribution, whole.model)
    return None if found is None else found.largest


def _fits(whole: "Objectives", distribution: Distribution, largest: int, span: Span) -> bool:
    """True if a marginal's table is small enough; large ones are reported."""
    what = f"the log-density of {distribution.label} needs a table of {largest:,} entries"
    if largest > LIMIT:
        whole.sink.add(
            "PGC214",
            span,
            what,
            reasons=[f"{shown(distribution.hidden[:6])} are summed out together"],
            help="use a bound: ELBO[p || q]",
        )
        return False
    if largest > LARGEST_TABLE:
        whole.sink.add("W127", span, what, help="use a bound, or make the spaces smaller, if that is too slow")
    return True
