"""Layers of nets, named and spelled as in `torch.nn`, with the sizes that follow from their input.

A layer's rule takes the event shape of its input and its arguments, and gives the event shape of its output and the
arguments of the `torch.nn` constructor.
"""

from math import floor, prod

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
    need_vector,
    show,
    size_of,
)
from pgcompile.vocabulary.sequence_layers import SEQUENCE_LAYERS

__all__ = ["ACTIVATIONS", "LAYERS", "Layer", "LayerError", "LayerParameter", "Value", "show"]


def _elementwise(
    name: str, *parameters: LayerParameter, codomain: str | None = "real", stochastic: bool = False
) -> Layer:
    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        if stochastic:
            need_share(args, "p", name)
        return shape, given(parameters, args)

    return Layer(name, parameters, rule, codomain, stochastic=stochastic)


def _pair(value: Value) -> tuple[int, int]:
    first, *_, last = _sizes(value, 2)
    return first, last


def _sizes(value: Value, dims: int) -> tuple[int, ...]:
    """A size for each of some dimensions; one number stands for all."""
    if isinstance(value, tuple) and len(value) in (1, dims):
        return value * dims if len(value) == 1 else value
    if isinstance(value, int):
        return (value,) * dims
    raise LayerError(f"expected a whole number or {dims} of them, found `{value}`")


