"""Nets: layers checked and sized by the first call; every further call must agree with it."""

from dataclasses import dataclass, field, replace

from pgcompile.diagnostics import Span
from pgcompile.model.nets import (
    ExprSegment,
    ExternNetwork,
    FunctionSegment,
    LayerUse,
    ModuleSegment,
    Net,
    NetSegment,
    Segment,
    same_layers,
)
from pgcompile.model.typed import Typed, TypedMany
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.net_layers import size_layer
from pgcompile.typing.net_stages import cell_in, is_expression, stages_of
from pgcompile.typing.scope import Result, Scope
from pgcompile.vocabulary.functions import FUNCTIONS, result_kind
from pgcompile.vocabulary.layers import LAYERS, Value, show
from pgcompile.vocabulary.spaces import Space


def apply(typer: TypingContext, call: tree.Call, values: list[Typed]) -> Result:
    """Type of `net(values)`; sizes the net on its first call, whose faults are reported whoever asks.

    Args:
        typer: of the model.
        call: the call; its name is that of a net of the model.
        values: types of its arguments.

    Returns:
        Type of the output, or of several; None after a report.
    """
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
    if not _is_given_its_inputs(typer, net, call, len(values)):
        return None
    if isinstance(net, ExternNetwork):
        return _passing(_output_of(net), values)
    spaces = tuple(value.space for value in values)
    if net.input_spaces is None:
        net.input_spaces, net.first_call = spaces, call.span
        net.output = Sizing(typer.permanent(), net, call.span).run(spaces)
    elif [s.shape for s in net.input_spaces] != [s.shape for s in spaces]:
        other = _in_other_shapes(typer, net, call, spaces)
        if other is not None or not _agrees(typer, net, net.input_spaces, call, spaces):
            return _passing(other, values)
    return _passing(net.output, values)


def _in_other_shapes(typer: TypingContext, net: Net, call: tree.Call, spaces: tuple[Space, ...]) -> Result:
    """Type of the output for inputs of other shapes, if the layers of the net take them as they are; else None."""
    joined_alike = net.inputs is None and _width(net.input_spaces or ()) == _width(spaces) is not None
    if net.segments is None or joined_alike:
        return None
    trial = replace(net, segments=None, output=None, input_spaces=spaces)
    output = Sizing(typer.quiet(), trial, call.span).run(spaces)
    if output is None or trial.segments is None or not same_layers(net.segments, trial.segments):
        return None
    net.others[tuple(space.shape for space in spaces)] = trial.segments
    return output


def _is_given_its_inputs(typer: TypingContext, net: Net | ExternNetwork, call: tree.Call, count: int) -> bool:
    """Test whether a net is called with as many inputs as it declares, and report it if not."""
    enough = net.inputs is None or count == len(net.inputs)
    if enough and (count or isinstance(net, ExternNetwork)):
        return True
    wanted = "at least one input" if net.inputs is None else f"{len(net.inputs)} ({', '.join(net.inputs)})"
    typer.sink.add(
        "PGC311",
        call.span,
        f"{call.name} is called with {count} inputs, it takes {wanted}",
        related=[(net.span, "declared here")],
        help="give it as many as its declaration names",
    )
    return False


def _agrees(
    typer: TypingContext, net: Net, first: tuple[Space, ...], call: tree.Call, spaces: tuple[Space, ...]
) -> bool:
    """Test whether inputs of other shapes are as wide as those of the first call, and report it if not."""
    if net.inputs is None and _width(first) == _width(spaces) is not None:
        return True
    before, now = (", ".join(show(s.shape) for s in group) for group in (first, spaces))
    typer.sink.add(
        "PGC302",
        call.span,
        f"{call.name} is called with {now} here and with {before} elsewhere: a net has one size",
        related=[(net.first_call, f"called with {before} here")],
        help=f"declare a second net, as in `net {call.name}_2 = ...`, or bring both inputs to one shape",
    )
    return False


def _width(spaces: tuple[Space, ...]) -> int | None:
    """Length of the joined input of a bare pipeline, None where the inputs are no vectors."""
    return sum(s.shape[-1] for s in spaces) if all(len(s.shape) == 1 for s in spaces) else None


