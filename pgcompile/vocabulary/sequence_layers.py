"""Layers of sequences [L, D]: attention, Transformer encoders and recurrent nets, each of one input and one result."""

from pgcompile.vocabulary.layer import (
    Arguments,
    Layer,
    LayerError,
    LayerParameter,
    Rule,
    Shape,
    Value,
    given,
    need_rank,
    need_share,
    show,
    size_of,
)

_HEADS = LayerParameter("num_heads", "size", required=True)
_LAYERS = LayerParameter("num_layers", "size", 1)
_BIAS = LayerParameter("bias", "flag", True)
_CAUSAL = LayerParameter("causal", "flag", False)
_ENCODER = (
    LayerParameter("dim_feedforward", "size", 2048),
    LayerParameter("dropout", "number", 0.1),
    LayerParameter("activation", "word", "relu", words=("relu", "gelu")),
    LayerParameter("layer_norm_eps", "number", 1e-5),
    LayerParameter("norm_first", "flag", False),
    _BIAS,
    _CAUSAL,
)
_ATTENTION = (_HEADS, LayerParameter("dropout", "number", 0.0), _BIAS, _CAUSAL)
_RECURRENT = (
    LayerParameter("hidden_size", "size", required=True),
    _LAYERS,
    _BIAS,
    LayerParameter("dropout", "number", 0.0),
    LayerParameter("bidirectional", "flag", False),
    LayerParameter("last", "flag", False),
)
_NONLINEARITY = LayerParameter("nonlinearity", "word", "tanh", words=("tanh", "relu"))


def _attention(name: str, parameters: tuple[LayerParameter, ...]) -> Rule:
    """The rule of layers that attend from each place of [L, D] to each: the result has the shape of the input."""

    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        need_rank(shape, 2, name, "places, features")
        heads = size_of(args, "num_heads")
        if shape[1] % heads:
            divisors = [n for n in range(1, shape[1] + 1) if shape[1] % n == 0]
            fitting = min(divisors, key=lambda n: abs(n - heads))
            raise LayerError(
                f"`num_heads = {heads}` does not divide the {shape[1]} features of the input {list(shape)}",
                f"write {fitting}, or make the layer before it {-(-shape[1] // heads) * heads} wide",
            )
        need_share(args, "dropout", name)
        leading: list[tuple[str | None, Value]] = [(None, shape[1]), (None, heads)]
        if name == "TransformerEncoder":
            leading.insert(0, (None, size_of(args, "num_layers")))
        return shape, leading + [a for a in given(parameters, args) if a[0] not in ("num_heads", "num_layers")]

    return rule


def _recurrent(name: str, parameters: tuple[LayerParameter, ...]) -> Rule:
    """The rule of recurrent nets over [L, D]: all states [L, H], or the last one [H]."""

    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        if len(shape) == 1:
            raise LayerError(
                f"`{name}` goes over a whole sequence (places, features), here the input is {show(shape)}",
                "give it a sequence, as in `net(x_{1:T})`, or step with `GRUCell`: `h_t = cell(x_t, h_{t-1})`",
            )
        need_rank(shape, 2, name, "places, features")
        size = size_of(args, "hidden_size")
        layers = size_of(args, "num_layers")
        need_share(args, "dropout", name)
        if args["dropout"] and layers == 1:
            raise LayerError(
                f"`dropout` of {name} stands between its layers, and there is one",
                "write `num_layers = 2` or more, or put `Dropout(...)` after it",
            )
        width = size * 2 if args["bidirectional"] else size
        rest = [a for a in given(parameters, args) if a[0] != "hidden_size"]
        return (width,) if args["last"] else (shape[0], width), [(None, shape[1]), (None, size), *rest]

    return rule


def _recurrent_layer(name: str, *more: LayerParameter) -> Layer:
    parameters = (*_RECURRENT, *more)
    return Layer(name, parameters, _recurrent(name, parameters), batch_rank=1, runtime=f"Sequence{name}")


def _attention_layer(name: str, runtime: str, parameters: tuple[LayerParameter, ...]) -> Layer:
    return Layer(name, parameters, _attention(name, parameters), batch_rank=1, stochastic=True, runtime=runtime)


def _positions(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    """The rule of what is added to each place of [L, D]."""
    need_rank(shape, 2, "PositionalEncoding", "places, features")
    if shape[1] % 2:
        message = f"`PositionalEncoding` adds sines and as many cosines, and {shape[1]} is odd"
        raise LayerError(message, f"make the layer before it {shape[1] + 1} wide")
    return shape, [(None, shape[1])]


SEQUENCE_LAYERS = (
    Layer("PositionalEncoding", (), _positions, batch_rank=1, runtime="Positions"),
    _attention_layer("MultiheadAttention", "SelfAttention", _ATTENTION),
    _attention_layer("TransformerEncoderLayer", "EncoderLayer", (_HEADS, *_ENCODER)),
    _attention_layer(
        "TransformerEncoder", "Encoder", (_HEADS, LayerParameter("num_layers", "size", required=True), *_ENCODER)
    ),
    _recurrent_layer("GRU"),
    _recurrent_layer("LSTM"),
    _recurrent_layer("RNN", _NONLINEARITY),
)
