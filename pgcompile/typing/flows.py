"""Uses of flows: read where they are written, and checked against the one size that a flow has."""

from dataclasses import dataclass
from math import prod

from pgcompile.diagnostics import Sink, Span, suggest
from pgcompile.model.factors import Factor, FamilyUse, FlowUse
from pgcompile.model.flows import SizedFlow
from pgcompile.model.model import Model
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.flow_names import flow_name, stage_name
from pgcompile.typing.flow_sizing import Sizing
from pgcompile.typing.flow_spaces import BASES, BRIDGES, SAID, supports
from pgcompile.vocabulary.layers import show
from pgcompile.vocabulary.spaces import KINDS, Space
from pgcompile.vocabulary.transforms import transform_words
from pgcompile.vocabulary.truncated_names import is_family_name


@dataclass(frozen=True)
class ReadFlow:
    """The parts of `Flow(base, f(c))` as they are written."""

    base: tree.Call
    flow: str
    inverted: bool
    arguments: tuple[tree.Expr, ...]


def read_flow(call: tree.Call, parents: tuple[str, ...], model: Model, sink: Sink) -> ReadFlow | None:
    """The parts of a `Flow`; None after a report."""
    named = {a.name: a.value for a in call.args if a.name is not None}
    values = [a.value for a in call.args if a.name is None]
    base = named.pop("base", values.pop(0) if values else None)
    flow = named.pop("transform", values.pop(0) if values else None)
    example = "write Flow(Normal(0, 1), f), with `flow f = repeat 3 { MaskedAutoregressive >> Reverse }`"
    if base is None or flow is None or named or values:
        sink.add("PGC311", call.span, "a Flow has a base and a flow: Flow(Normal(0, 1), f(c))", help=example)
        return None
    if flow_name(base) in model.flows:
        base, flow = flow, base
        text = f"write Flow({sink.source.snippet(base.span)}, {sink.source.snippet(flow.span)})"
        sink.add("PGC311", call.span, "the base comes first, then the flow", help=text)
        return None
    if not isinstance(base, tree.Call) or base.given is not None or not is_family_name(base.name):
        text = " ".join(sink.source.snippet(base.span).split())
        sink.add("PGC102", base.span, f"`{text}` is no family, which the base of a flow is", help=example)
        return None
    name = flow_name(flow)
    if name in sink.unread:
        return None
    if name not in model.flows and (name in model.nets or name in transform_words()):
        net = name in model.nets
        what = "a net, and a flow stands here" if net else "a transform, and a declared flow stands here"
        suggestion = (
            f"declare `flow {name}_flow = ...` with transforms" if net else f"write `flow f = {name}`, and f here"
        )
        sink.add("PGC116", flow.span, f"{name} is {what}", help=suggestion)
        return None
    if name not in model.flows:
        text = " ".join(sink.source.snippet(flow.span).split())
        place = flow.name_span if isinstance(flow, tree.Call) else flow.span
        declared = f"declare it: `flow {name or 'f'} = repeat 3 {{ MaskedAutoregressive >> Reverse }}`"
        sink.add("PGC116", flow.span, f"`{text}` is no flow", **suggest(name, place, model.flows, declared))
        return None
    arguments = flow.args if isinstance(flow, tree.Call) else ()
    if not _fits_inputs(flow, arguments, parents, model, sink):
        return None
    return ReadFlow(base, name, stage_name(flow).endswith(".inv"), tuple(a.value for a in arguments))


def _fits_inputs(
    flow: tree.Expr, arguments: tuple[tree.Argument, ...], parents: tuple[str, ...], model: Model, sink: Sink
) -> bool:
    """True if a flow is given as many contexts as it declares, without names; reported if not."""
    name = flow_name(flow)
    inverted = stage_name(flow).endswith(".inv")
    for argument in arguments:
        if argument.name is not None:
            sink.add("PGC106", argument.span, f"the inputs of {name} have no names here", help="write them in order")
            return False
    declared_inputs = model.flows[name].inputs
    if len(arguments) != len(declared_inputs):
        count = len(declared_inputs)
        wanted = f"{count} ({', '.join(declared_inputs)})" if declared_inputs else "none"
        given = parents[:count] if len(parents) >= count else declared_inputs
        inverse = ".inv" if inverted else ""
        if not declared_inputs:
            help_text = f"write {name}{inverse}, or declare `flow {name}(c) = ...`"
        elif len(arguments) > count:
            more = [
                a.value.id if isinstance(a.value, tree.Name) else f"c{i}"
                for i, a in enumerate(arguments[count:], count + 1)
            ]
            texts = ", ".join(sink.source.snippet(a.value.span) for a in arguments)
            help_text = f"declare `flow {name}({', '.join([*declared_inputs, *more])}) = ...` for {texts}"
        else:
            help_text = f"write {name}{inverse}({', '.join(given)})"
        sink.add(
            "PGC311",
            flow.span,
            f"{name} is given {len(arguments)} contexts, it takes {wanted}",
            related=[(model.flows[name].span, "declared here")],
            help=help_text,
        )
        return False
    return True


