"""Factors that Python supplies."""

from typing import TYPE_CHECKING

from pgcompile.model.factors import FactorInstance
from pgcompile.model.names import density_name, factor_attribute
from pgcompile.objective.terms import Env
from pgcompile.plan.builder import merge_axes
from pgcompile.plan.lower.requests import DrawRequest
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def log_density_of_extern(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """The log-density of the distribution that the supplied module gives."""
    parents = [lowering.variable(p, env) for p in atom.parents]
    x = lowering.variable(atom.targets[0], env)
    attribute = lowering.tensors.extern(factor_attribute(atom.factor))
    with lowering.builder.section(f"log {atom.label}", origin_of(atom)):
        value = lowering.builder.make("extern_log_prob", (x, *parents), (attribute, x.rank), shape=())
    return lowering.builder.name(value, density_name(atom), materialize=True)


def draw_of_extern(lowering: "FactorLowering", atom: FactorInstance, env: Env, request: DrawRequest) -> Value:
    """A draw of the distribution that the supplied module gives."""
    parents = [lowering.variable(p, env) for p in atom.parents]
    attribute = lowering.tensors.extern(factor_attribute(atom.factor))
    shape = lowering.shape(atom)
    sizes = tuple(axis.extent for axis in request.axes)
    with lowering.builder.section(request.comment, origin_of(atom)):
        value = lowering.builder.make(
            "extern_draw",
            tuple(parents),
            (attribute, sizes, lowering.builder.sampler and not parents),
            shape=shape,
            batched=lowering.builder.sampler or any(p.batched for p in parents),
            axes=(*request.axes, *merge_axes(tuple(parents))),
            fresh=(request.identity, "extern"),
        )
    return lowering.builder.name(value, str(atom.targets[0]), materialize=True)
