"""Layers of nets, sized by the value that reaches them."""

from math import prod

from pgcompile.diagnostics import Span, suggest
from pgcompile.model.nets import LayerUse
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.layer_arguments import read_arguments
from pgcompile.typing.torch_layers import SEQUENCE_LAYERS, TORCH, torch_layer
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import ACTIVATIONS, LAYERS, Layer, LayerError, Value
from pgcompile.vocabulary.spaces import Space
from pgcompile.vocabulary.synonyms import LAYERS as SYNONYMS

LARGEST = 1_000_000_000
"""The most numbers an example that a layer may give."""


def size_layer(
    stage: tree.Expr, name: str, value: Typed, net: str, call: Span, typer: TypingContext
) -> tuple[LayerUse, Typed] | None:
    """A layer with its sizes, and the type of its output.

    Args:
        stage: the layer as it is written.
        name: its name.
        value: type of its input.
        net: the net that it is in.
        call: where that net is called.
        typer: of the model.

    Returns:
        None after a report.
    """
    if name.startswith(TORCH):
        return torch_layer(stage, name, value, net, call, typer)
    layer = LAYERS.get(name)
    if layer is None:
        _report_unknown(stage, name, typer)
        return None
    arguments = read_arguments(layer, stage, typer)
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


def _report_unknown(stage: tree.Expr, name: str, typer: TypingContext) -> None:
    """Report a stage that is no layer, with the nearest name that is one."""
    elementwise = (f for f in FUNCTIONS if FUNCTIONS[f].shape == "elementwise")
    known = set() if name in SEQUENCE_LAYERS else {*LAYERS, *typer.model.nets, "mlp", *elementwise}
    place = stage.name_span if isinstance(stage, tree.Call) else stage.span
    typer.sink.add(
        "PGC105",
        stage.span,
        f"there is no layer called {name}" if name else "this is not a layer",
        **suggest(name, place, known, _layer_help(name), SYNONYMS),
    )


def _layer_help(name: str) -> str:
    """The help for a layer of torch.nn that is no word of the language."""
    if name in SEQUENCE_LAYERS:
        cell = f", or write {name}Cell for one step" if f"{name}Cell" in LAYERS else ""
        return f"{name} gives several results: declare `extern net f(x) -> real[64]`{cell}"
    if name[:1].isupper():
        return f"layers are spelled as in torch.nn; any other than those of the manual is `nn.{name}(...)`"
    return "layers are spelled as in torch.nn, such as Linear(64) or ReLU"


def _takes_kind(
    layer: Layer, arguments: dict[str, Value], value: Typed, net: str, call: Span, typer: TypingContext
) -> bool:
    """Test whether a layer takes its input's kind: an index goes into an embedding, whose table it sizes."""
    if layer.name == "Embedding":
        arguments["num_embeddings"] = arguments.get("num_embeddings") or value.space.categories
    elif value.space.kind == "category" and layer.name not in ACTIVATIONS:
        typer.sink.add(
            "PGC303",
            call,
            f"{net} takes an index, and {layer.name} takes numbers",
            help=f"start the net with Embedding(64), or write `{net}(one_hot(...))`",
        )
        return False
    return True
