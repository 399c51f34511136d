"""Transforms as they are written in a flow: their names, and the values of their options."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import networkx as nx

from pgcompile.diagnostics import Sink, Span, suggest
from pgcompile.model.literals import Constants, evaluate
from pgcompile.model.typed import Constant
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.typing.flow_names import stage_name
from pgcompile.vocabulary.layers import ACTIVATIONS
from pgcompile.vocabulary.synonyms import TRANSFORMS as SYNONYMS
from pgcompile.vocabulary.transform_options import LARGEST, Option, Value
from pgcompile.vocabulary.transforms import Word, transform_words

_NET_HELP = "declare it: `net g = Linear(64) >> ReLU >> Linear`, and write `net = g`"
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


def read_transform(stage: tree.Expr, typer: TypingContext) -> tuple[Word, dict[str, Value]] | None:
    """A transform and its options; None after a report."""
    name = stage_name(stage)
    word = transform_words().get(name)
    if word is not None:
        options = read_options(word, stage, typer)
        return None if options is None else (word, options)
    if name in typer.model.nets:
        typer.sink.add(
            "PGC116",
            stage.span,
            f"{name} is a net, which has no inverse",
            help="use a transform, such as AffineCoupling",
        )
        return None
    if name.removesuffix(".inv") in transform_words():
        short = name.removesuffix(".inv")
        typer.sink.add(
            "PGC116",
            stage.span,
            f"{name}: an inverse is of a declared flow",
            help=f"write `flow g = {short}`, and g.inv here",
        )
        return None
    place = stage.name_span if isinstance(stage, tree.Call) else stage.span
    known = [*transform_words(), "Split", *typer.model.flows]
    typer.sink.add(
        "PGC116",
        stage.span,
        f"there is no transform called {name}" if name else "this is not a transform",
        **suggest(name, place, known, "transforms are listed in docs/flows.md, such as AffineCoupling", SYNONYMS),
    )
    return None


def read_options(word: Word, stage: tree.Expr, typer: TypingContext) -> dict[str, Value] | None:
    """Values of a transform's options, defaults filled in; None after reports."""
    sink = typer.sink
    values: dict[str, Value] = {o.name: o.default for o in word.options}
    names = [o.name for o in word.options]
    given: dict[str, Span] = {}
    sound = True
    for argument in stage.args if isinstance(stage, tree.Call) else ():
        if argument.name is None:
            example = f"{names[0]}={sink.source.snippet(argument.value.span)}" if names else ""
            sink.add(
                "PGC311",
                argument.span,
                f"the options of {word.name} have names",
                help=f"write {word.name}({example})" if example else f"{word.name} has no options: write {word.name}",
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
                **suggest(argument.name, place, names, listed, _OPTION_SYNONYMS),
            )
            sound = False
            continue
        if option.kind == "module":
            value = _net(argument.value, typer)
        else:
            value = _value(option, argument.value, typer.model.constants)
        given[option.name] = argument.span
        if value is None:
            _refuse(word, option, argument.value, sink)
            sound = False
        values[option.name] = value
    net = next((o.name for o in word.options if o.kind == "module" and o.name in given), None)
    for name in ("hidden", "act"):
        if net is not None and name in given:
            sink.add(
                "PGC310",
                given[name],
                f"`{name}` is of the perceptron that {word.name} makes, and `{net}` stands in its place",
                help=f"remove `{name}`",
            )
            sound = False
    return values if sound else None


def _net(expr: tree.Expr, typer: TypingContext) -> Value:
    """The name of a net of the program; None for anything else."""
    return expr.id if isinstance(expr, tree.Name) and expr.id in typer.model.nets else None


def _refuse(word: Word, option: Option, expr: tree.Expr, sink: Sink) -> None:
    """Report a value that an option may not have."""
    text = " ".join(sink.source.snippet(expr.span).split())
    name = expr.id if isinstance(expr, tree.Name) else ""
    sink.add(
        "PGC310",
        expr.span,
        f"`{text}` is not {option.wanted}, which `{option.name}` of {word.name} is",
        **suggest(name, expr.span, option.words, f"write {option.wanted}" if option.kind != "module" else _NET_HELP),
    )


