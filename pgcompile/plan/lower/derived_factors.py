"""Factors that were derived from others: changes of variables, and evidence by Bayes' rule at a point."""

from typing import TYPE_CHECKING

from pgcompile.model.factors import Evidence, FactorInstance, LogDensityUse, Pushforward
from pgcompile.model.names import density_name
from pgcompile.model.variable import Variable
from pgcompile.objective.terms import Env
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def log_density_of_pushforward(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """log of the density of a deterministic variable, by a change of variables."""
    definition = atom.factor.definition
    assert isinstance(definition, Pushforward)
    build, x = lowering.builder, definition.base.targets[0]
    names = {**atom.mapping, definition.variable: x}
    inner = env
    if env.get(x) is None:
        with build.section(f"log {atom.label}: a change of variables", origin_of(atom)):
            value = lowering.expressions(env, atom.mapping, ()).lower(definition.inverse)
        inner = lowering.bind(x, definition.base, env, build.name(value, x.name, materialize=True))
    density = lowering.log_density(definition.base, inner)
    with build.section(f"log {atom.label}: a change of variables", origin_of(atom)):
        slope = lowering.expressions(env, names, ()).lower(definition.log_slope)
        total = build.binary("add", density, slope)
    return build.name(total, density_name(atom), materialize=True)


def log_density_of_evidence(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """log of `p(c|z) p(z) / p(z|c)`, at one z (Chib 1995)."""
    definition = atom.factor.definition
    assert isinstance(definition, Evidence)
    build, z = lowering.builder, definition.variable
    names = {Variable(n): atom.variable(n) for n in (*atom.factor.targets, *atom.factor.parents)}
    prior, likelihood, posterior = (
        part.renamed(names) for part in (definition.prior, definition.likelihood, definition.posterior)
    )
    with build.section(f"log {atom.label}: Bayes' rule at the mean of {posterior.label}", origin_of(atom)):
        at = lowering.expressions(env, atom.mapping, definition.bindings).lower(definition.at)
        inner = lowering.bind(z, prior, env, build.name(at, f"{z}_mean", materialize=True))
    parts = [lowering.log_density(part, inner) for part in (likelihood, prior, posterior)]
    with build.section(f"log {atom.label}", origin_of(atom)):
        total = build.binary("sub", build.binary("add", parts[0], parts[1]), parts[2])
    return build.name(total, density_name(atom), materialize=True)


def log_density_of_unnormalised(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """A density that is known by its logarithm, up to a constant."""
    definition = atom.factor.definition
    assert isinstance(definition, LogDensityUse)
    with lowering.builder.section(f"log {atom.label}, up to a constant", origin_of(atom)):
        value = lowering.expressions(env, atom.mapping, definition.bindings).lower(definition.expr)
    return lowering.builder.name(value, density_name(atom), materialize=True)
