"""Nets: layers checked and sized by the first call; every further call must agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from pgcompile.diagnostics import Span, suggest
from pgcompile.model.literals import evaluate
from pgcompile.model.values import (
    ExprSegment,
    ExternNetwork,
    FunctionSegment,
    LayerUse,
    ModuleSegment,
    Net,
    NetSegment,
    Segment,
    Typed,
    TypedMany,
)
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS, result_kind
from pgcompile.vocabulary.layers import ACTIVATIONS, LAYERS, Layer, LayerError, LayerParameter, Value, show
from pgcompile.vocabulary.spaces import Space
from pgcompile.vocabulary.synonyms import LAYERS as SYNONYMS

if TYPE_CHECKING:
    from pgcompile.typing.expressions import Typer


def apply(typer: Typer, call: tree.Call, values: list[Typed]) -> Typed | TypedMany | None:
    """Type of `net(values)`; sizes the net on its first call."""
    net = typer.model.nets[call.name]
    for argument in call.args:
        if argument.name is not None:
            typer.sink.add(
                "PGC106",
                argument.span,
                f"{call.name} is a net; its inputs have no names here",
                help="write them in order",
            )
            return None
    if isinstance(net, ExternNetwork):
        return _apply_extern(typer, net, call, values)
    if not values or (net.inputs is not None and len(values) != len(net.inputs)):
        wanted = "at least one input" if net.inputs is None else f"{len(net.inputs)} ({', '.join(net.inputs)})"
        typer.sink.add(
            "PGC311",
            call.span,
            f"{call.name} is called with {len(values)} inputs, it takes {wanted}",
            related=[(net.span, "declared here")],
            help="give it as many as its declaration names",
        )
        return None
    spaces = tuple(value.space for value in values)
    if net.input_spaces is None:
        net.input_spaces, net.first_call = spaces, call.span
        net.output = _Sizing(typer, net, call.span).run(spaces)
        return _passing(net.output, values)
    if [s.shape for s in net.input_spaces] != [s.shape for s in spaces]:
        if net.inputs is None and _width(net.input_spaces) == _width(spaces) is not None:
            return _passing(net.output, values)
        before, now = (", ".join(show(s.shape) for s in group) for group in (net.input_spaces, spaces))
        typer.sink.add(
            "PGC302",
            call.span,
            f"{call.name} is called with {now} here and with {before} elsewhere: a net has one size",
            related=[(net.first_call, f"called with {before} here")],
            help=f"declare a second net, as in `net {call.name}_2 = ...`, or bring both inputs to one shape",
        )
        return None
    return _passing(net.output, values)


def _width(spaces: tuple[Space, ...]) -> int | None:
    """Length of the joined input of a bare pipeline, None where the inputs are no vectors."""
    return sum(s.shape[-1] for s in spaces) if all(len(s.shape) == 1 for s in spaces) else None


def _passing(output: Typed | TypedMany | None, values: list[Typed]) -> Typed | TypedMany | None:
    """The output, differentiable where the inputs are."""
    smooth = all(v.differentiable for v in values)
    match output:
        case Typed():
            return Typed(output.space, differentiable=smooth)
        case TypedMany():
            return TypedMany(output.names, tuple(Typed(item.space, differentiable=smooth) for item in output.items))
        case _:
            return None


def _apply_extern(typer: Typer, net: ExternNetwork, call: tree.Call, values: list[Typed]) -> Typed | TypedMany | None:
    if len(values) != len(net.inputs):
        typer.sink.add(
            "PGC311",
            call.span,
            f"{call.name} is called with {len(values)} inputs, it takes {len(net.inputs)} ({', '.join(net.inputs)})",
            related=[(net.span, "declared here")],
            help="give it as many as its declaration names",
        )
        return None
    smooth = all(v.differentiable for v in values)
    if len(net.outputs) == 1:
        return Typed(net.outputs[0][1], differentiable=smooth)
    return TypedMany(tuple(n for n, _ in net.outputs), tuple(Typed(s, differentiable=smooth) for _, s in net.outputs))


@dataclass
class _Sizing:
    """One pass over the stages of a net, carrying the type of the value between them."""

    typer: Typer
    net: Net
    call: Span

    def run(self, spaces: tuple[Space, ...]) -> Typed | TypedMany | None:
        segments: list[Segment] = []
        layers: list[LayerUse] = []
        stages = self._expand(self.net.stages)
        current: Typed | None = None
        entry: tuple[int, ...] = ()
        begin = 0
        first = stages[0] if stages else None
        if first is not None and self._is_expression(first[0]):
            from pgcompile.typing.expressions import Scope

            inputs = self.net.inputs or ()
            scope = Scope(f"net {self.net.name}", {n: Typed(s) for n, s in zip(inputs, spaces, strict=False)})
            current = self.typer.typed(first[0], scope)
            segments.append(ExprSegment(first[0]))
            begin = 1
            if current is None:
                return None
        cell = self._cell(stages)
        if cell is not None:
            return self._run_cell(cell, spaces)
        if current is None:
            joined = self._join(spaces)
            if joined is None:
                return None
            current = joined
        entry = current.shape
        for stage, name in stages[begin:]:
            if isinstance(stage, tree.Name | tree.Call) and name in self.typer.model.nets:
                self._flush(segments, layers, entry, current.space)
                other = apply(self.typer, tree.Call(name, (), span=stage.span, name_span=stage.span), [current])
                if not isinstance(other, Typed):
                    return None
                segments.append(NetSegment(name))
                current, entry = other, other.shape
                continue
            if name in FUNCTIONS and FUNCTIONS[name].shape in ("elementwise", "keep"):
                self._flush(segments, layers, entry, current.space)
                segments.append(FunctionSegment(name))
                kind = result_kind(FUNCTIONS[name], [current.space.kind])
                current = Typed(Space(kind, current.shape))
                entry = current.shape
                continue
            use = self._layer(stage, name, current)
            if use is None:
                return None
            applied, current = use
            layers.append(applied)
        self._flush(segments, layers, entry, current.space)
        self.net.segments = tuple(segments)
        return current

    def _join(self, spaces: tuple[Space, ...]) -> Typed | None:
        if len(spaces) == 1:
            return Typed(spaces[0])
        if any(s.kind == "category" or len(s.shape) != 1 for s in spaces):
            shapes = ", ".join(f"`{s}`" for s in spaces)
            self.typer.sink.add(
                "PGC301",
                self.call,
                f"{self.net.name} joins its inputs along their last dimension, which {shapes} do not allow",
                help="use vectors, `one_hot(y)` for a category, or say how: `net f(a, b) = cat(a, b) >> ...`",
            )
            return None
        return Typed(Space("real", (sum(s.shape[-1] for s in spaces),)))

    def _cell(self, stages: list[tuple[tree.Expr, str]]) -> tree.Expr | None:
        cells = [stage for stage, name in stages if name in LAYERS and LAYERS[name].cell_states]
        return cells[0] if cells and len(stages) == 1 else None

    def _run_cell(self, stage: tree.Expr, spaces: tuple[Space, ...]) -> Typed | TypedMany | None:
        name = stage.name if isinstance(stage, tree.Call) else ""
        states = LAYERS[name].cell_states
        inputs, hidden = spaces[:-states], spaces[-states:]
        if not inputs:
            self.typer.sink.add(
                "PGC311",
                self.call,
                f"{self.net.name} is a {name}: it takes its inputs and "
                f"then {'its state' if states == 1 else 'its two states'}",
                help=f"call it as {self.net.name}(x, {'h' if states == 1 else 'h, c'})",
            )
            return None
        joined = self._join(inputs)
        applied = joined and self._layer(stage, name, joined)
        if not applied:
            return None
        use, out = applied
        for state in hidden:
            if state.shape != out.shape:
                self.typer.sink.add(
                    "PGC303",
                    self.call,
                    f"the state of {self.net.name} is {show(out.shape)}, here it is given {show(state.shape)}",
                    related=[(self.net.span, "declared here")],
                    help=f"write {name}({state.shape[-1] if state.shape else 1}), or change the size of the state",
                )
                return None
        assert joined is not None
        self.net.segments = (ModuleSegment(self.net.name, (use,), joined.shape, out.space),)
        return out if states == 1 else TypedMany((None, None), (out, out))

    def _flush(self, segments: list[Segment], layers: list[LayerUse], entry: tuple[int, ...], out: Space) -> None:
        if layers:
            count = sum(isinstance(s, ModuleSegment) for s in segments)
            attribute = self.net.name if not count else f"{self.net.name}_{count + 1}"
            segments.append(ModuleSegment(attribute, tuple(layers), entry, out))
            layers.clear()

    def _is_expression(self, stage: tree.Expr) -> bool:
        match stage:
            case tree.Call(name):
                # `Dense(64)` is a layer that does not exist, not a function of the inputs.
                layer = name in LAYERS or name in SYNONYMS or (name[:1].isupper() and name not in FUNCTIONS)
                return not layer and name not in self.typer.model.nets
            case tree.Name(id):
                return bool(self.net.inputs) and id in (self.net.inputs or ())
            case _:
                return True

    def _expand(self, stages: tuple[tree.Expr, ...]) -> list[tuple[tree.Expr, str]]:
        """Stages with their names, `mlp(...)` written out."""
        found: list[tuple[tree.Expr, str]] = []
        for index, stage in enumerate(stages):
            name = stage.id if isinstance(stage, tree.Name) else stage.name if isinstance(stage, tree.Call) else ""
            if isinstance(stage, tree.Call) and name == "mlp" and "mlp" not in self.typer.model.nets:
                follower = stages[index + 1] if index + 1 < len(stages) else None
                activated = getattr(follower, "id", getattr(follower, "name", None)) in ACTIVATIONS
                found.extend(self._mlp(stage, last=follower is None or activated))
            else:
                found.append((stage, name))
        return found

    def _mlp(self, stage: tree.Call, *, last: bool) -> list[tuple[tree.Expr, str]]:
        """`mlp(a, b, act=ReLU)`: linear layers with activations between them, and after them when more follows."""
        activation: tree.Expr = tree.Name("ReLU", span=stage.span)
        widths = []
        for argument in stage.args:
            if argument.name is None:
                widths.append(argument.value)
            elif argument.name == "act":
                activation = argument.value
            else:
                self.typer.sink.add(
                    "PGC106",
                    argument.span,
                    f"mlp has no option {argument.name}",
                    help="write mlp(512, 512, act = ReLU)",
                )
        found: list[tuple[tree.Expr, str]] = []
        name = activation.id if isinstance(activation, tree.Name) else getattr(activation, "name", "")
        for index, width in enumerate(widths):
            linear = tree.Call(
                "Linear", (tree.Argument(None, width, span=width.span),), span=width.span, name_span=width.span
            )
            found.append((linear, "Linear"))
            if index < len(widths) - 1 or not last:
                found.append((activation, name))
        return found

    def _layer(self, stage: tree.Expr, name: str, value: Typed) -> tuple[LayerUse, Typed] | None:
        layer = LAYERS.get(name)
        sink = self.typer.sink
        if layer is None:
            known = {
                *LAYERS,
                *self.typer.model.nets,
                "mlp",
                *(f for f in FUNCTIONS if FUNCTIONS[f].shape == "elementwise"),
            }
            place = stage.name_span if isinstance(stage, tree.Call) else stage.span
            sink.add(
                "PGC105",
                stage.span,
                f"there is no layer called {name}" if name else "this is not a layer",
                **suggest(
                    name, place, known, "layers are spelled as in torch.nn, such as Linear(64) or ReLU", SYNONYMS
                ),
            )
            return None
        arguments = self._arguments(layer, stage)
        if arguments is None:
            return None
        if name == "Embedding":
            arguments["num_embeddings"] = arguments.get("num_embeddings") or value.space.categories
        elif value.space.kind == "category" and name not in ACTIVATIONS:
            sink.add(
                "PGC303",
                self.call,
                f"{self.net.name} takes an index, and {name} takes numbers",
                help=f"start the net with Embedding(64), or write `{self.net.name}(one_hot(...))`",
            )
            return None
        try:
            shape, constructor = layer.rule(value.shape, arguments)
        except LayerError as error:
            sink.add(
                "PGC303",
                stage.span,
                error.message,
                related=[(self.call, f"{self.net.name} is called here")],
                help=error.help,
            )
            return None
        if prod(shape) > 1_000_000_000:
            sink.add(
                "PGC303",
                stage.span,
                f"`{name}` would give {prod(shape):,} numbers an example",
                help="is a size too large?",
            )
            return None
        kind = value.space.kind if layer.codomain is None else layer.codomain
        kind = "real" if kind in ("category", "simplex", "one_hot") and layer.codomain is None else kind
        return LayerUse(layer, tuple(constructor)), Typed(Space(kind, shape))

    def _arguments(self, layer: Layer, stage: tree.Expr) -> dict[str, Value] | None:
        """Values of a layer's arguments, defaults filled in; faults are reported."""
        sink = self.typer.sink
        given = stage.args if isinstance(stage, tree.Call) else ()
        values: dict[str, Value] = {p.name: p.default for p in layer.parameters}
        seen: set[str] = set()
        positional = [p.name for p in layer.parameters]
        sound = True
        for index, argument in enumerate(given):
            if argument.name is None and index >= len(positional):
                sink.add(
                    "PGC311",
                    argument.span,
                    f"{layer.name} takes {len(positional)} arguments at most: {', '.join(positional) or 'none'}",
                    help="leave this one out",
                )
                return None
            name = argument.name or positional[index]
            parameter = next((p for p in layer.parameters if p.name == name), None)
            if parameter is None:
                place = Span(argument.span.start, argument.span.start + len(name))
                sink.add(
                    "PGC106",
                    argument.span,
                    f"{layer.name} has no argument {name}",
                    **suggest(name, place, positional, f"its arguments are {', '.join(positional) or 'none'}"),
                )
                sound = False
                continue
            value = self._value(layer, parameter, argument)
            if value is None:
                sound = False
            values[name] = value
            seen.add(name)
        for parameter in layer.parameters:
            if parameter.required and parameter.name not in seen and sound:
                sink.add(
                    "PGC312",
                    stage.span,
                    f"{layer.name} needs {parameter.name}",
                    help=f"write {_example(layer)}",
                )
                sound = False
        return values if sound else None

    def _value(self, layer: Layer, parameter: LayerParameter, argument: tree.Argument) -> Value:
        """One argument as a Python value; None after a report."""
        expr = argument.value
        sink = self.typer.sink
        text = sink.source.snippet(expr.span)
        match parameter.kind:
            case "flag":
                if isinstance(expr, tree.Name) and expr.id.lower() in ("true", "false"):
                    return expr.id.lower() == "true"
                wanted = "true or false"
                if argument.name is None and evaluate(expr, self.typer.model.constants) is not None:
                    sink.add(
                        "PGC310",
                        argument.span,
                        f"`{text}` is one size too many: {layer.name} infers the size of its input",
                        help=f"write {layer.name}({text})",
                    )
                    return None
            case "word":
                if isinstance(expr, tree.Name) and expr.id in ("nearest", "bilinear", "bicubic"):
                    return expr.id
                wanted = "nearest, bilinear or bicubic"
            case "number":
                value = evaluate(expr, self.typer.model.constants)
                if isinstance(value, Fraction):
                    return int(value) if value.denominator == 1 and parameter.name == "scale_factor" else float(value)
                wanted = "a number"
            case _:
                items = expr.items if isinstance(expr, tree.TupleLiteral | tree.ListLiteral) else (expr,)
                sizes = [evaluate(item, self.typer.model.constants) for item in items]
                whole = [int(v) for v in sizes if isinstance(v, Fraction) and v.denominator == 1 and 0 <= v < 10**9]
                if len(whole) == len(items) and (len(whole) == 1 or parameter.kind != "size"):
                    return whole[0] if len(items) == 1 and expr is items[0] else tuple(whole)
                wanted = {"size": "a positive whole number", "pair": "a whole number or a pair"}.get(
                    parameter.kind, "a shape such as (8, 4, 4)"
                )
        sink.add(
            "PGC310",
            argument.span,
            f"`{text}` is not {wanted}, which `{parameter.name}` of {layer.name} is",
            help=f"write {wanted}",
        )
        return None


def _example(layer: Layer) -> str:
    """How a layer is written."""
    known = {"Unflatten": "Unflatten((16, 4, 4))", "GroupNorm": "GroupNorm(4)", "Upsample": "Upsample(2)"}
    if layer.name in known:
        return known[layer.name]
    return (
        f"{layer.name}(64, 3)"
        if "Conv" in layer.name
        else f"{layer.name}({64 if layer.parameters[0].kind == 'size' else 2})"
    )


def linear_layer(net: Net | ExternNetwork | None) -> ModuleSegment | None:
    """The layer of a net that is one Linear layer of one input; None for any other net."""
    if not isinstance(net, Net) or net.segments is None or len(net.segments) != 1:
        return None
    segment = net.segments[0]
    if not isinstance(segment, ModuleSegment) or [use.layer.name for use in segment.layers] != ["Linear"]:
        return None
    return segment if len(segment.input_shape) == 1 else None


def has_bias(segment: ModuleSegment) -> bool:
    """Whether a linear layer adds anything."""
    return dict(segment.layers[0].arguments).get("bias") is not False
