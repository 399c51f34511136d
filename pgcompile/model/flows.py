"""Flows: transforms checked and sized by the first use; every further use must agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import networkx as nx

from pgcompile.diagnostics import Sink, Span, cure
from pgcompile.model.literals import evaluate
from pgcompile.model.values import (
    Constant,
    CouplingsUse,
    Factor,
    FamilyUse,
    FlowNet,
    FlowStep,
    FlowUse,
    Model,
    OtherFlow,
    RepeatUse,
    SizedFlow,
    SplitUse,
    TransformUse,
    Typed,
)
from pgcompile.syntax import tree
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.layers import ACTIVATIONS, show
from pgcompile.vocabulary.spaces import KINDS, Space
from pgcompile.vocabulary.synonyms import TRANSFORMS as SYNONYMS
from pgcompile.vocabulary.transform_options import LARGEST, Option, Value
from pgcompile.vocabulary.transforms import Word, shape_after, transform_words

if TYPE_CHECKING:
    from pgcompile.model.expressions import Typer

MOST_TRANSFORMS = 1000
_COMPLEMENTS = ({"even", "odd"}, {"first", "last"})


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
    if _flow_name(base) in model.flows:
        base, flow = flow, base
        text = f"write Flow({sink.source.snippet(base.span)}, {sink.source.snippet(flow.span)})"
        sink.add("PGC311", call.span, "the base comes first, then the flow", help=text)
        return None
    if not isinstance(base, tree.Call) or base.given is not None or base.name not in families():
        text = " ".join(sink.source.snippet(base.span).split())
        sink.add("PGC102", base.span, f"`{text}` is no family, which the base of a flow is", help=example)
        return None
    name = _flow_name(flow)
    if name in sink.unread:
        return None
    if name not in model.flows and (name in model.nets or name in transform_words()):
        net = name in model.nets
        what = "a net, and a flow stands here" if net else "a transform, and a declared flow stands here"
        cure_text = (
            f"declare `flow {name}_flow = ...` with transforms" if net else f"write `flow f = {name}`, and f here"
        )
        sink.add("PGC116", flow.span, f"{name} is {what}", help=cure_text)
        return None
    if name not in model.flows:
        text = " ".join(sink.source.snippet(flow.span).split())
        place = flow.name_span if isinstance(flow, tree.Call) else flow.span
        declared = f"declare it: `flow {name or 'f'} = repeat 3 {{ MaskedAutoregressive >> Reverse }}`"
        sink.add("PGC116", flow.span, f"`{text}` is no flow", **cure(name, place, model.flows, declared))
        return None
    inverted = _stage_name(flow).endswith(".inv")
    arguments = flow.args if isinstance(flow, tree.Call) else ()
    for argument in arguments:
        if argument.name is not None:
            sink.add("PGC106", argument.span, f"the inputs of {name} have no names here", help="write them in order")
            return None
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
        return None
    return ReadFlow(base, name, inverted, tuple(a.value for a in arguments))


def _stage_name(expr: tree.Expr) -> str:
    return expr.id if isinstance(expr, tree.Name) else expr.name if isinstance(expr, tree.Call) else ""


def _flow_name(expr: tree.Expr) -> str:
    return _stage_name(expr).removesuffix(".inv")


def size_flow(
    factor: Factor, use: FlowUse, space: Space, contexts: list[Typed], typer: Typer
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
            return None
    if space.kind in ("category", "one_hot", "boolean", "simplex"):
        sink.add(
            "PGC317",
            factor.span,
            f"{variable} is `{space}`, and a flow has a density on real numbers",
            help="give it a family of its own, such as Categorical"
            if space.kind in ("category", "one_hot")
            else f"declare `{variable} : real[{', '.join(map(str, space.shape))}]`; whole grey levels take Dequantise",
        )
        return None
    if not space.shape:
        sink.add(
            "PGC317",
            factor.span,
            f"{variable} is a single number, and a flow moves vectors",
            help=f"declare `{variable} : {space.kind}[1]`",
        )
        return None
    width = sum(prod(c.shape) for c in contexts)
    if flow.sized is None:
        flow.first_use = factor.span
        flow.sized = _Sizing(typer, flow, factor.span, width).run(space.shape)
    sized = flow.sized
    if sized is None:
        return None
    kinds = (sized.kind, sized.out_kind)
    kind, base_kind = kinds[::-1] if use.inverted else kinds
    if kind is not None and kind != space.kind and (kind, space.kind) != ("circle", "real"):
        sink.add(
            "PGC317",
            factor.span,
            f"{use.flow}{'.inv' if use.inverted else ''} takes {_SAID[kind]}, and {variable} is `{space}`",
            help=f"start with {_BRIDGES[space.kind, kind]}"
            if (space.kind, kind) in _BRIDGES
            else f"declare `{variable} : {kind if kind in KINDS else 'real'}[{', '.join(map(str, space.shape))}]`",
        )
        return None
    family = use.base.definition.family if isinstance(use.base.definition, FamilyUse) else None
    ends = base_kind or space.kind
    if family is not None and family.pathwise and not _supports(family, ends):
        support = family.support
        bridge = _BRIDGES.get((ends, support))
        sink.add(
            "PGC316",
            use.base.span,
            f"{use.flow} ends in {_SAID.get(ends, ends)}, "
            f"and {family.name} has a density on {_SAID.get(support, support)}",
            help=f"end the flow with {bridge}"
            if bridge is not None
            else _BASES.get(ends, "use a base with that support"),
        )
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


def _supports(family: Family, kind: str) -> bool:
    """Whether a base has its density on the numbers that a flow ends in."""
    if kind in ("interval", "circle") or family.name == "Uniform":
        return family.name == "Uniform"
    return family.support == kind or (family.support == "nonnegative" and kind == "positive")


@dataclass
class _Sizing:
    """One pass over the stages of a flow, carrying the event shape between them."""

    typer: Typer
    flow: FlowNet
    use: Span
    context: int
    count: int = 0
    sound: bool = True
    kind: str | None = None
    out_kind: str | None = None

    def run(self, shape: tuple[int, ...]) -> SizedFlow | None:
        found = self._steps(self.flow.stages, shape)
        if found is None or not self.sound:
            return None
        steps, out = found
        context = self.context if self.flow.inputs else 0
        return SizedFlow(_merged(steps), shape, out, context, self.kind, self.out_kind)

    def _meets(
        self, stage: tree.Expr, name: str, domain: str | None, codomain: str | None, kept: tuple[str, ...] = ()
    ) -> None:
        """Follow the kind of space from transform to transform; one that does not take what it is given is reported."""
        if domain is None:
            return
        if self.out_kind is None:
            self.kind = domain
        elif self.out_kind == "circle" and "circle" in kept:
            return  # whose ends stay where they are
        elif self.out_kind != domain and self.out_kind not in kept:
            bridge = _BRIDGES.get((self.out_kind, domain))
            self.typer.sink.add(
                "PGC317",
                stage.span,
                f"{name} takes {_SAID[domain]}, and what comes before it gives {_SAID[self.out_kind]}",
                help=f"put {bridge} between them"
                if bridge is not None
                else _STAYING.get(self.out_kind, f"use a transform of {_SAID[self.out_kind]}"),
            )
            self.sound = False
        self.out_kind = codomain

    def _steps(
        self, stages: tuple[tree.Expr | tree.Repeat, ...], shape: tuple[int, ...]
    ) -> tuple[tuple[FlowStep, ...], tuple[int, ...]] | None:
        """The transforms of some stages and the shape after them."""
        steps: list[FlowStep] = []
        flat = list(stages)
        while flat:
            stage = flat.pop(0)
            if isinstance(stage, tree.Repeat):
                times = self._times(stage)
                if times is None:
                    return None
                # What changes the shape is made anew for each, as is what splits: the rest goes through it.
                if times > 1 and not _splits(stage.stages):
                    before = (self.count, self.kind, self.out_kind)
                    body = self._steps(stage.stages, shape)
                    if body is None:
                        return None
                    if body[1] == shape:
                        each = self.count - before[0]
                        if self.out_kind != before[2]:
                            self._steps(stage.stages, shape)  # the second time it is given what the first one gives
                        self.count = before[0] + times * each
                        if not self._within(stage.span):
                            return None
                        steps.append(_repeated(times, _merged(body[0])))
                        continue
                    self.count, self.kind, self.out_kind = before
                flat = [*stage.stages * times, *flat]
                if len(flat) > MOST_TRANSFORMS and not self._within(stage.span, len(flat)):
                    return None
                continue
            name = _flow_name(stage)
            if name == "Split":
                if not flat:
                    break
                return self._split(stage, tuple(flat), shape, steps)
            if name in self.typer.model.flows:
                one = self._other(stage, name, shape)
            else:
                read = self._read(stage)
                if read is None:
                    self.sound = False
                    continue  # the next stage may have a fault of its own
                one = self._transform(stage, *read, shape)
            if one is None:
                return None
            step, shape = one
            steps.append(step)
            self.count += 1
            if not self._within(stage.span):
                return None
        return tuple(steps), shape

    def _within(self, span: Span, count: int | None = None) -> bool:
        if (self.count if count is None else count) <= MOST_TRANSFORMS:
            return True
        self.typer.sink.add(
            "PGC310", span, f"{self.flow.name} has more than {MOST_TRANSFORMS} transforms", help="repeat less often"
        )
        return False

    def _times(self, stage: tree.Repeat) -> int | None:
        value = evaluate(stage.count, self.typer.model.constants)
        if isinstance(value, Fraction) and value.denominator == 1 and 1 <= value <= MOST_TRANSFORMS:
            return int(value)
        text = self.typer.sink.source.snippet(stage.count.span)
        self.typer.sink.add(
            "PGC310",
            stage.count.span,
            f"`{text}` is no number of times from 1 to {MOST_TRANSFORMS}",
            help="write repeat 5 { ... }",
        )
        return None

    def _split(
        self, stage: tree.Expr, rest: tuple[tree.Expr | tree.Repeat, ...], shape: tuple[int, ...], steps: list[FlowStep]
    ) -> tuple[tuple[FlowStep, ...], tuple[int, ...]] | None:
        if len(shape) != 3 or shape[0] < 2:
            self._unfit(stage, "Split", "parts the channels of an image [C, H, W] with two channels or more", shape)
            return None
        inner = self._steps(rest, ((shape[0] + 1) // 2, *shape[1:]))
        if inner is None:
            return None
        body, out = inner
        return (*steps, SplitUse(shape, _merged(body), out)), (prod(shape),)

    def _unfit(self, stage: tree.Expr, name: str, why: str, shape: tuple[int, ...]) -> None:
        self.typer.sink.add(
            "PGC317",
            stage.span,
            f"{name} {why}; here it is given {show(shape)}",
            related=[(self.use, f"{self.flow.name} is used here")],
            help=_fit_help(name, shape),
        )

    def _other(self, stage: tree.Expr, name: str, shape: tuple[int, ...]) -> tuple[FlowStep, tuple[int, ...]] | None:
        """Another flow in the pipeline."""
        other = self.typer.model.flows[name]
        inverted = _stage_name(stage).endswith(".inv")
        if name == self.flow.name or _mentions(other, self.flow.name, self.typer.model):
            self.typer.sink.add(
                "PGC209", stage.span, f"{self.flow.name} is defined in terms of itself", help="use another flow"
            )
            return None
        passed = stage.args if isinstance(stage, tree.Call) else ()
        own = [(None, each) for each in self.flow.inputs]
        if passed and [(a.name, getattr(a.value, "id", "")) for a in passed] != own:
            text = " ".join(self.typer.sink.source.snippet(stage.span).split())
            inputs = ", ".join(self.flow.inputs)
            self.typer.sink.add(
                "PGC311",
                stage.span,
                f"`{text}`: inside a flow, {name} is given the inputs of {self.flow.name} as they are",
                related=[(self.flow.span, f"{self.flow.name} has {f'the inputs {inputs}' if inputs else 'no inputs'}")],
                help=f"write {_stage_name(stage)}({inputs}) here, and expressions where {self.flow.name} is used"
                if inputs
                else f"write {_stage_name(stage)} here",
            )
            return None
        if len(other.inputs) != len(self.flow.inputs):
            self.typer.sink.add(
                "PGC311",
                stage.span,
                f"{name} takes {len(other.inputs)} contexts and {self.flow.name} takes {len(self.flow.inputs)}",
                related=[(other.span, "declared here")],
                help="give both the same inputs",
            )
            return None
        if other.sized is None:
            other.first_use = stage.span
            other.sized = _Sizing(self.typer, other, stage.span, self.context).run(shape)
        if other.sized is None:
            return None
        given, out = other.sized.shape, other.sized.out_shape
        given, out = (out, given) if inverted else (given, out)
        if given != shape:
            self._unfit(stage, name, f"is a flow of {show(given)}", shape)
            return None
        kinds = (other.sized.kind, other.sized.out_kind)
        self._meets(stage, name, *(kinds[::-1] if inverted else kinds))
        return OtherFlow(name, inverted), out

    def _read(self, stage: tree.Expr) -> tuple[Word, dict[str, Value]] | None:
        """A transform and its options; None after a report."""
        name = _stage_name(stage)
        word = transform_words().get(name)
        if word is not None:
            options = self._options(word, stage)
            return None if options is None else (word, options)
        if name in self.typer.model.nets:
            self.typer.sink.add(
                "PGC116",
                stage.span,
                f"{name} is a net, which has no inverse",
                help="use a transform, such as AffineCoupling",
            )
            return None
        if name.removesuffix(".inv") in transform_words():
            short = name.removesuffix(".inv")
            self.typer.sink.add(
                "PGC116",
                stage.span,
                f"{name}: an inverse is of a declared flow",
                help=f"write `flow g = {short}`, and g.inv here",
            )
            return None
        place = stage.name_span if isinstance(stage, tree.Call) else stage.span
        known = [*transform_words(), "Split", *self.typer.model.flows]
        self.typer.sink.add(
            "PGC116",
            stage.span,
            f"there is no transform called {name}" if name else "this is not a transform",
            **cure(name, place, known, "transforms are listed in docs/flows.md, such as AffineCoupling", SYNONYMS),
        )
        return None

    def _transform(
        self, stage: tree.Expr, word: Word, options: dict[str, Value], shape: tuple[int, ...]
    ) -> tuple[FlowStep, tuple[int, ...]] | None:
        name = word.name
        after = shape_after(word, options, shape)
        if isinstance(after, str):
            self._unfit(stage, name, after, shape)
            return None
        if not self._sound(word, stage, options, shape):
            return None
        self._meets(stage, name, word.domain, word.codomain, _kept(word, options))
        arguments: list[tuple[str | None, Value]] = []
        if word.argument != "none":
            arguments.append((None, shape[0] if word.argument == "features" else shape))
        if word.conditional and self.flow.inputs:
            arguments.append(("context", self.context))
        arguments += [(o.name, options[o.name]) for o in word.options if options[o.name] is not None]
        return TransformUse(name, tuple(arguments)), after

    def _sound(self, word: Word, stage: tree.Expr, options: dict[str, Value], shape: tuple[int, ...]) -> bool:
        """Whether lists have an entry for each feature, as the constructor wants them; reported if not."""
        for option in word.options:
            value = options[option.name]
            if not isinstance(value, tuple):
                continue
            why: tuple[str, str] | None = None
            if option.kind == "order" and sorted(value) != list(range(shape[0])):
                cure_text = "write order=random" if "random" in option.words else f"name each in `{option.name}`"
                why = (f"an order of {shape[0]} features names each from 0 to {shape[0] - 1} once", cure_text)
            elif option.kind == "mask" and (len(value) != shape[0] or set(value) != {0, 1}):
                why = (f"a mask of {shape[0]} features keeps some and moves some", "write a 0 or 1 for each feature")
            elif option.kind == "adjacency":
                why = _unsound_graph(value, shape[0], self.context if self.flow.inputs else 0)
            if why is not None:
                self.typer.sink.add("PGC310", stage.span, why[0], help=why[1])
                return False
        return True

    def _options(self, word: Word, stage: tree.Expr) -> dict[str, Value] | None:
        """Values of a transform's options, defaults filled in; None after reports."""
        sink = self.typer.sink
        values: dict[str, Value] = {o.name: o.default for o in word.options}
        names = [o.name for o in word.options]
        sound = True
        for argument in stage.args if isinstance(stage, tree.Call) else ():
            if argument.name is None:
                example = f"{names[0]}={sink.source.snippet(argument.value.span)}" if names else ""
                sink.add(
                    "PGC311",
                    argument.span,
                    f"the options of {word.name} have names",
                    help=f"write {word.name}({example})"
                    if example
                    else f"{word.name} has no options: write {word.name}",
                )
                sound = False
                continue
            option = word.option(argument.name)
            if option is None:
                place = Span(argument.span.start, argument.span.start + len(argument.name))
                listed = f"its options are {', '.join(names)}" if names else "it has no options"
                sink.add(
                    "PGC106",
                    argument.span,
                    f"{word.name} has no option {argument.name}",
                    **cure(argument.name, place, names, listed, _OPTION_SYNONYMS),
                )
                sound = False
                continue
            value = _value(option, argument.value, self.typer.model.constants)
            if value is None:
                text = " ".join(sink.source.snippet(argument.value.span).split())
                name = argument.value.id if isinstance(argument.value, tree.Name) else ""
                sink.add(
                    "PGC310",
                    argument.value.span,
                    f"`{text}` is not {option.wanted}, which `{option.name}` of {word.name} is",
                    **cure(name, argument.value.span, option.words, f"write {option.wanted}"),
                )
                sound = False
            values[option.name] = value
        return values if sound else None


