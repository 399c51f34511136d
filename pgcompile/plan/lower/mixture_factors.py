"""Mixtures of factors."""

from typing import TYPE_CHECKING

from pgcompile.inference.mixtures import component_atoms, weights_of
from pgcompile.model.factors import FactorInstance, Mixture
from pgcompile.model.names import density_name
from pgcompile.objective.terms import OBSERVED, Env
from pgcompile.plan.builder import Builder
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def log_density_of_mixture(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """log of a weighted sum of densities."""
    definition = atom.factor.definition
    assert isinstance(definition, Mixture)
    build = lowering.builder
    score = lowering.log_density_of_entries if definition.by_entry else lowering.log_density
    densities = [score(part, env) for part in component_atoms(atom)]
    where = " of each entry" if definition.by_entry else ""
    with build.section(f"log {atom.label}: a log-sum-exp of its components{where}", origin_of(atom)):
        weights = weights_of(definition, lowering.model)
        # Weights that are divided by their sum keep the logarithms that they may be made of, as those of a softmax.
        whole = weights is definition.weights
        lower = lowering.expressions(env, atom.mapping, ()).lower
        logs = [build.unary("log", build.tensor(lower(weight))) for weight in definition.weights]
        total = _log_sum(build, [build.binary("add", a, b) for a, b in zip(densities, logs, strict=True)])
        if not whole:
            total = build.binary("sub", total, _log_sum(build, logs))
        if definition.by_entry:
            total = build.sum_to_scalar(total, lowering.shape(atom))
    return build.name(total, density_name(atom), materialize=True)


def _log_sum(build: Builder, values: list[Value]) -> Value:
    """log of a sum of exponentials."""
    total = values[0]
    for value in values[1:]:
        total = build.binary("logaddexp", total, value)
    return total


def weights_of_mixture(lowering: "FactorLowering", definition: Mixture) -> list[Value]:
    """The weights of a mixture over observed variables."""
    found = [lowering.plain(weight, OBSERVED) for weight in weights_of(definition, lowering.model)]
    if not definition.by_entry:
        return found
    rank = len(lowering.model.spaces[definition.components[0].targets[0]].shape)
    return [value if value.constant is not None else lowering.builder.raise_rank(value, rank) for value in found]