def _passing(output: Result, values: list[Typed]) -> Result:
    """The output, differentiable where the inputs are."""
    smooth = all(v.differentiable for v in values)
    match output:
        case Typed():
            return Typed(output.space, differentiable=smooth)
        case TypedMany():
            return TypedMany(output.names, tuple(Typed(item.space, differentiable=smooth) for item in output.items))
        case _:
            return None


def _output_of(net: ExternNetwork) -> Typed | TypedMany:
    """The declared results of a net that Python supplies."""
    if len(net.outputs) == 1:
        return Typed(net.outputs[0][1])
    return TypedMany(tuple(name for name, _ in net.outputs), tuple(Typed(space) for _, space in net.outputs))


_ONE = Typed(Space("real", (1,)))


@dataclass
class Sizing:
    """One pass over the stages of a net, carrying the type of the value between them.

    Args:
        typer: of the model.
        net: the net, whose segments it finds.
        call: where the net is called first.
        segments: found so far.
        layers: consecutive layers that no segment holds yet.
        entry: shape of the value that enters them.
        widths: of several vectors that a bare pipeline joins.
    """

    typer: TypingContext
    net: Net
    call: Span
    segments: list[Segment] = field(default_factory=list)
    layers: list[LayerUse] = field(default_factory=list)
    entry: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()

    def run(self, spaces: tuple[Space, ...]) -> Result:
        """Type of the output; None after a report.

        Args:
            spaces: of the inputs.
        """
        stages = stages_of(self.net, self.typer)
        current: Typed | None = None
        if stages and is_expression(stages[0][0], self.net, self.typer):
            (first, _), *stages = stages
            inputs = self.net.inputs or ()
            scope = Scope(f"net {self.net.name}", {n: Typed(s) for n, s in zip(inputs, spaces, strict=False)})
            current = self.typer.typed(first, scope)
            self.segments.append(ExprSegment(first))
        else:
            cell = cell_in(stages)
            if cell is not None:
                return self._cell(cell, spaces)
            current = self._join(spaces)
            if current is not None and stages and self._refuses(stages[0], current):
                current = Typed(Space(current.space.kind, (1,)))  # a vector of one
        if current is None:
            return None
        self.entry = current.shape
        for stage, name in stages:
            current = self._stage(stage, name, current)
            if current is None:
                return None
        self._close(current.space)
        self.net.segments = tuple(self.segments)
        return current

    def _stage(self, stage: tree.Expr, name: str, current: Typed) -> Typed | None:
        """Type of the value after a stage: another net, a function or a layer."""
        function = name in FUNCTIONS and FUNCTIONS[name].shape in ("elementwise", "keep")
        if isinstance(stage, tree.Call) and stage.args and (name in self.typer.model.nets or function):
            self.typer.sink.add(
                "PGC311",
                stage.span,
                f"{name} takes what comes before it in {self.net.name}, not `{self.typer.text(stage.args[0].value)}`",
                help=f"write `>> {name}`, or `{self.typer.text(stage)}` as the first stage",
            )
            return None
        if isinstance(stage, tree.Name | tree.Call) and name in self.typer.model.nets:
            self._close(current.space)
            call = tree.Call(name, (), span=stage.span, name_span=stage.span)
            other = apply(self.typer, call, [current])
            return self._enter(NetSegment(name), other) if isinstance(other, Typed) else None
        if name in FUNCTIONS and FUNCTIONS[name].shape in ("elementwise", "keep"):
            self._close(current.space)
            kind = result_kind(FUNCTIONS[name], [current.space.kind])
            return self._enter(FunctionSegment(name), Typed(Space(kind, current.shape)))
        # A first layer of two inputs takes apart what is joined before it.
        first = not self.segments and not self.layers and bool(self.widths) and name == "Bilinear"
        filled: dict[str, Value] | None = {"widths": self.widths} if first else None
        sized = size_layer(stage, name, current, self.net.name, self.call, self.typer, filled)
        if sized is None:
            return None
        use, output = sized
        self.layers.append(use)
        return output

    def _enter(self, segment: Segment, output: Typed) -> Typed:
        """Add a segment; its output enters the layers after it."""
        self.segments.append(segment)
        self.entry = output.shape
        return output

    def _close(self, output: Space) -> None:
        """Make one module of the consecutive layers before this place, which end in a space."""
        if self.layers:
            count = sum(isinstance(s, ModuleSegment) for s in self.segments)
            attribute = self.net.name if not count else f"{self.net.name}_{count + 1}"
            self.segments.append(ModuleSegment(attribute, tuple(self.layers), self.entry, output))
            self.layers.clear()

    def _join(self, spaces: tuple[Space, ...]) -> Typed | None:
        """Type of the inputs of a bare pipeline, joined along their last dimension; None after a report."""
        if len(spaces) == 1:
            return Typed(spaces[0])
        if any(s.kind == "category" or len(s.shape) > 1 for s in spaces):
            shapes = ", ".join(f"`{s}`" for s in spaces)
            self.typer.sink.add(
                "PGC301",
                self.call,
                f"{self.net.name} joins its inputs along their last dimension, which {shapes} do not allow",
                help="use vectors and numbers, `one_hot(y)` for a category, or write `net f(a, b) = cat(a, b) >> ...`",
            )
            return None
        self.widths = tuple(s.shape[-1] if s.shape else 1 for s in spaces)
        return Typed(Space("real", (sum(self.widths),)))

    def _refuses(self, stage: tuple[tree.Expr, str], current: Typed) -> bool:
        """True for a number that enters a layer of vectors: numbers are vectors of one there, as in `cat`."""
        expr, name = stage
        if current.shape or current.space.kind == "category" or name not in LAYERS:
            return False
        sized = (size_layer(expr, name, t, self.net.name, self.call, self.typer.quiet()) for t in (current, _ONE))
        return [found is not None for found in sized] == [False, True]

    def _cell(self, stage: tree.Expr, spaces: tuple[Space, ...]) -> Result:
        """Types of the new states of a recurrent cell, which is given its inputs and then its states."""
        name = stage.name if isinstance(stage, tree.Call) else stage.id if isinstance(stage, tree.Name) else ""
        states = LAYERS[name].cell_states
        inputs, hidden = spaces[:-states], spaces[-states:]
        options = stage.args if isinstance(stage, tree.Call) else ()
        if hidden[0].shape and all(option.name not in (None, "hidden_size") for option in options):
            # Its size is that of its state.
            size = tree.Argument(None, tree.Number(str(hidden[0].shape[-1]), span=stage.span), span=stage.span)
            stage = tree.Call(name, (size, *options), span=stage.span, name_span=stage.span)
        if not inputs or len({state.shape for state in hidden}) > 1:
            self.typer.sink.add(
                "PGC311",
                self.call,
                f"{self.net.name} is a {name}: it takes its inputs and "
                f"then {'its state' if states == 1 else 'its two states'}",
                help=f"call it as {self.net.name}(x, {'h' if states == 1 else 'h, c'})",
            )
            return None
        joined = self._join(inputs)
        if joined is None:
            return None
        joined = joined if joined.shape else Typed(Space(joined.space.kind, (1,)))
        sized = size_layer(stage, name, joined, self.net.name, self.call, self.typer)
        if sized is None:
            return None
        use, out = sized
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
        self.net.segments = (ModuleSegment(self.net.name, (use,), joined.shape, out.space),)
        return out if states == 1 else TypedMany((None, None), (out, out))


def linear_layer(net: Net | ExternNetwork | None) -> ModuleSegment | None:
    """The layer of a net that is one Linear layer of one input; None for any other net."""
    if not isinstance(net, Net) or net.segments is None or len(net.segments) != 1:
        return None
    segment = net.segments[0]
    if not isinstance(segment, ModuleSegment) or [use.layer.name for use in segment.layers] != ["Linear"]:
        return None
    return segment if len(segment.input_shape) == 1 else None


def has_bias(segment: ModuleSegment) -> bool:
    """True if a linear layer adds anything."""
    return dict(segment.layers[0].arguments).get("bias") is not False