def _value(option: Option, expr: tree.Expr, constants: dict[str, Fraction]) -> Value:
    """An option as a Python value; None if it may not have that one."""
    number = evaluate(expr, constants)
    name = expr.id if isinstance(expr, tree.Name) else ""
    match option.kind:
        case "integer":
            return _whole(option, number)
        case "real":
            return _real(option, number)
        case "flag":
            return name.lower() == "true" if name.lower() in ("true", "false") else None
        case "activation":
            return name if name in (option.words or ACTIVATIONS) else None
        case "sizes":
            items = expr.items if isinstance(expr, tree.ListLiteral | tree.TupleLiteral) else (expr,)
            sizes = [_whole(option, evaluate(item, constants)) for item in items]
            whole = tuple(size for size in sizes if size)
            return whole if len(whole) == len(items) >= option.entries else None
        case "adjacency":
            rows = number if isinstance(number, tuple) else ()
            if not rows or not all(isinstance(row, tuple) and set(row) <= {0, 1} for row in rows):
                return None
            return tuple(tuple(int(n) for n in row) for row in rows)  # type: ignore[union-attr, arg-type]
    if name in option.words:
        return name
    if option.kind in ("mask", "order") and isinstance(expr, tree.ListLiteral) and isinstance(number, tuple):
        places = tuple(int(v) for v in number if isinstance(v, Fraction) and v.denominator == 1)
        return places if len(places) == len(number) else None
    return None


