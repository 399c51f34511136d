"""The row of a layer: its arguments, and the sizes that follow from its input.

A layer's rule takes the event shape of its input and its arguments, and gives the event shape of its output and the
arguments of the `torch.nn` constructor.
"""

from collections.abc import Callable
from dataclasses import dataclass

Shape = tuple[int, ...]
Value = int | float | bool | str | tuple[int, ...] | None
Arguments = dict[str, Value]
Rule = Callable[[Shape, Arguments], tuple[Shape, list[tuple[str | None, Value]]]]


class LayerError(Exception):
    """A layer cannot take its input; `help` says what would do."""

    def __init__(self, message: str, help: str | None = None) -> None:
        self.message = message
        self.help = help
        super().__init__(message)


@dataclass(frozen=True)
class LayerParameter:
    """An argument of a layer: its kind is `size`, `pair`, `number`, `flag`, `shape`, or `word`, one of `words`."""

    name: str
    kind: str
    default: Value = None
    required: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer.

    Args:
        name: class of `torch.nn`.
        parameters: arguments that programs may give, in order.
        rule: shapes and constructor arguments.
        codomain: kind of space its outputs lie in; None keeps the input's.
        batch_rank: None where any number of batch dimensions will do, else how many it takes.
        cell_states: for recurrent cells, how many states follow the input.
        stochastic: whether it draws noise in training.
        takes_index: whether it takes an index of a category.
        runtime: class of `pgcompile.runtime.layers`, where that of `torch.nn` takes or gives something else.
    """

    name: str
    parameters: tuple[LayerParameter, ...]
    rule: Rule
    codomain: str | None = "real"
    batch_rank: int | None = None
    cell_states: int = 0
    stochastic: bool = False
    takes_index: bool = False
    runtime: str | None = None


def given(parameters: tuple[LayerParameter, ...], args: Arguments) -> list[tuple[str | None, Value]]:
    """Constructor arguments that differ from torch's own defaults."""
    return [(p.name, args[p.name]) for p in parameters if p.name in args and args[p.name] != p.default]


def size_of(args: Arguments, name: str) -> int:
    """An argument that is a size.

    Raises:
        LayerError: it is none.
    """
    value = args[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise LayerError(f"`{name}` is a positive whole number", f"write `{name} = 64`, say")
    return value


def need_rank(shape: Shape, rank: int, name: str, example: str) -> None:
    """Demand an input of so many dimensions, which the example names.

    Raises:
        LayerError: it has others.
    """
    if len(shape) != rank:
        raise LayerError(
            f"`{name}` takes an input of {rank} dimensions ({example}), here the input is {show(shape)}",
            "put `Unflatten(...)` or `Flatten` before it, or change the space",
        )


def show(shape: Shape) -> str:
    """A shape for messages: `[3, 28]`, or `a scalar`."""
    return f"[{', '.join(map(str, shape))}]" if shape else "a scalar"


def need_vector(shape: Shape, name: str) -> None:
    """Demand an input of one dimension or more.

    Raises:
        LayerError: it is a scalar.
    """
    if not shape:
        raise LayerError(f"`{name}` takes a vector, here the input is a scalar", "declare the input as `real[1]`")


def need_share(args: Arguments, parameter: str, name: str) -> None:
    """Demand that an argument is a share of what a layer drops: from 0, and below 1.

    Raises:
        LayerError: it is none.
    """
    rate = args.get(parameter)
    if isinstance(rate, int | float) and not 0 <= rate < 1:
        raise LayerError(f"`{name}` drops a share of its input, and {rate:g} is none", "write a number from 0 to 1")
