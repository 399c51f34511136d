"""Factors that are a base seen through a flow."""

from typing import TYPE_CHECKING

from pgcompile.model.factors import FactorInstance, FlowUse
from pgcompile.model.names import density_name
from pgcompile.objective.terms import Env
from pgcompile.plan.expansion import joined
from pgcompile.plan.lower.family_factors import log_density_of_family
from pgcompile.plan.lower.requests import DrawRequest
from pgcompile.plan.origin import origin_of
from pgcompile.plan.values import Value

if TYPE_CHECKING:
    from pgcompile.plan.lower.environment import FactorLowering


def flow_context(lowering: "FactorLowering", definition: FlowUse, atom: FactorInstance, env: Env) -> Value | None:
    """The context of a flow, as one vector."""
    expressions = lowering.expressions(env, atom.mapping, definition.bindings)
    parts = []
    for argument in definition.arguments:
        value = lowering.builder.tensor(expressions.lower(argument))
        if value.rank == 0:
            value = lowering.builder.make("unsqueeze", (value,), (1,), shape=(1,))
        parts.append(value)
    return lowering.builder.name(joined(lowering.builder, parts), "context") if parts else None


def apply_flow(
    lowering: "FactorLowering", definition: FlowUse, x: Value, context: Value | None, *, to_base: bool
) -> tuple[Value, Value]:
    """The image of a value under a flow, to the base or back, and the log-determinant."""
    build = lowering.builder
    attribute = lowering.tensors.flow(definition.flow)
    sized = lowering.tensors.flows[attribute]
    backwards = to_base == definition.inverted
    args = (x,) if context is None else (x, context)
    whole = build.make("flow", args, (attribute, backwards, 2), shape=())
    shape = sized.shape if backwards else sized.out_shape
    return (
        build.make("item", (whole,), (0,), shape=shape),
        build.make("item", (whole,), (1,), shape=()),
    )


def _key(definition: FlowUse, x: Value, context: Value | None) -> tuple[int, int | None, str, bool]:
    return (x.number, None if context is None else context.number, definition.flow, definition.inverted)


def log_density_of_flow(lowering: "FactorLowering", atom: FactorInstance, env: Env) -> Value:
    """log of the base's density where the flow takes a value, and the log-determinant.

    A value that was drawn through the same flow is not taken back: what it was made from is known.
    """
    definition = atom.factor.definition
    assert isinstance(definition, FlowUse)
    build, target = lowering.builder, atom.targets[0]
    x = lowering.variable(target, env)
    with build.section(f"log {atom.label}", origin_of(atom)):
        context = flow_context(lowering, definition, atom, env)
        known = lowering.flows.get(_key(definition, x, context))
        if known is not None:
            base, ladj = known[0], build.unary("neg", known[1])
        else:
            base, ladj = apply_flow(lowering, definition, x, context, to_base=True)
            own = f"{atom.factor.name}_{target}"
            base = build.name(base, "u", f"u_{target}", f"u_{own}", materialize=True)
            ladj = build.name(ladj, "ladj", f"ladj_{target}", f"ladj_{own}", materialize=True)
    made = definition.base_atom(atom)
    inner = lowering.bind(target.as_base(), made, env, base)
    density = log_density_of_family(lowering, made, inner, within=f"log {atom.label}")
    with build.section(f"log {atom.label}", origin_of(atom)):
        total = build.binary("add", density, ladj)
    return build.name(total, density_name(atom), materialize=True)


def draw_of_flow(lowering: "FactorLowering", atom: FactorInstance, env: Env, request: DrawRequest) -> Value:
    """A draw of the base taken back through the flow."""
    definition = atom.factor.definition
    assert isinstance(definition, FlowUse)
    build, target = lowering.builder, atom.targets[0]
    with build.section(atom.label, origin_of(atom)):
        context = flow_context(lowering, definition, atom, env)
    with build.section(request.comment, origin_of(atom)):
        wide = tuple(dict.fromkeys((*request.axes, *(context.axes if context is not None else ()))))
        base = lowering.draw(definition.base_atom(atom), env, request.of_base(wide))
        x, ladj = apply_flow(lowering, definition, base, context, to_base=False)
        x = build.name(x, str(target), materialize=True)
        ladj = build.name(ladj, "ladj", f"ladj_{target}", f"ladj_{atom.factor.name}_{target}", materialize=True)
    lowering.flows[_key(definition, x, context)] = (base, ladj)
    return x