def _whole(option: Option, number: Constant | None) -> int | None:
    """A whole number in the range of an option of integers or of sizes."""
    if not isinstance(number, Fraction) or number.denominator != 1 or not 0 <= number < LARGEST:
        return None
    return int(number) if option.holds(int(number)) and (number > 0 or option.kind == "integer") else None


def _real(option: Option, number: Constant | None) -> float | None:
    """A number in the range of an option, after it is rounded to a float."""
    if not isinstance(number, Fraction):
        return None
    try:
        rounded = float(number)
    except OverflowError:
        return None
    return rounded if option.holds(rounded) else None


def _kept(word: Word, options: dict[str, Value]) -> tuple[str, ...]:
    """The kinds of space that a transform takes to themselves, with these options."""
    return tuple(
        kind
        for kind, most in word.also_takes.items()
        if all(isinstance(v := options[name], float) and v <= limit for name, limit in most.items())
    )


def _unsound_graph(adjacency: tuple[Any, ...], features: int, context: int) -> tuple[str, str] | None:
    """Why an adjacency is no graph of the features, and what would be."""
    if len(adjacency) != features or {len(row) for row in adjacency} - {features, features + context}:
        return f"an adjacency of {features} features has {features} rows of as many numbers", "write one row a feature"
    edges = [(j, i) for i, row in enumerate(adjacency) for j in range(features) if row[j] and i != j]
    if not nx.is_directed_acyclic_graph(nx.DiGraph(edges)):
        return "the features of this adjacency depend on each other in a circle", "row i says what feature i depends on"
    return None


