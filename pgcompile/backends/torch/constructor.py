"""The constructor of the emitted class: modules, parameters, buffers and tables."""

from collections.abc import Callable
from math import expm1, log, prod

from pgcompile.diagnostics import InternalError
from pgcompile.backends.torch.statements import WIDTH, split_call
from pgcompile.backends.torch.printer import number_text
from pgcompile.model.values import LayerUse, ModuleSegment, TensorValue
from pgcompile.plan.tensors import Tensors, attribute_name, initial_numbers, initialiser, is_mapped
from pgcompile.vocabulary.initialisers import INITIALISERS
from pgcompile.vocabulary.layers import Value
from pgcompile.vocabulary.spaces import Space


def module_lines(tensors: Tensors, rename: Callable[[str], str]) -> list[str]:
    """`self.decoder = nn.Sequential(...)` for every net in use."""
    lines: list[str] = []
    for name, segment in tensors.modules.items():
        lines += _assign(f"self.{rename(name)} = {_module(segment)}")
    return lines


def _module(segment: ModuleSegment) -> str:
    layers = [_layer(use) for use in segment.layers]
    return layers[0] if len(layers) == 1 else f"nn.Sequential({', '.join(layers)})"


def _layer(use: LayerUse) -> str:
    given = [(name, value) for name, value in use.arguments if name != "spectral_norm"]
    arguments = [f"{name}={_value(value)}" if name else _value(value) for name, value in given]
    made = f"nn.{use.layer.name}({', '.join(arguments)})"
    return f"nn.utils.parametrizations.spectral_norm({made})" if len(given) < len(use.arguments) else made


def _value(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def initial_lines(tensors: Tensors, rename: Callable[[str], str]) -> list[str]:
    """Parameters with their initial values, buffers, and the tables of literal lists."""
    lines: list[str] = []
    for tensor in tensors.parameters.values():
        name = rename(attribute_name(tensor))
        value = _initial(tensor, tensors)
        if tensor.kind == "param":
            lines += _assign(f"self.{name} = nn.Parameter({value})")
        else:
            lines += _assign(f'self.register_buffer("{name}", {value})')
    for name, table in tensors.constants.items():
        lines += _assign(f'self.register_buffer("{rename(name)}", {_tensor(table.numbers, table.shape)})')
    return lines


def _assign(text: str) -> list[str]:
    return [f"        {part}" for part in split_call(text, WIDTH - 8)]


def _initial(tensor: TensorValue, tensors: Tensors) -> str:
    shape = tensor.space.shape
    found = initial_numbers(tensor, tensors.model)
    if found is not None:
        numbers, own = found
        if own and tensor.space.kind == "lower_cholesky" and tensor.kind == "param":
            free = _free_triangle(numbers, own[-1])
        else:
            free = tuple(_unconstrained(tensor, x) for x in numbers)
        if len(set(free)) == 1:
            return f"torch.full({shape}, {number_text(free[0])})"
        return _tensor(free, own)
    named = initialiser(tensor, tensors.model)
    if named is None:
        named = _default(tensor)
    name, arguments = named
    if is_mapped(tensor) and name in ("ones", "eye"):
        # The value that is meant is the mapped one: softplus of this number is 1.
        return f"torch.{_ONE[name].format(shape=shape, size=shape[-1] if shape else 1)}"
    if name == "zeros" or name == "ones":
        return f"torch.{name}({shape})"
    extra = "".join(f", {number_text(a)}" for a in (_centred(name, arguments)))
    return f"{INITIALISERS[name]}(torch.empty({shape}){extra})"


_ONE = {"ones": "full({shape}, 0.5413248546129181)", "eye": "eye({size}).mul(0.5413248546129181)"}


def _default(tensor: TensorValue) -> tuple[str, tuple[float, ...]]:
    """Where a parameter starts when the program does not say."""
    if is_mapped(tensor) and tensor.space.kind in ("lower_cholesky", "positive_definite"):
        return "eye", ()
    return ("xavier_uniform", ()) if len(tensor.space.shape) >= 2 and not is_mapped(tensor) else ("zeros", ())


def _centred(name: str, arguments: tuple[float, ...]) -> tuple[float, ...]:
    """`normal(0.1)` gives the standard deviation alone; torch wants the mean first."""
    return (0.0, *arguments) if name == "normal" and len(arguments) == 1 else arguments


def _unconstrained(tensor: TensorValue, number: float) -> float:
    """The free number that maps to an initial value."""
    if not is_mapped(tensor):
        return number
    match tensor.space.kind:
        case "positive" | "nonnegative":
            # The inverse of softplus; far out it is the identity.
            return log(expm1(number)) if number < 30 else number
        case "unit_interval":
            return log(number / (1 - number))
        case "simplex":
            return log(number)
        case _:
            raise InternalError(f"no inverse map for {tensor.space.kind}")


def _free_triangle(numbers: tuple[float, ...], size: int) -> tuple[float, ...]:
    """Free numbers of a triangular matrix: its diagonal is stored before softplus."""
    diagonal = {i * (size + 1) for i in range(size)}
    return tuple(
        (log(expm1(x)) if x < 30 else x) if i % (size * size) in diagonal else x for i, x in enumerate(numbers)
    )


def _tensor(numbers: tuple[float, ...], shape: tuple[int, ...]) -> str:
    own = next(i for i in range(len(shape), -1, -1) if _repeats(numbers, prod(shape[i:])) or i == 0)
    if 0 < own < len(shape):
        # Every element of the variable has the same table.
        sizes = ", ".join(map(str, (*shape[:own], *(1 for _ in shape[own:]))))
        return f"torch.tensor({_nested(numbers[: prod(shape[own:])], shape[own:])}).repeat({sizes})"
    return f"torch.tensor({_nested(numbers, shape)})"


def _repeats(numbers: tuple[float, ...], step: int) -> bool:
    """Whether numbers are the first `step` of them again and again."""
    return step > 1 and numbers == numbers[:step] * (len(numbers) // step)


def _nested(numbers: tuple[float, ...], shape: tuple[int, ...]) -> str:
    if not shape:
        return number_text(numbers[0])
    step = prod(shape[1:])
    rows = [_nested(numbers[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
    return f"[{', '.join(rows)}]"


def space_text(space: Space) -> str:
    """A space in a comment."""
    return str(space)
