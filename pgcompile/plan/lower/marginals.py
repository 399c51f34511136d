"""Logarithms of products, of marginals of finite variables and of posteriors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgcompile.inference.algebra import order_atoms
from pgcompile.inference.elimination import Hidden, eliminate, evidence_of, hidden_states, states
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import OBSERVED, Draw, Env
from pgcompile.plan.axes import bound
from pgcompile.plan.lower.draws import enumerated_value
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
    found = hidden_states(distribution, lowering.model) or Hidden({}, frozenset())
    counts = found.counts
    outer = bound(env, (*distribution.targets, *distribution.parents))
    axes: dict[Variable, Axis] = {}
    draws: dict[Variable, Draw] = {}
    rank = {name: position for position, name in enumerate(lowering.model.variables)}
    for variable in distribution.hidden:
        draws[variable] = Draw(
            Distribution((makers[variable],)), 1, OBSERVED, enumerated=(variable,), repetition=(distribution, env)
        )
        place = rank.get(variable.name, len(rank))
        axes[variable] = lowering.axes.summed(draws[variable], variable, counts[variable], place, outer, axes.values())
    take_every_value(lowering, draws, found)
    tables: list[tuple[set[Variable], Value]] = []
    for atom in order_atoms(distribution):
        inside = {v for v in (*atom.targets, *atom.parents) if v in counts}
        inner = env
        for variable in sorted(inside):  # an environment of all of them would be as large as the model
            inner = inner.extended((variable,), draws[variable])
        by_entry = bool(inside & found.entrywise)
        score = lowering.log_density_of_entries if by_entry else lowering.log_density
        tables.append((inside, score(atom, inner)))
    build = lowering.builder
    beside = _beside(lowering, distribution, env)
    for step in eliminate(order_atoms(distribution), counts, beside, found.entrywise).steps:
        group = [t for t in tables if t[0] & {*step}]
        tables = [t for t in tables if not t[0] & {*step}]
        with build.section(f"log {distribution.label}: the sum over {', '.join(map(str, step))}"):
            total = added(lowering, [table for _, table in group])
            if len(step) > 1:
                total = build.name(total, "log_joint")
            at = tuple(total.axes.index(axes[variable]) for variable in step)
            total = build.make("logsumexp_axes", (total,), tuple(sorted(at)), shape=total.shape)
        left = set().union(*(names for names, _ in group)) - {*step}
        if total.rank and not left & found.entrywise:
            total = build.sum_to_scalar(total, _shape(lowering, makers[step[0]]))
        total = build.name(total, f"log_sum_{'_'.join(map(str, step))}", materialize=True)
        tables.append((left, total))
    return build.name(added(lowering, [table for _, table in tables]), "log_joint")


def _shape(lowering: "FactorLowering", maker: FactorInstance) -> tuple[int, ...]:
    return lowering.model.spaces[maker.factor.targets[0]].shape


def take_every_value(lowering: "FactorLowering", draws: Mapping[Variable, Draw], hidden: Hidden | None = None) -> None:
    """Variables that take every value exist before the tables over them, in the order of the program.

    Args:
        lowering: the method.
        draws: of the variables.
        hidden: which of them take every value an entry.
    """
    rank = {name: place for place, name in enumerate(lowering.model.variables)}
    ordered = sorted(draws, key=lambda v: (rank.get(v.name, len(rank)), v))
    comment = f"every value of {', '.join(map(str, ordered))}"
    for variable in ordered:
        atom = draws[variable].atom_of(variable)
        assert atom is not None
        entries = hidden.counts[variable] if hidden is not None and variable in hidden.entrywise else None
        value = enumerated_value(lowering, draws[variable], atom, variable, comment, entries=entries)
        lowering.override(variable, draws[variable], value)


def _beside(lowering: "FactorLowering", distribution: Distribution, env: Env) -> dict[Variable, int]:
    """The variables that take every value without being summed out, with the number of their values."""
    found: dict[Variable, int] = {}
    for variable in {v for atom in distribution.atoms for v in (*atom.targets, *atom.parents)}:
        draw = None if variable in distribution.hidden else env.get(variable)
        atom = draw.atom_of(variable) if draw is not None and variable in draw.enumerated else None
        count = states(atom, lowering.model) if atom is not None else None
        if count is not None:
            found[variable] = count
    return found


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
    """True if a value is a table repeated over the batch, perhaps with its entries along an axis."""
    return value.op == "expand_table" or (value.op == "move_to_axis" and is_repeated(value.args[0]))