_SAID = {
    "real": "real numbers",
    "positive": "positive numbers",
    "unit_interval": "numbers between 0 and 1",
    "interval": "numbers of an interval",
    "nonnegative_integer": "whole grey levels",
    "nonnegative": "numbers that may be 0",
    "circle": "angles from -pi to pi",
}
# What leads from numbers of one kind to those of another.
_BRIDGES = {
    ("positive", "real"): "Log",
    ("unit_interval", "real"): "Logit",
    ("real", "positive"): "Exp or Softplus",
    ("real", "unit_interval"): "Sigmoid",
    ("nonnegative_integer", "real"): "Dequantise(levels=256) >> Logit",
    ("nonnegative_integer", "unit_interval"): "Dequantise(levels=256)",
}
_BASES = {"circle": "write Uniform(-pi, pi) as the base"}
# What may follow where nothing leads on.
_STAYING = {
    "interval": "use a spline, Bernstein or SumOfSquares there: draws come back through it into the interval",
    "circle": "use CircularSplineCoupling, or a spline whose bound is pi",
}


_OPTION_SYNONYMS = {
    "hidden_features": "hidden",
    "hidden_sizes": "hidden",
    "hidden_units": "hidden",
    "units": "hidden",
    "activation": "act",
    "tail_bound": "bound",
    "num_bins": "bins",
    "K": "bins",
    "B": "bound",
    "count_bins": "bins",
    "permutation": "order",
}


