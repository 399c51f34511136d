"""Total correlation and mutual information under the mean of q over the batch."""

from typing import TYPE_CHECKING

from pgcompile.objective.terms import Aggregate
from pgcompile.plan.lower.formulas import FormulaLowering
from pgcompile.plan.values import Axis, Value
from pgcompile.vocabulary.symbols import X

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def aggregate(lowering: "FactorLowering", term: Aggregate) -> Value:
    """`log q(z)` under the mean of q over the batch, less what it is compared with."""
    build = lowering.builder
    atom = term.atom
    facts, _ = lowering.facts(atom)
    z = lowering.variable(atom.targets[0], term.env)
    bindings = lowering.bindings(atom, term.draw.env)
    with build.section(term.label):
        axis = lowering.axes.pairs(term.draw)
        others = {symbol: over_batch(lowering, value, axis) for symbol, value in bindings.items()}
        every = FormulaLowering(build, {**others, X: z}, lowering.width(atom)).lower(facts.log_density)
        every = build.name(every, "log_q_pairs", materialize=True)
        joint = log_mean_of(lowering, build.sum_last(every), axis)
        joint = build.name(joint, "log_q_aggregate", materialize=True)
        if term.kind == "MI":
            return build.name(
                build.binary("sub", lowering.log_density(atom, term.env), joint), "information", materialize=True
            )
        apart = build.sum_last(log_mean_of(lowering, every, axis))
        return build.name(build.binary("sub", joint, apart), "total_correlation", materialize=True)


def over_batch(lowering: "FactorLowering", value: Value, axis: Axis) -> Value:
    """A parameter with the batch as an axis of its own, so that each draw meets the parameters of all data."""
    if not value.batched:
        return value
    source = lowering.builder.batch_source
    assert source is not None
    args = (value, source)
    return lowering.builder.make("over_batch", args, (value.rank,), shape=value.shape, axes=(axis,))


def log_mean_of(lowering: "FactorLowering", value: Value, axis: Axis) -> Value:
    at = value.axes.index(axis)
    rest = tuple(a for a in value.axes if a != axis)
    return lowering.builder.make("special", (value,), ("log_mean", at), shape=value.shape, axes=rest)
