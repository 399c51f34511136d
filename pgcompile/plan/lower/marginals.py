"""Logarithms of products, of marginals of finite variables and of posteriors."""

from typing import TYPE_CHECKING

from pgcompile.inference.algebra import order_atoms
from pgcompile.inference.elimination import eliminate, evidence_of, hidden_states
from pgcompile.model.distributions import Distribution
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import OBSERVED, Draw, Env
from pgcompile.plan.axes import bound
from pgcompile.plan.values import Axis, Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def log_of(lowering: "FactorLowering", distribution: Distribution, env: Env) -> Value:
    """log of a product, of a marginal of finite variables, or of a posterior."""
    if distribution.evidence:
        joint = log_of(lowering, Distribution(distribution.atoms, distribution.hidden), env)
        return lowering.builder.binary("sub", joint, log_of(lowering, evidence_of(distribution), env))
    if distribution.hidden:
        return log_marginal(lowering, distribution, env)
    values = [lowering.log_density(atom, env) for atom in order_atoms(distribution)]
    total = values[0]
    for value in values[1:]:
        total = lowering.builder.binary("add", total, value)
    return total


def log_marginal(lowering: "FactorLowering", distribution: Distribution, env: Env) -> Value:
    """log of a product with finite variables summed out, one at a time (Zhang & Poole 1994), in log space."""
    makers = {t: atom for atom in distribution.atoms for t in atom.targets}
    counts = hidden_states(distribution, lowering.model) or {}
    outer = bound(env, (*distribution.targets, *distribution.parents))
    axes: dict[Variable, Axis] = {}
    draws: dict[Variable, Draw] = {}
    for position, variable in enumerate(distribution.hidden):
        draws[variable] = Draw(
            Distribution((makers[variable],)), 1, OBSERVED, enumerated=(variable,), repetition=(distribution, env)
        )
        axes[variable] = lowering.axes.summed(
            draws[variable], variable, counts[variable], position, outer, axes.values()
        )
    tables: list[tuple[set[Variable], Value]] = []
    for atom in order_atoms(distribution):
        inside = {v for v in (*atom.targets, *atom.parents) if v in counts}
        inner = env
        for variable in sorted(inside):  # an environment of all of them would be as large as the model
            inner = inner.extended((variable,), draws[variable])
        tables.append((inside, lowering.log_density(atom, inner)))
    build = lowering.builder
    for variable in eliminate(distribution.atoms, counts).order:
        group = [t for t in tables if variable in t[0]]
        tables = [t for t in tables if variable not in t[0]]
        with build.section(f"log {distribution.label}: the sum over {variable}"):
            total = added(lowering, [table for _, table in group])
            at = total.axes.index(axes[variable])
            rest = tuple(a for a in total.axes if a != axes[variable])
            total = build.make("logsumexp_axis", (total,), (at,), shape=(), axes=rest)
        total = build.name(total, f"log_sum_{variable}", keep=True)
        tables.append((set().union(*(names for names, _ in group)) - {variable}, total))
    total = tables[0][1]
    for _, table in tables[1:]:
        total = build.binary("add", total, table)
    return total


def added(lowering: "FactorLowering", values: list[Value]) -> Value:
    """A sum; a table that is the same for all data is not repeated for each where another term has the batch."""
    repeated = [v for v in values if is_repeated(v)]
    if repeated and len(repeated) < len(values) and any(v.batched for v in values if v not in repeated):
        values = [lifted(lowering, v) if v in repeated else v for v in values]
    values = sorted(values, key=lambda v: len(v.axes))  # small tables are added before they meet a large one
    total = values[0]
    for value in values[1:]:
        total = lowering.builder.binary("add", total, value)
    return total


def lifted(lowering: "FactorLowering", value: Value) -> Value:
    """A repeated table with ones in place of the batch."""
    if value.op == "move_to_axis":
        inner = lifted(lowering, value.args[0])
        return lowering.builder.make(
            "move_to_axis", (inner,), value.attributes, shape=value.shape, batched=value.batched, axes=value.axes
        )
    return lowering.builder.make("lift_table", value.args, shape=value.shape, batched=value.batched, axes=value.axes)


def is_repeated(value: Value) -> bool:
    """Whether a value is a table repeated over the batch, perhaps with its entries along an axis."""
    return value.op == "spread_table" or (value.op == "move_to_axis" and is_repeated(value.args[0]))