def _value(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    """An option as a Python value; None if it may not have that one."""
    read = _READERS.get(option.kind)
    if read is not None:
        return read(option, expr, constants)
    name = expr.id if isinstance(expr, tree.Name) else ""
    if name in option.words:
        return name
    return _places(expr, constants) if option.kind in ("mask", "order") else None


def _integer(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    return _whole(option, evaluate(expr, constants))


def _flag(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    name = expr.id.lower() if isinstance(expr, tree.Name) else ""
    return name == "true" if name in ("true", "false") else None


def _activation(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    name = expr.id if isinstance(expr, tree.Name) else ""
    return name if name in (option.words or ACTIVATIONS) else None


def _sizes(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    items = expr.items if isinstance(expr, tree.ListLiteral | tree.TupleLiteral) else (expr,)
    sizes = [_whole(option, evaluate(item, constants)) for item in items]
    whole = tuple(size for size in sizes if size)
    return whole if len(whole) == len(items) >= option.entries else None


def _adjacency(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    """Rows of zeros and ones."""
    table = evaluate(expr, constants)
    rows = table if isinstance(table, tuple) else ()
    if not rows or not all(isinstance(row, tuple) and set(row) <= {0, 1} for row in rows):
        return None
    return tuple(tuple(int(n) for n in row) for row in rows)  # type: ignore[union-attr, arg-type]


def _places(expr: tree.Expr, constants: Constants) -> Value:
    """A list of whole numbers: a mask, or an order of features."""
    numbers = evaluate(expr, constants)
    if not isinstance(expr, tree.ListLiteral) or not isinstance(numbers, tuple):
        return None
    places = tuple(int(v) for v in numbers if isinstance(v, Fraction) and v.denominator == 1)
    return places if len(places) == len(numbers) else None


def _whole(option: Option, number: Constant | None) -> int | None:
    """A whole number in the range of an option of integers or of sizes."""
    if not isinstance(number, Fraction) or number.denominator != 1 or not 0 <= number < LARGEST:
        return None
    return int(number) if option.holds(int(number)) and (number > 0 or option.kind == "integer") else None


def _real(option: Option, expr: tree.Expr, constants: Constants) -> Value:
    """A number in the range of an option, after it is rounded to a float."""
    number = evaluate(expr, constants)
    if not isinstance(number, Fraction):
        return None
    try:
        rounded = float(number)
    except OverflowError:
        return None
    return rounded if option.holds(rounded) else None


_READERS: dict[str, Callable[[Option, tree.Expr, Constants], Value]] = {
    "integer": _integer,
    "real": _real,
    "flag": _flag,
    "activation": _activation,
    "sizes": _sizes,
    "adjacency": _adjacency,
}
"""An expression as the value of an option, by the kind of option; other kinds are words, or lists of places."""


def fits_features(word: Word, options: dict[str, Value], features: int, context: int) -> tuple[str, str] | None:
    """Why a list of an option does not have an entry for each feature, as the constructor wants it; None if it does.

    Args:
        word: the transform.
        options: their values.
        features: number of features.
        context: number of context features.

    Returns:
        The fault, and what to write instead.
    """
    for option in word.options:
        value = options[option.name]
        if not isinstance(value, tuple):
            continue
        if option.kind == "order" and sorted(value) != list(range(features)):
            suggestion = "write order=random" if "random" in option.words else f"name each in `{option.name}`"
            return f"an order of {features} features names each from 0 to {features - 1} once", suggestion
        if option.kind == "mask" and (len(value) != features or set(value) != {0, 1}):
            return f"a mask of {features} features keeps some and moves some", "write a 0 or 1 for each feature"
        if option.kind == "adjacency" and (why := _unsound_graph(value, features, context)) is not None:
            return why
    return None


def _unsound_graph(adjacency: tuple[Any, ...], features: int, context: int) -> tuple[str, str] | None:
    """Why an adjacency is no graph of the features, and what would be."""
    if len(adjacency) != features or {len(row) for row in adjacency} - {features, features + context}:
        return f"an adjacency of {features} features has {features} rows of as many numbers", "write one row a feature"
    edges = [(j, i) for i, row in enumerate(adjacency) for j in range(features) if row[j] and i != j]
    if not nx.is_directed_acyclic_graph(nx.DiGraph(edges)):
        return "the features of this adjacency depend on each other in a circle", "row i says what feature i depends on"
    return None