def _fit_help(name: str, shape: tuple[int, ...]) -> str:
    word = transform_words().get(name)
    takes_image = name == "Split" or (word is not None and "image" in word.takes)
    size = prod(shape)
    side = isqrt(size)
    into = f"Unflatten(into=[1, {side}, {side}])" if side**2 == size else "Unflatten(into=[channels, height, width])"
    if word is not None and word.shape_rule == "into" and len(shape) == 1:
        return f"write the shape of an image of {size} numbers: {into}"
    if len(shape) == 1 and takes_image:
        return f"put {into} before it, or declare the variable as an image"
    if len(shape) == 3 and name == "Split":
        return "put Squeeze before it, which makes four channels of each"
    if len(shape) == 3 and word is not None:
        for option in word.options:
            spared = [each for each in option.words if each not in option.least]
            if option.least and spared:
                return f"put Squeeze before it, or write {name}({option.name}={spared[0]})"
    if len(shape) > 1 and not takes_image:
        return "put Flatten before it, or use ImageCoupling, Conv1x1 and ActNorm for images"
    if shape == (1,):
        return "use a transform of one number, such as SplineAutoregressive or ElementwiseAffine"
    return "change the shape of the variable, or the transform"


def _splits(stages: tuple[tree.Expr | tree.Repeat, ...]) -> bool:
    return any(_splits(s.stages) if isinstance(s, tree.Repeat) else _flow_name(s) == "Split" for s in stages)


