"""Types of nets of sequences: `f(x_{1:T})`, `f(x_{1:t})` and `f(x_{<t})`."""

from dataclasses import replace

from pgcompile.model.nets import FunctionSegment, LayerUse, ModuleSegment, Net, NetSegment
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing import nets
from pgcompile.typing.context import TypingContext
from pgcompile.typing.scope import Result, Scope
from pgcompile.vocabulary.layers import ACTIVATIONS, show

PLACE_BY_PLACE = {
    *ACTIVATIONS,
    *(
        "Linear",
        "Embedding",
        "Dropout",
        "Identity",
        "LayerNorm",
        "RMSNorm",
        "Sinusoidal",
        "PositionalEncoding",
        "Softmax",
        "LogSoftmax",
        "GLU",
    ),
}
"""Layers that take each place of a sequence by itself."""
RECURRENT = {"GRU", "LSTM", "RNN"}
ATTENTION = {"MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder"}


def type_of_along(typer: TypingContext, expr: tree.Along, scope: Scope) -> Result:
    """Type of one place of a net's result; a net that does not give one for each place is reported."""
    values: list[Typed] = []
    for argument in expr.call.args:
        value = typer.typed(argument.value, scope)
        if value is None:
            return None
        values.append(value)
    length = values[0].shape[0]
    for argument, value in zip(expr.call.args, values, strict=True):
        if len(value.shape) == 1 and value.space.kind != "category" and isinstance(argument.value, tree.Name):
            one = argument.value.id.partition("_{")[0] + f"_{expr.index}"
            return typer.fail(
                "PGC303",
                argument.span,
                f"{one} is one number, and a net of a whole sequence takes a vector at each place",
                f"declare it as a vector of one: `{one} : {value.space.kind}[1]`",
            )
    net = typer.model.nets.get(expr.call.name)
    if not isinstance(net, Net):
        return typer.fail(
            "PGC010",
            expr.span,
            f"{expr.call.name} of a whole sequence is not part of this version: it is no net of layers",
            f"declare it: `net {expr.call.name} = GRU(64)`",
        )
    found = nets.apply(typer, expr.call, values)
    if not isinstance(found, Typed):
        return None
    kept = bool(found.shape) and found.shape[0] == length
    padded = typer.model.indices.ranges[expr.index].padded
    unfit = [] if not kept else _unfit(typer, net, "here" if padded else expr.reach)
    if not kept:
        return typer.fail(
            "PGC303",
            expr.span,
            f"{net.name} makes {show(found.shape[1:])} of a whole sequence, not something of each place",
            "end it in a layer that keeps the places, such as `GRU(64)` without `last`; e_T is then its last state",
        )
    if unfit and expr.reach == "all":
        return typer.fail(
            "PGC010",
            expr.span,
            f"`{unfit[0]}` would take what stands behind the ends of padded sequences, and is not part of this version",
            "use GRU, LSTM or RNN in one direction, or attention with `causal = true`",
        )
    if unfit:
        return typer.fail(
            "PGC303",
            expr.span,
            f"{net.name} looks ahead: `{unfit[0]}` at a place takes the places behind it too",
            "use GRU, LSTM or RNN in one direction, or attention with `causal = true`",
        )
    return replace(found, space=replace(found.space, shape=found.shape[1:]))


def _unfit(typer: TypingContext, net: Net, reach: str) -> list[str]:
    """The layers of a net that take places which they must not; places that a whole sequence has may all be taken."""
    found: list[str] = []
    for segment in net.segments or ():
        match segment:
            case ModuleSegment():
                found += [name for use in segment.layers for name in _looks_ahead(use, reach)]
            case FunctionSegment():
                pass
            case NetSegment(other):
                inner = typer.model.nets[other]
                found += _unfit(typer, inner, reach) if isinstance(inner, Net) else [other]
            case _:
                found.append(net.name)
    return found


def _looks_ahead(use: LayerUse, reach: str) -> list[str]:
    name, arguments = use.layer.name, {k: v for k, v in use.arguments if k is not None}
    if use.inner:
        return [found for inner in use.inner for found in _looks_ahead(inner, reach)]
    if name in PLACE_BY_PLACE:
        return []
    if name in RECURRENT and not arguments.get("last"):
        return [f"{name}(bidirectional = true)"] if arguments.get("bidirectional") and reach != "all" else []
    if name in ATTENTION:
        return [] if reach == "all" or arguments.get("causal") else [name]
    return [name]