def size_flow(
    factor: Factor, use: FlowUse, space: Space, contexts: list[Typed], typer: TypingContext
) -> tuple[int, ...] | None:
    """Event shape of the base; sizes the flow on its first use. None after a report.

    Args:
        factor: the factor that uses it.
        use: its definition.
        space: of the factor's variable.
        contexts: types of what it is conditioned on.
        typer: of the model.
    """
    sink, flow = typer.sink, typer.model.flows[use.flow]
    variable = factor.targets[0]
    if not _are_vectors(use, contexts, sink) or not _is_movable(variable, factor.span, space, sink):
        return None
    width = sum(prod(c.shape) for c in contexts)
    if flow.sized is None:
        flow.first_use = factor.span
        flow.sized = Sizing(typer, flow, factor.span, width).run(space.shape)
    sized = flow.sized
    if sized is None or not _takes_space(factor, use, space, sized, sink) or not _fits_base(use, space, sized, sink):
        return None
    given, out = (sized.out_shape, sized.shape) if use.inverted else (sized.shape, sized.out_shape)
    if given != space.shape or sized.context != width:
        what = f"{show(given)} with a context of {sized.context}" if flow.inputs else show(given)
        now = f"{show(space.shape)} with one of {width}" if flow.inputs else show(space.shape)
        sink.add(
            "PGC302",
            factor.span,
            f"{use.flow} is used for {now} here and for {what} elsewhere: a flow has one size",
            related=[(flow.first_use, "first used here")],
            help=f"declare a second flow, as in `flow {use.flow}_2 = ...`",
        )
        return None
    return out


def _are_vectors(use: FlowUse, contexts: list[Typed], sink: Sink) -> bool:
    """True if every context is a vector of numbers; reported if not."""
    for context, argument in zip(contexts, use.arguments, strict=True):
        if context.space.kind == "category" or len(context.shape) > 1:
            text = " ".join(sink.source.snippet(argument.span).split())
            index = context.space.kind == "category"
            sink.add(
                "PGC301",
                argument.span,
                f"`{text}` is {'an index' if index else show(context.shape)}, and a context is a vector",
                help=f"write one_hot({text})" if index else "give a vector, by a net that ends in Flatten",
            )
            return False
    return True


def _is_movable(variable: str, span: Span, space: Space, sink: Sink) -> bool:
    """True if a variable is a vector or an array that a flow can move; reported if not."""
    if space.kind in ("category", "one_hot", "boolean", "simplex"):
        sink.add(
            "PGC317",
            span,
            f"{variable} is `{space}`, and a flow has a density on real numbers",
            help="give it a family of its own, such as Categorical"
            if space.kind in ("category", "one_hot")
            else f"declare `{variable} : real[{', '.join(map(str, space.shape))}]`; whole grey levels take Dequantise",
        )
        return False
    if not space.shape:
        sink.add(
            "PGC317",
            span,
            f"{variable} is a single number, and a flow moves vectors",
            help=f"declare `{variable} : {space.kind}[1]`",
        )
        return False
    return True


def _takes_space(factor: Factor, use: FlowUse, space: Space, sized: SizedFlow, sink: Sink) -> bool:
    """True if the first transform takes the numbers of the variable; reported if not."""
    variable = factor.targets[0]
    kind = sized.out_kind if use.inverted else sized.kind
    if kind is not None and kind != space.kind and (kind, space.kind) != ("circle", "real"):
        sink.add(
            "PGC317",
            factor.span,
            f"{use.flow}{'.inv' if use.inverted else ''} takes {SAID[kind]}, and {variable} is `{space}`",
            help=f"start with {BRIDGES[space.kind, kind]}"
            if (space.kind, kind) in BRIDGES
            else f"declare `{variable} : {kind if kind in KINDS else 'real'}[{', '.join(map(str, space.shape))}]`",
        )
        return False
    return True


def _fits_base(use: FlowUse, space: Space, sized: SizedFlow, sink: Sink) -> bool:
    """True if the base has its density on the numbers that the flow ends in; reported if not."""
    base_kind = sized.kind if use.inverted else sized.out_kind
    family = use.base.definition.family if isinstance(use.base.definition, FamilyUse) else None
    ends = base_kind or space.kind
    if family is not None and family.pathwise and not supports(family, ends):
        support = family.support
        bridge = BRIDGES.get((ends, support))
        sink.add(
            "PGC316",
            use.base.span,
            f"{use.flow} ends in {SAID.get(ends, ends)}, "
            f"and {family.name} has a density on {SAID.get(support, support)}",
            help=f"end the flow with {bridge}"
            if bridge is not None
            else BASES.get(ends, "use a base with that support"),
        )
        return False
    return True
