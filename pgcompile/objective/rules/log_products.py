"""Logarithms of products, marginals and posteriors as sums of leaves."""

from typing import TYPE_CHECKING

from sympy import Add, Expr, Integer

from pgcompile.inference.algebra import drop_barren
from pgcompile.inference.elimination import Elimination, evidence_of, tables
from pgcompile.model.distributions import Distribution
from pgcompile.model.variable import Variable, shown
from pgcompile.objective.derivation import log_sum_text, solved_families
from pgcompile.objective.leaves import LogDensityLeaf, MarginalLeaf
from pgcompile.objective.terms import Draw, Env

if TYPE_CHECKING:
    from pgcompile.objective.rules.state import Rewriting


def log_product(state: "Rewriting", distribution: Distribution, env: Env) -> Expr:
    """log of a distribution as a sum of leaves: of its factors, of a marginal, or by Bayes' rule."""
    if distribution.origin is not None:
        rule = "posterior" if distribution.origin.evidence else "exact marginal"
        state.step(rule, f"log {distribution.origin.label}", solved_families(distribution), distribution.why)
    if distribution.evidence:
        joint = Distribution(distribution.atoms, distribution.hidden)
        evidence = evidence_of(distribution)
        state.step(
            "posterior",
            f"log {distribution.label}",
            f"log {joint.label} - log {evidence.label}",
            "Bayes' rule",
        )
        return log_product(state, joint, env) - log_product(state, evidence, env)
    if distribution.hidden:
        return log_marginal(state, distribution, env)
    if len(distribution.atoms) > 1:
        state.step(
            "log of a product", f"log {distribution.label}", log_sum_text("+", distribution.atoms), "factors multiply"
        )
    return Add(*(state.symbol(LogDensityLeaf(atom, env)) for atom in distribution.atoms))


def log_marginal(state: "Rewriting", distribution: Distribution, env: Env) -> Expr:
    """Factors without a hidden variable are factors of the marginal too; the others are summed."""
    hidden = {*distribution.hidden}
    apart = [a for a in distribution.atoms if not hidden & {*a.targets, *a.parents}]
    summed = Distribution(tuple(a for a in distribution.atoms if a not in apart), distribution.hidden)
    found = tables(summed, state.model)
    assert found is not None
    state.step(
        "exact marginal",
        f"log {summed.label}",
        f"the sum over {_in_steps(found)}",
        f"they are finitely many; the largest table has {found.largest:,} entries",
    )
    leaves = [LogDensityLeaf(atom, env) for atom in apart]
    return Add(state.symbol(MarginalLeaf(summed, env)), *map(state.symbol, leaves))


def _in_steps(found: Elimination) -> str:
    """`a, then b, then c and d at once`."""
    return ", then ".join(
        _of_one(step[0], found) if len(step) == 1 else f"{shown(step[:-1])} and {step[-1]} at once"
        for step in found.steps
    )


def _of_one(variable: Variable, found: Elimination) -> str:
    return f"{variable}, entry by entry" if variable in found.entrywise else str(variable)


def log_weights(state: "Rewriting", draw: Draw, variables: list[Variable]) -> Expr:
    """log of the joint probability of enumerated variables."""
    if draw.distribution.evidence:
        # What integrates to one is no part of the weights.
        return log_product(state, drop_barren(draw.distribution), draw.inside) if variables else Integer(0)
    atoms = [draw.atom_of(v) for v in variables]
    return Add(*(state.symbol(LogDensityLeaf(atom, draw.inside)) for atom in atoms if atom is not None))
