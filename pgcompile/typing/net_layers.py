"""Layers of nets, sized by the value that reaches them."""

from collections.abc import Mapping
from math import prod

from pgcompile.diagnostics import Span, suggest
from pgcompile.model.nets import LayerUse
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.layer_arguments import example_of, read_arguments
from pgcompile.typing.net_stages import Stage, named_stages
from pgcompile.typing.torch_layers import TORCH, torch_layer
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import ACTIVATIONS, LAYERS, Layer, LayerError, Value, show
from pgcompile.vocabulary.spaces import Space
from pgcompile.vocabulary.synonyms import LAYERS as SYNONYMS

RESIDUAL = "residual"
LARGEST = 1_000_000_000
"""The most numbers an example that a layer may give."""


def size_layer(
    stage: tree.Expr,
    name: str,
    value: Typed,
    net: str,
    call: Span,
    typer: TypingContext,
    filled: Mapping[str, Value] | None = None,
) -> tuple[LayerUse, Typed] | None:
    """A layer with its sizes, and the type of its output.

    Args:
        stage: the layer as it is written.
        name: its name.
        value: type of its input.
        net: the net that it is in.
        call: where that net is called.
        typer: of the model.
        filled: arguments that follow from the place of the layer, where the program does not give them.

    Returns:
        None after a report.
    """
    if name.startswith(TORCH):
        return torch_layer(stage, name, value, net, call, typer)
    layer = LAYERS.get(name)
    if name == RESIDUAL:
        return _residual(stage, value, net, call, typer)
    if layer is None:
        _report_unknown(stage, name, typer)
        return None
    arguments = read_arguments(layer, stage, typer, filled)
    if arguments is None or not _takes_kind(layer, arguments, value, net, call, typer):
        return None
    try:
        shape, constructor = layer.rule(value.shape, arguments)
    except LayerError as error:
        typer.sink.add("PGC303", stage.span, error.message, related=[(call, f"{net} is called here")], help=error.help)
        return None
    if prod(shape) > LARGEST:
        typer.sink.add(
            "PGC303",
            stage.span,
            f"`{name}` would give {prod(shape):,} numbers an example",
            help="is a size too large?",
        )
        return None
    kind = value.space.kind if layer.codomain is None else layer.codomain
    kind = "real" if kind in ("category", "simplex", "one_hot") and layer.codomain is None else kind
    return LayerUse(layer, tuple(constructor)), Typed(Space(kind, shape))


def size_pipeline(
    stages: list[Stage], value: Typed, wanted: tuple[int, ...], net: str, call: Span, typer: TypingContext
) -> tuple[tuple[LayerUse, ...], Typed] | None:
    """Layers in turn with their sizes, and the type of the last one's output; None after a report.

    Args:
        stages: the layers with their names.
        value: type of what enters them.
        wanted: event shape of their result, whose size the last layer that has one may leave out.
        net: the net that they are in.
        call: where that net is called.
        typer: of the model.
    """
    uses: list[LayerUse] = []
    last = max((i for i, (_, name) in enumerate(stages) if name in LAYERS and _sized_by(name)), default=-1)
    for place, (stage, name) in enumerate(stages):
        if name in FUNCTIONS or (name in typer.model.nets and name not in LAYERS):
            what = "a function" if name in FUNCTIONS else "a net"
            word = next((each for each in ACTIVATIONS if each.lower() == name.lower()), None)
            typer.sink.add(
                "PGC105",
                stage.span,
                f"{name} is {what}, and layers stand here",
                help=f"write {word}" if word else "use a layer" if name in FUNCTIONS else "write its layers",
            )
            return None
        filled: dict[str, Value] | None = None
        if place == last and wanted:
            size = _sized_by(name)
            filled = {size: wanted[-1 if size == "out_features" else 0]} if size is not None else None
        sized = size_layer(stage, name, value, net, call, typer, filled)
        if sized is None:
            return None
        use, value = sized
        uses.append(use)
    return tuple(uses), value


def _sized_by(name: str) -> str | None:
    """The argument of a layer that is the size of its output: features of `Linear`, channels of a convolution."""
    return next((p.name for p in LAYERS[name].parameters if p.name in ("out_features", "out_channels")), None)


def _residual(
    stage: tree.Expr, value: Typed, net: str, call: Span, typer: TypingContext
) -> tuple[LayerUse, Typed] | None:
    """`residual(...)`: layers whose result is added to what they are given; None after a report."""
    arguments = stage.args if isinstance(stage, tree.Call) else ()
    if len(arguments) != 1 or arguments[0].name is not None:
        example = example_of(LAYERS[RESIDUAL])
        typer.sink.add("PGC312", stage.span, "residual holds the layers that it adds", help=f"write {example}")
        return None
    inside = arguments[0].value
    stages = named_stages(inside.stages if isinstance(inside, tree.Pipeline) else (inside,), typer)
    if value.space.kind == "category":
        typer.sink.add(
            "PGC303", stage.span, f"{net} takes an index, and residual adds to numbers", help="put Embedding before it"
        )
        return None
    sized = size_pipeline(stages, value, value.shape, net, call, typer)
    if sized is None:
        return None
    uses, out = sized
    if out.shape != value.shape:
        typer.sink.add(
            "PGC303",
            stage.span,
            f"residual adds what its layers give, {show(out.shape)}, to what they are given, {show(value.shape)}",
            related=[(call, f"{net} is called here")],
            help="leave out the size of the last layer, as in `residual(Linear(64) >> ReLU >> Linear)`"
            if len(out.shape) == len(value.shape)
            else "use layers that keep the shape",
        )
        return None
    return LayerUse(LAYERS[RESIDUAL], (), uses), Typed(Space("real", out.shape))


def _report_unknown(stage: tree.Expr, name: str, typer: TypingContext) -> None:
    """Report a stage that is no layer, with the nearest name that is one."""
    elementwise = (f for f in FUNCTIONS if FUNCTIONS[f].shape == "elementwise")
    known = {*LAYERS, *typer.model.nets, "mlp", *elementwise}
    place = stage.name_span if isinstance(stage, tree.Call) else stage.span
    typer.sink.add(
        "PGC105",
        stage.span,
        f"there is no layer called {name}" if name else "this is not a layer",
        **suggest(name, place, known, _layer_help(name), SYNONYMS),
    )


def _layer_help(name: str) -> str:
    """The help for a layer of torch.nn that is no word of the language."""
    if name[:1].isupper():
        return f"layers are spelled as in torch.nn; any other than those of the manual is `nn.{name}(...)`"
    return "layers are spelled as in torch.nn, such as Linear(64) or ReLU"


def _takes_kind(
    layer: Layer, arguments: dict[str, Value], value: Typed, net: str, call: Span, typer: TypingContext
) -> bool:
    """Test whether a layer takes its input's kind: an index goes into an embedding, whose table it sizes."""
    if layer.name == "Embedding":
        arguments["num_embeddings"] = arguments.get("num_embeddings") or value.space.categories
    elif value.space.kind == "category" and not layer.takes_index and layer.name not in ACTIVATIONS:
        typer.sink.add(
            "PGC303",
            call,
            f"{net} takes an index, and {layer.name} takes numbers",
            help=f"start the net with Embedding(64), or write `{net}(one_hot(...))`",
        )
        return False
    return True
