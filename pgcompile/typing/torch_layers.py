"""Layers of torch by their own names and arguments: `nn.CELU(alpha = 2)`. Their shapes are asked on the meta device."""

import inspect
from fractions import Fraction
from importlib import import_module
from typing import Any

from pgcompile.diagnostics import Span
from pgcompile.model.literals import evaluate, flatten
from pgcompile.model.nets import LayerUse
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing.context import TypingContext
from pgcompile.vocabulary.layers import LAYERS, Layer, Value, show
from pgcompile.vocabulary.spaces import Space

TORCH = "nn."

_REFUSALS = (
    TypeError,
    ValueError,
    RuntimeError,
    AssertionError,
    NotImplementedError,
    AttributeError,
    IndexError,
    KeyError,
    ZeroDivisionError,
)
"""The exceptions of torch's layers for arguments and inputs that do not fit."""

_WORDS: dict[str, Value] = {"true": True, "false": False, "True": True, "False": False, "none": None, "None": None}
_LARGEST = 100_000_000
"""The largest number that such a layer may be given: its constructor is run."""


def torch_layer(
    stage: tree.Expr, name: str, value: Typed, net: str, call: Span, typer: TypingContext
) -> tuple[LayerUse, Typed] | None:
    """A layer of torch with its arguments, and the type of its output; None after a report.

    Args:
        stage: the layer as it is written.
        name: its name, with `nn.` before it.
        value: type of its input.
        net: the net that it is in.
        call: where that net is called.
        typer: of the model.
    """
    made = _class_of(stage, name, typer)
    arguments = None if made is None else _arguments(stage, name, typer)
    if made is None or arguments is None:
        return None
    # The front end runs without torch; only a program with such a layer asks it.
    torch = import_module("torch")
    word = name.removeprefix(TORCH)
    try:
        with torch.device("meta"):
            layer = made(*[v for n, v in arguments if n is None], **{n: v for n, v in arguments if n is not None})
            index = value.space.kind == "category"
            given = torch.empty((2, *value.shape), dtype=torch.long if index else None)
            result = layer.eval()(given)
    except _REFUSALS as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        typer.sink.add(
            "PGC303",
            stage.span,
            f"`{typer.text(stage)}` does not take an input of {show(value.shape)}",
            related=[(call, f"{net} is called here")],
            reasons=[f"torch says: {said}"],
            help=f"write `{typer.text(stage).removeprefix(TORCH)}`, whose input is found here"
            if word in LAYERS
            else f"its arguments are torch's own: {word}{_signature(made)}",
        )
        return None
    if not isinstance(result, torch.Tensor) or result.shape[:1] != (2,):
        what = "several results" if isinstance(result, tuple) else "no value for each data point"
        typer.sink.add(
            "PGC303",
            stage.span,
            f"`{typer.text(stage)}` gives {what}",
            help=f"write `{word}(...)`, which gives one"
            if word in LAYERS
            else "declare `extern net f(x) -> real[64]` and supply it from Python",
        )
        return None
    shape = tuple(int(size) for size in result.shape[1:])
    row = Layer(word, (), lambda shape, arguments: (shape, []), batch_rank=1, stochastic=word.endswith("Dropout"))
    return LayerUse(row, tuple(arguments)), Typed(Space("real", shape))


def _class_of(stage: tree.Expr, name: str, typer: TypingContext) -> Any:
    """The class of torch.nn of that name, None after a report."""
    module = import_module("torch.nn")
    word = name.removeprefix(TORCH)
    found = getattr(module, word, None)
    layer = inspect.isclass(found) and issubclass(found, module.Module)
    if (
        layer
        and found.__module__.startswith("torch.nn.modules")
        and not found.__module__.endswith((".container", ".loss"))
    ):
        return found
    typer.sink.add(
        "PGC105",
        stage.span,
        f"torch.nn has no layer called {word}",
        help="layers of torch are written with their own names, as in `nn.CELU`",
    )
    return None


def _arguments(stage: tree.Expr, name: str, typer: TypingContext) -> list[tuple[str | None, Value]] | None:
    """The arguments of a layer as Python has them; None after a report."""
    found: list[tuple[str | None, Value]] = []
    for argument in stage.args if isinstance(stage, tree.Call) else ():
        known, value = _value(argument.value, typer)
        if not known:
            typer.sink.add(
                "PGC311",
                argument.span,
                f"`{typer.text(argument.value)}` is no argument of {name}",
                help="arguments are numbers, lists of whole numbers, true, false and words",
            )
            return None
        found.append((argument.name, value))
    return found


def _value(expr: tree.Expr, typer: TypingContext) -> tuple[bool, Value]:
    """True and the value of an expression that is known at compile time; False and None of any other."""
    number = evaluate(expr, typer.model.constants)
    if isinstance(number, Fraction):
        size = int(number) if number.denominator == 1 else float(number)
        return abs(size) <= _LARGEST, size
    if number is not None:
        entries = flatten(number)
        return all(n.denominator == 1 and abs(n) <= _LARGEST for n in entries), tuple(int(n) for n in entries)
    if isinstance(expr, tree.Name):
        return True, _WORDS.get(expr.id, expr.id)
    return False, None


def _signature(made: Any) -> str:
    """The arguments of a constructor, without those that say where it is made."""
    names = [n for n in inspect.signature(made).parameters if n not in ("device", "dtype")]
    return f"({', '.join(names)})"
