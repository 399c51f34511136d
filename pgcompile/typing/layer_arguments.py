"""Arguments of layers as they are written: their names, their values, and defaults filled in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from pgcompile.diagnostics import Span, suggest
from pgcompile.model.literals import Constants, evaluate
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.vocabulary.layers import Layer, LayerParameter, Value


def read_arguments(
    layer: Layer, stage: tree.Expr, typer: TypingContext, filled: Mapping[str, Value] | None = None
) -> dict[str, Value] | None:
    """Values of a layer's arguments, defaults filled in.

    Args:
        layer: the layer.
        stage: as it is written.
        typer: of the model.
        filled: values that follow from the place of the layer, where the program does not give them.

    Returns:
        The values by name, None after reports.
    """
    sink = typer.sink
    given = stage.args if isinstance(stage, tree.Call) else ()
    values: dict[str, Value] = {**{p.name: p.default for p in layer.parameters}, **(filled or {})}
    seen: set[str] = {*(filled or {})}
    positional = [p.name for p in layer.parameters]
    sound = True
    for index, argument in enumerate(given):
        if argument.name is None and index >= len(positional):
            sink.add(
                "PGC311",
                argument.span,
                f"{layer.name} takes {len(positional)} arguments at most: {', '.join(positional) or 'none'}",
                help=_list_help(layer, given, typer) or "leave this one out",
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
        value = _read(layer, parameter, argument, typer)
        if value is None:
            sound = False
        values[name] = value
        seen.add(name)
    for parameter in layer.parameters:
        if parameter.required and parameter.name not in seen and sound:
            sink.add("PGC312", stage.span, f"{layer.name} needs {parameter.name}", help=f"write {example_of(layer)}")
            sound = False
    return values if sound else None


def example_of(layer: Layer) -> str:
    """A layer as it may be written."""
    if layer.name in _EXAMPLES:
        return _EXAMPLES[layer.name]
    if "num_heads" in {p.name for p in layer.parameters}:
        return f"{layer.name}(num_heads = 4)"
    if "Conv" in layer.name:
        return f"{layer.name}(64, 3)"
    return f"{layer.name}({64 if layer.parameters[0].kind == 'size' else 2})"


_EXAMPLES = {
    "TransformerEncoder": "TransformerEncoder(num_heads = 4, num_layers = 2)",
    "residual": "residual(Linear(64) >> ReLU >> Linear)",
    "Unflatten": "Unflatten((16, 4, 4))",
    "GroupNorm": "GroupNorm(4)",
    "Upsample": "Upsample(2)",
}


# --- kinds of values ---


@dataclass(frozen=True)
class ValueKind:
    """One kind of value that arguments of layers have.

    Args:
        wanted: what it is called in messages.
        read: an expression as a Python value; None if it may not stand here.
    """

    wanted: str
    read: Callable[[LayerParameter, tree.Expr, Constants], Value]


def _flag(parameter: LayerParameter, expr: tree.Expr, constants: Constants) -> Value:
    if isinstance(expr, tree.Name) and expr.id.lower() in ("true", "false"):
        return expr.id.lower() == "true"
    return None


def _word(parameter: LayerParameter, expr: tree.Expr, constants: Constants) -> Value:
    return expr.id if isinstance(expr, tree.Name) and expr.id in parameter.words else None


def _number(parameter: LayerParameter, expr: tree.Expr, constants: Constants) -> Value:
    value = evaluate(expr, constants)
    if not isinstance(value, Fraction):
        return None
    return int(value) if value.denominator == 1 and parameter.name == "scale_factor" else float(value)


def _size(parameter: LayerParameter, expr: tree.Expr, constants: Constants) -> Value:
    sizes = _whole_numbers(expr, constants)
    return sizes if isinstance(sizes, int) or (sizes is not None and len(sizes) == 1) else None


def _sizes(parameter: LayerParameter, expr: tree.Expr, constants: Constants) -> Value:
    return _whole_numbers(expr, constants)


def _whole_numbers(expr: tree.Expr, constants: Constants) -> int | tuple[int, ...] | None:
    """A whole number, or as many as are written in brackets."""
    items = expr.items if isinstance(expr, tree.TupleLiteral | tree.ListLiteral) else (expr,)
    sizes = [evaluate(item, constants) for item in items]
    whole = [int(v) for v in sizes if isinstance(v, Fraction) and v.denominator == 1 and 0 <= v < 10**9]
    if len(whole) < len(items):
        return None
    return whole[0] if len(items) == 1 and expr is items[0] else tuple(whole)


VALUE_KINDS = {
    "flag": ValueKind("true or false", _flag),
    "word": ValueKind("one of some words", _word),
    "number": ValueKind("a number", _number),
    "size": ValueKind("a positive whole number", _size),
    "pair": ValueKind("a whole number or a pair", _sizes),
    "shape": ValueKind("a shape such as (8, 4, 4)", _sizes),
}


def _read(layer: Layer, parameter: LayerParameter, argument: tree.Argument, typer: TypingContext) -> Value:
    """One argument as a Python value; None after a report."""
    expr, constants = argument.value, typer.model.constants
    text = typer.sink.source.snippet(expr.span)
    kind = VALUE_KINDS[parameter.kind]
    value = kind.read(parameter, expr, constants)
    if value is not None:
        return value
    if parameter.kind == "flag" and argument.name is None and evaluate(expr, constants) is not None:
        typer.sink.add(
            "PGC310",
            argument.span,
            f"`{text}` is one size too many: {layer.name} infers the size of its input",
            help=f"write {layer.name}({text})",
        )
        return None
    *others, last = parameter.words or (kind.wanted,)
    wanted = f"{', '.join(others)} or {last}" if others else last
    typer.sink.add(
        "PGC310",
        argument.span,
        f"`{text}` is not {wanted}, which `{parameter.name}` of {layer.name} is",
        help=f"write {wanted}",
    )
    return None


def _list_help(layer: Layer, given: tuple[tree.Argument, ...], typer: TypingContext) -> str | None:
    """`Unflatten([64, 7, 7])` for `Unflatten(64, 7, 7)`: sizes of one shape that stand side by side."""
    numbers = [evaluate(a.value, typer.model.constants) for a in given]
    if layer.name not in ("Unflatten", "LayerNorm") or any(a.name for a in given) or None in numbers:
        return None
    shapes = [a for a, number in zip(given, numbers, strict=True) if isinstance(number, tuple)]
    if shapes:  # torch's own Unflatten has the dimension first, which is the last one here
        return f"write `{layer.name}({typer.text(shapes[0].value)})`"
    return f"write `{layer.name}([{', '.join(typer.text(a.value) for a in given)}])`"
