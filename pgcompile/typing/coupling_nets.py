"""Nets of couplings: a pipeline is a recipe that each coupling follows anew, a net from Python is shared."""

from collections.abc import Mapping

from pgcompile.model.flows import CouplingNet
from pgcompile.model.nets import ExternNetwork, Net
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.net_layers import size_pipeline
from pgcompile.typing.net_stages import Stage, cell_in, is_expression, named_stages
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import ACTIVATIONS, LAYERS, show
from pgcompile.vocabulary.spaces import Space
from pgcompile.vocabulary.transform_options import Value
from pgcompile.vocabulary.transforms import Word

Shape = tuple[int, ...]


def net_shapes(word: Word, options: Mapping[str, Value], shape: Shape, context: int) -> tuple[Shape, Shape]:
    """Event shapes of what the net of a coupling takes and gives.

    Args:
        word: the coupling, which states how many numbers its net gives for each feature.
        options: their values.
        shape: event shape of what the coupling takes.
        context: number of context features.
    """
    each = 0
    for name, multiple in (word.net_gives or {}).items():
        value = options[name] if name else 1
        assert isinstance(value, int)
        each += multiple * value
    if len(shape) == 3:
        channels, height, width = shape
        return (channels + context, height, width), (each * channels, height, width)
    kept = _kept(options[word.kept_by or ""], shape[0])
    return (kept + context,), (each * (shape[0] - kept),)


def _kept(mask: Value, features: int) -> int:
    """The number of features that a coupling keeps."""
    if isinstance(mask, tuple):
        return sum(1 for place in mask if place)
    half = features // 2
    return half if mask in ("odd", "first") else features - half


def coupling_net(
    name: str, word: Word, inputs: Shape, outputs: Shape, stage: tree.Expr, typer: TypingContext
) -> CouplingNet | None:
    """The net of a coupling, with its sizes; None after a report.

    Args:
        name: of the net.
        word: the coupling.
        inputs: event shape of what it is given.
        outputs: event shape of what it gives.
        stage: the coupling as it is written.
        typer: of the model.
    """
    net = typer.model.nets[name]
    if isinstance(net, ExternNetwork):
        return _supplied(net, word, inputs, outputs, stage, typer)
    stages = _recipe(net, typer, (name,))
    if stages is None or not stages:
        return None
    sized = size_pipeline(stages, Typed(Space("real", inputs)), outputs, name, stage.span, typer)
    if sized is None:
        return None
    layers, out = sized
    if out.shape != outputs:
        place = next((s for s, n in reversed(stages) if n in ("Linear", *_CONVOLUTIONS)), stages[-1][0])
        typer.sink.add(
            "PGC303",
            place.span,
            f"{name} gives {show(out.shape)}, and {word.name} needs {show(outputs)}{_reason(word)}",
            related=[(stage.span, f"it is given {show(inputs)} here")],
            help=_size_help(place, outputs),
        )
        return None
    return CouplingNet(name, layers, inputs)


_CONVOLUTIONS = tuple(name for name in LAYERS if name.startswith("Conv"))


def _reason(word: Word) -> str:
    """The meaning of the numbers that an affine coupling needs."""
    return ": shifts, then as many log-scales" if word.net_gives == {"": 2} else ""


def _size_help(place: tree.Expr, outputs: Shape) -> str:
    """The change that gives a net the size that its coupling needs."""
    match place:
        case tree.Call(name="Linear"):
            return f"write Linear({outputs[-1]}), or leave the size out: `Linear`"
        case tree.Call(name=name) if name in _CONVOLUTIONS:
            return f"write {outputs[0]} channels, or leave them out, with padding that keeps height and width"
        case _:
            return f"end it with {'`Linear`' if len(outputs) == 1 else '`Conv2d(kernel_size = 3, padding = 1)`'}"


def _recipe(net: Net, typer: TypingContext, outer: tuple[str, ...]) -> list[Stage] | None:
    """The layers of a net, those of nets in it written out; None after a report.

    Args:
        net: the net.
        typer: of the model.
        outer: the nets that it stands in, itself the last.
    """
    net.copied = True
    stages = named_stages(net.stages, typer)
    joins = net.inputs is not None and len(net.inputs) > 1
    if joins or cell_in(stages) is not None or is_expression(stages[0][0], net, typer):
        _refuse(net.stages[0], f"{net.name} is no pipeline of one input, which the net of a coupling is", typer)
        return None
    found: list[Stage] = []
    for stage, name in stages:
        inner = typer.model.nets.get(name)
        layer = next((each for each in ACTIVATIONS if each.lower() == name), None)
        if isinstance(inner, Net) and name not in outer:
            more = _recipe(inner, typer, (*outer, name))
            if more is None:
                return None
            found += more
        elif inner is not None:
            what = "stands in itself" if isinstance(inner, Net) else "comes from Python, and each coupling makes a net"
            _refuse(stage, f"{name} {what}", typer)
            return None
        elif name in FUNCTIONS and layer is not None:
            found.append((tree.Name(layer, span=stage.span), layer))
        else:
            found.append((stage, name))
    return found


def _refuse(stage: tree.Expr, message: str, typer: TypingContext) -> None:
    typer.sink.add(
        "PGC116", stage.span, message, help="write a pipeline of layers, such as `net g = Linear(64) >> ReLU >> Linear`"
    )


def _supplied(
    net: ExternNetwork, word: Word, inputs: Shape, outputs: Shape, stage: tree.Expr, typer: TypingContext
) -> CouplingNet | None:
    """A net from Python, held against what its coupling gives and needs; None after a report."""
    found = net.outputs[0][1].shape if len(net.outputs) == 1 else None
    if len(net.inputs) == 1 and found == outputs:
        return CouplingNet(net.name, None, inputs)
    space = f"real[{', '.join(map(str, outputs))}]"
    typer.sink.add(
        "PGC303",
        stage.span,
        f"{net.name} is given {show(inputs)}, and {word.name} needs {show(outputs)}{_reason(word)}",
        related=[(net.span, "declared here")],
        help=f"declare `extern net {net.name}(h) -> {space}`",
    )
    return None