def _mentions(flow: FlowNet, name: str, model: Model) -> bool:
    """Whether a flow is made from another, directly or not."""
    pending, seen = list(flow.stages), {flow.name}
    while pending:
        stage = pending.pop()
        if isinstance(stage, tree.Repeat):
            pending += stage.stages
            continue
        found = _flow_name(stage)
        if found == name:
            return True
        if found in model.flows and found not in seen:
            seen.add(found)
            pending += model.flows[found].stages
    return False


def _repeated(times: int, body: tuple[FlowStep, ...]) -> FlowStep:
    """Steps made several times over; couplings of two halves stay one step."""
    match body:
        case (CouplingsUse(1, couplings),):
            return CouplingsUse(times, couplings)
        case _:
            return RepeatUse(times, body)


def _merged(steps: tuple[FlowStep, ...]) -> tuple[FlowStep, ...]:
    """Neighbouring couplings that keep in turn the same two halves, as one step that never joins them."""
    found: list[FlowStep] = []
    run: list[TransformUse] = []

    def close() -> None:
        if len(run) > 1:
            found.append(CouplingsUse(1, tuple(run)))
        else:
            found.extend(run)
        run.clear()

    for step in steps:
        mask = _mask(step)
        if mask is None or not isinstance(step, TransformUse):
            close()
            found.append(step)
            continue
        if run and not any({mask, _mask(run[0])} <= pair for pair in _COMPLEMENTS):
            close()
        run.append(step)
    close()
    return tuple(found)


def _mask(step: FlowStep) -> str | None:
    """The named mask of a coupling."""
    kept_by = transform_words()[step.word].kept_by if isinstance(step, TransformUse) else None
    if not isinstance(step, TransformUse) or kept_by is None:
        return None
    mask = dict(step.arguments).get(kept_by)
    return mask if isinstance(mask, str) and mask != "random" else None
