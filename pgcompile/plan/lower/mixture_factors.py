"""Mixtures of factors."""

from typing import TYPE_CHECKING

from pgcompile.inference.mixtures import component_atoms, weights_of
from pgcompile.model.factors import FactorInstance, Mixture
from pgcompile.model.names import density_name
from pgcompile.objective.terms import OBSERVED, Env
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def log_density_of_mixture(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """log of a weighted sum of densities."""
    definition = atom.factor.definition
    assert isinstance(definition, Mixture)
    build = lowering.builder
    densities = [lowering.log_density(part, env) for part in component_atoms(atom)]
    with build.section(f"log {atom.label}: a log-sum-exp of its components", origin_of(atom)):
        terms = []
        for weight, density in zip(weights_of(definition, lowering.model), densities, strict=True):
            value = lowering.expressions(env, atom.mapping, ()).lower(weight)
            terms.append(build.binary("add", density, build.unary("log", value)))
        total = terms[0]
        for term in terms[1:]:
            total = build.binary("logaddexp", total, term)
    return build.name(total, density_name(atom), materialize=True)


def weights_of_mixture(lowering: "FactorLowering", definition: Mixture) -> list[Value]:
    """The weights of a mixture over observed variables."""
    return [lowering.plain(weight, OBSERVED) for weight in weights_of(definition, lowering.model)]