def _linear(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    size = size_of(args, "out_features")
    if not shape:
        raise LayerError("`Linear` takes a vector, here the input is a scalar", "declare the input as `real[1]`")
    return (*shape[:-1], size), [(None, shape[-1]), (None, size), *given((_BIAS, _SPECTRAL, _WEIGHT_NORM), args)]


def _bilinear(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    widths = args.get("widths")
    if not isinstance(widths, tuple) or len(widths) != 2:
        raise LayerError(
            "`Bilinear` takes two vectors, and stands first in a net of two inputs",
            "write `net f(a, b) = Bilinear(8)`, and call it as f(a, b)",
        )
    size = size_of(args, "out_features")
    sizes = [(None, width) for width in (*widths, size)]
    return (size,), [*sizes, *given((_BIAS, _SPECTRAL, _WEIGHT_NORM), args)]


def _sinusoidal(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    size = size_of(args, "size")
    if size % 2:
        raise LayerError(f"`Sinusoidal` gives sines and as many cosines, and {size} is odd", f"write {size + 1}")
    return (*shape, size), [(None, size)]


def _same_shape(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    return shape, []


def _convolution(dims: int, transpose: bool) -> Rule:
    name = f"Conv{'Transpose' if transpose else ''}{dims}d"

    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        need_rank(shape, dims + 1, name, _PLACES[dims])
        channels = size_of(args, "out_channels")
        words = ("kernel_size", "stride", "padding", "dilation")
        kernel, stride, padding, dilation = (_sizes(args[k], dims) for k in words)
        extra = _sizes(args["output_padding"], dims) if transpose else (0,) * dims
        sizes = []
        for axis, size in enumerate(shape[1:]):
            window = dilation[axis] * (kernel[axis] - 1)
            if transpose:
                out = (size - 1) * stride[axis] - 2 * padding[axis] + window + extra[axis] + 1
            else:
                out = (size + 2 * padding[axis] - window - 1) // stride[axis] + 1
            sizes.append(out)
        if min(sizes) < 1:
            raise LayerError(
                f"`{name}` with kernel {show(kernel[:dims])} leaves nothing of an input of {show(shape)}",
                "use a smaller kernel or stride, or padding",
            )
        groups = args.get("groups", 1)
        if isinstance(groups, int) and (shape[0] % groups or channels % groups):
            raise LayerError(f"`groups = {groups}` does not divide the channels {shape[0]} -> {channels}")
        more = [a for a in given(parameters, args) if a[0] not in ("out_channels", "kernel_size")]
        return (channels, *sizes), [(None, shape[0]), (None, channels), ("kernel_size", args["kernel_size"]), *more]

    parameters = _convolution_parameters(transpose)
    return rule


def _convolution_parameters(transpose: bool) -> tuple[LayerParameter, ...]:
    more = (LayerParameter("output_padding", "pair", 0),) if transpose else ()
    return (
        LayerParameter("out_channels", "size", required=True),
        LayerParameter("kernel_size", "pair", required=True),
        LayerParameter("stride", "pair", 1),
        LayerParameter("padding", "pair", 0),
        *more,
        LayerParameter("dilation", "pair", 1),
        LayerParameter("groups", "size", 1),
        _BIAS,
        _SPECTRAL,
        _WEIGHT_NORM,
    )


def _pool(name: str, dims: int) -> Rule:
    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        need_rank(shape, dims + 1, name, _PLACES[dims])
        kernel, padding = _sizes(args["kernel_size"], dims), _sizes(args["padding"], dims)
        stride = kernel if args["stride"] is None else _sizes(args["stride"], dims)
        sizes = [(shape[1 + a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in range(dims)]
        if min(sizes) < 1:
            raise LayerError(f"`{name}` leaves nothing of an input of {show(shape)}", "use a smaller kernel")
        return (shape[0], *sizes), given(_POOL, args)

    return rule


def _batch_norm(name: str, ranks: tuple[int, ...]) -> Rule:
    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        if len(shape) not in ranks:
            need_rank(shape, ranks[0], name, "features" if ranks[0] == 1 else "channels, height, width")
        return shape, [(None, shape[0]), *given(_NORM, args)]

    return rule


def _layer_norm(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    need_vector(shape, "LayerNorm")
    dims = len(shape) if args["dims"] is None else size_of(args, "dims")
    if dims > len(shape):
        raise LayerError(
            f"`LayerNorm(dims = {dims})` takes an input of {dims} dimensions or more, here it is {show(shape)}",
            f"write a number up to {len(shape)}",
        )
    return shape, [(None, shape[-1] if dims == 1 else shape[-dims:]), *given((_EPS,), args)]


def _group_norm(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    groups = size_of(args, "num_groups")
    need_vector(shape, "GroupNorm")
    if shape[0] % groups:
        raise LayerError(f"`GroupNorm({groups})` does not divide {shape[0]} channels")
    return shape, [(None, groups), (None, shape[0])]


def _embedding(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    number = args.get("num_embeddings")
    if number is None:
        raise LayerError("`Embedding` cannot tell how many indices there are", "give it a `category[K]` variable")
    return (*shape, size_of(args, "embedding_dim")), [(None, number), (None, args["embedding_dim"])]


def _cell(states: int) -> Rule:
    def rule(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
        need_rank(shape, 1, "GRUCell" if states == 1 else "LSTMCell", "features")
        size = size_of(args, "hidden_size")
        return (size,), [(None, shape[0]), (None, size), *given((_BIAS,), args)]

    return rule


def _flatten(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    return (prod(shape),), [(None, -len(shape)), (None, -1)] if shape else []


def _unflatten(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    sizes = args["unflattened_size"]
    if isinstance(sizes, int):
        sizes = (sizes,)
    assert isinstance(sizes, tuple)
    need_vector(shape, "Unflatten")
    if prod(sizes) != shape[-1]:
        raise LayerError(
            f"`Unflatten` cannot shape {shape[-1]} numbers as {show(sizes)}, which holds {prod(sizes)}",
            f"make the layer before it {prod(sizes)} wide",
        )
    return (*shape[:-1], *sizes), [(None, -1), (None, sizes)]


def _upsample(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    need_rank(shape, 3, "Upsample", "channels, height, width")
    factor = args["scale_factor"]
    if not isinstance(factor, int | float):
        raise LayerError("`scale_factor` is a number")
    sizes = [floor(size * factor) for size in shape[1:]]
    mode = args["mode"]
    return (shape[0], *sizes), [("scale_factor", factor), *([("mode", mode)] if mode != "nearest" else [])]


def _adaptive_pool(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    need_rank(shape, 3, "AdaptiveAvgPool2d", "channels, height, width")
    return (shape[0], *_pair(args["output_size"])), [(None, args["output_size"])]


def _pixel_shuffle(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    need_rank(shape, 3, "PixelShuffle", "channels, height, width")
    factor = size_of(args, "upscale_factor")
    if shape[0] % factor**2:
        raise LayerError(
            f"`PixelShuffle({factor})` needs a multiple of {factor**2} channels, here there are {shape[0]}"
        )
    return (shape[0] // factor**2, shape[1] * factor, shape[2] * factor), [(None, factor)]


def _rms_norm(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    need_vector(shape, "RMSNorm")
    return shape, [(None, shape[-1])]


def _glu(shape: Shape, args: Arguments) -> tuple[Shape, list[tuple[str | None, Value]]]:
    need_vector(shape, "GLU")
    if shape[-1] % 2:
        raise LayerError(
            f"`GLU` halves its input, and {shape[-1]} is odd", f"make the layer before it {shape[-1] + 1} wide"
        )
    return (*shape[:-1], shape[-1] // 2), []


_PLACES = {1: "channels, length", 2: "channels, height, width", 3: "channels, depth, height, width"}

_BIAS = LayerParameter("bias", "flag", True)
_SPECTRAL = LayerParameter("spectral_norm", "flag", False)  # Miyato et al. 2018
_WEIGHT_NORM = LayerParameter("weight_norm", "flag", False)  # Salimans & Kingma 2016
_EPS = LayerParameter("eps", "number", 1e-5)
_NORM = (_EPS, LayerParameter("momentum", "number", 0.1), LayerParameter("affine", "flag", True))
_POOL = (
    LayerParameter("kernel_size", "pair", required=True),
    LayerParameter("stride", "pair"),
    LayerParameter("padding", "pair", 0),
)
_MODE = LayerParameter("mode", "word", "nearest", words=("nearest", "bilinear", "bicubic"))
_SLOPE = LayerParameter("negative_slope", "number", 0.01)
_ALPHA = LayerParameter("alpha", "number", 1.0)
_P = LayerParameter("p", "number", 0.5)

_LAYERS = (
    Layer("Linear", (LayerParameter("out_features", "size", required=True), _BIAS, _SPECTRAL, _WEIGHT_NORM), _linear),
    Layer(
        "Bilinear",
        (LayerParameter("out_features", "size", required=True), _BIAS, _SPECTRAL, _WEIGHT_NORM),
        _bilinear,
        runtime="JoinedBilinear",
    ),
    Layer("Conv1d", _convolution_parameters(False), _convolution(1, False), batch_rank=1),
    Layer("Conv3d", _convolution_parameters(False), _convolution(3, False), batch_rank=1),
    Layer("ConvTranspose1d", _convolution_parameters(True), _convolution(1, True), batch_rank=1),
    Layer("ConvTranspose3d", _convolution_parameters(True), _convolution(3, True), batch_rank=1),
    Layer("Conv2d", _convolution_parameters(False), _convolution(2, False), batch_rank=1),
    Layer("ConvTranspose2d", _convolution_parameters(True), _convolution(2, True), batch_rank=1),
    Layer("BatchNorm1d", _NORM, _batch_norm("BatchNorm1d", (1, 2)), batch_rank=1),
    Layer("BatchNorm2d", _NORM, _batch_norm("BatchNorm2d", (3,)), batch_rank=1),
    Layer("InstanceNorm2d", (_EPS,), _batch_norm("InstanceNorm2d", (3,)), batch_rank=1),
    Layer("LayerNorm", (_EPS, LayerParameter("dims", "size")), _layer_norm),
    Layer("RMSNorm", (), _rms_norm),
    Layer("GLU", (), _glu),
    Layer("GroupNorm", (LayerParameter("num_groups", "size", required=True),), _group_norm, batch_rank=1),
    _elementwise("Dropout", _P, codomain=None, stochastic=True),
    Layer(
        "Embedding",
        (LayerParameter("embedding_dim", "size", required=True), LayerParameter("num_embeddings", "size")),
        _embedding,
        takes_index=True,
    ),
    Layer(
        "Sinusoidal",
        (LayerParameter("size", "size", required=True),),
        _sinusoidal,
        takes_index=True,
        runtime="Sinusoidal",
    ),
    *SEQUENCE_LAYERS,
    Layer("residual", (), _same_shape, runtime="Residual"),
    Layer(
        "GRUCell", (LayerParameter("hidden_size", "size", required=True), _BIAS), _cell(1), batch_rank=1, cell_states=1
    ),
    Layer(
        "LSTMCell", (LayerParameter("hidden_size", "size", required=True), _BIAS), _cell(2), batch_rank=1, cell_states=2
    ),
    Layer(
        "RNNCell", (LayerParameter("hidden_size", "size", required=True), _BIAS), _cell(1), batch_rank=1, cell_states=1
    ),
    _elementwise("ReLU", codomain="nonnegative"),
    _elementwise("ReLU6", codomain="nonnegative"),
    _elementwise("LeakyReLU", _SLOPE),
    _elementwise("ELU", _ALPHA),
    _elementwise("SELU"),
    _elementwise("GELU"),
    _elementwise("SiLU"),
    _elementwise("Mish"),
    _elementwise("Tanh"),
    _elementwise("Hardtanh"),
    _elementwise("Softsign"),
    _elementwise("LogSigmoid"),
    _elementwise("Sigmoid", codomain="unit_interval"),
    _elementwise("Softplus", codomain="positive"),
    _elementwise("Identity", codomain=None),
    Layer("Softmax", (), lambda shape, args: (shape, [("dim", -1)]), codomain="simplex"),
    Layer("LogSoftmax", (), lambda shape, args: (shape, [("dim", -1)])),
    Layer("Flatten", (), _flatten, codomain=None),
    Layer("Unflatten", (LayerParameter("unflattened_size", "shape", required=True),), _unflatten, codomain=None),
    Layer("MaxPool1d", _POOL, _pool("MaxPool1d", 1), codomain=None, batch_rank=1),
    Layer("AvgPool1d", _POOL, _pool("AvgPool1d", 1), codomain=None, batch_rank=1),
    Layer("MaxPool3d", _POOL, _pool("MaxPool3d", 3), codomain=None, batch_rank=1),
    Layer("MaxPool2d", _POOL, _pool("MaxPool2d", 2), codomain=None, batch_rank=1),
    Layer("AvgPool2d", _POOL, _pool("AvgPool2d", 2), codomain=None, batch_rank=1),
    Layer(
        "AdaptiveAvgPool2d",
        (LayerParameter("output_size", "pair", required=True),),
        _adaptive_pool,
        codomain=None,
        batch_rank=1,
    ),
    Layer(
        "Upsample",
        (LayerParameter("scale_factor", "number", required=True), _MODE),
        _upsample,
        codomain=None,
        batch_rank=1,
    ),
    Layer(
        "PixelShuffle",
        (LayerParameter("upscale_factor", "size", required=True),),
        _pixel_shuffle,
        codomain=None,
        batch_rank=1,
    ),
)
LAYERS: dict[str, Layer] = {layer.name: layer for layer in _LAYERS}
ACTIVATIONS = frozenset(
    "ReLU ReLU6 LeakyReLU ELU SELU GELU SiLU Mish Tanh Hardtanh Softsign LogSigmoid Sigmoid Softplus".split()
)
