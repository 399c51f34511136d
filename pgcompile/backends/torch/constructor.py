"""The constructor of the emitted class: modules, parameters, buffers and tables."""

from collections.abc import Callable
from math import expm1, log, prod

from pgcompile.backends.torch.layout import Line, safe_comment, stamped, statement
from pgcompile.backends.torch.printer import number_text
from pgcompile.diagnostics import InternalError
from pgcompile.model.names import attribute_name, is_mapped
from pgcompile.model.nets import ExternNetwork, LayerUse, ModuleSegment, Net
from pgcompile.model.tensors import TensorValue
from pgcompile.plan.methods.description import ModulePlan
from pgcompile.plan.module_attributes import (
    ModuleAttributes,
    initial_numbers,
    initialiser,
    is_triangular,
)
from pgcompile.plan.origin import Origin
from pgcompile.vocabulary.initialisers import INITIALISERS
from pgcompile.vocabulary.layers import Value


def module_lines(tensors: ModuleAttributes, rename: Callable[[str], str], use: Callable[[str], None]) -> list[Line]:
    """`self.decoder = nn.Sequential(...)` for every net in use.

    Args:
        tensors: what the class owns.
        rename: Python name of an attribute.
        use: told of every layer of the runtime library.
    """
    lines: list[Line] = []
    for name, segment in tensors.modules.items():
        made = statement(f"self.{rename(name)} = {layers_text(segment.layers, use)}")
        lines += stamped(made, *_net_origin(tensors, name))
    return lines


def extern_lines(plan: ModulePlan, name: str, rename: Callable[[str], str], use: Callable[[str], None]) -> list[Line]:
    """The assignment of a part supplied from Python; a net is tried on the shapes that it is called with."""
    net = plan.model.nets.get(name)
    attribute = rename(name)
    argument = attribute.removeprefix("extern_")
    assigned = Line(f"        self.{attribute} = {argument}")
    if not isinstance(net, ExternNetwork):
        use("check_part")
        return [*statement(f'check_part("{argument}", {argument})'), assigned]
    results = ", ".join(f"{n}: {space}" if n else str(space) for n, space in net.outputs)
    signature = f"{name}({', '.join(net.inputs)}) -> {results}"
    use("check_net")
    inputs = [
        f'torch.empty(2{"".join(f", {n}" for n in shape)}, device="meta")' + (".long()" if index else "")
        for shape, index in plan.tensors.externs[name]
    ]
    outputs = [f'"{n or name}": {space.shape}' for n, space in net.outputs]
    check = f'check_net("{argument}", {argument}, ({", ".join(inputs)},), {{{", ".join(outputs)}}})'
    lines = [Line(f"        # {safe_comment(signature)}"), assigned, *statement(check)]
    return stamped(lines, Origin(net.span, name))


def _net_origin(tensors: ModuleAttributes, attribute: str) -> list[Origin]:
    """The declaration of the net whose layers are an attribute."""
    return [
        Origin(net.span, net.name)
        for net in tensors.model.nets.values()
        if isinstance(net, Net)
        and any(isinstance(s, ModuleSegment) and s.attribute == attribute for s in net.segments or ())
    ]


def layers_text(uses: tuple[LayerUse, ...], use: Callable[[str], None]) -> str:
    """One layer, or an `nn.Sequential` of several, as Python has it.

    Args:
        uses: the layers.
        use: told of every one of the runtime library.
    """
    texts = [_layer(each, use) for each in uses]
    return texts[0] if len(texts) == 1 else f"nn.Sequential({', '.join(texts)})"


_NORMS = ("weight_norm", "spectral_norm")
"""Options of layers that are parametrisations of their weight."""


def _layer(layer: LayerUse, use: Callable[[str], None]) -> str:
    given = [(name, value) for name, value in layer.arguments if name not in _NORMS]
    arguments = [f"{name}={_value(value)}" if name else _value(value) for name, value in given]
    arguments += [_layer(inner, use) for inner in layer.inner]
    if layer.layer.runtime is not None:
        use(layer.layer.runtime)
    made = f"{layer.layer.runtime or f'nn.{layer.layer.name}'}({', '.join(arguments)})"
    for name in _NORMS:
        if (name, True) in layer.arguments:
            made = f"nn.utils.parametrizations.{name}({made})"
    return made


def _value(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def initial_lines(tensors: ModuleAttributes, rename: Callable[[str], str]) -> list[Line]:
    """Parameters with their initial values, buffers, and the tables of literal lists."""
    lines: list[Line] = []
    for tensor in tensors.parameters.values():
        name = rename(attribute_name(tensor))
        value = _initial(tensor, tensors)
        if tensor.kind == "param":
            value += ".tril()" if is_triangular(tensor) else ""
            made = statement(f"self.{name} = nn.Parameter({value})")
        else:
            made = statement(f'self.register_buffer("{name}", {value})')
        lines += stamped(made, Origin(tensor.span, tensor.name))
    for name, table in tensors.constants.items():
        lines += statement(f'self.register_buffer("{rename(name)}", {_tensor(table.numbers, table.shape)})')
    return lines


def _initial(tensor: TensorValue, tensors: ModuleAttributes) -> str:
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
    # The value that is meant is the mapped one: softplus of this number is 1.
    one = 0.5413248546129181 if is_mapped(tensor) else 1.0
    if name == "ones" and one != 1.0:
        return f"torch.full({shape}, {one})"
    if name == "eye" and (one != 1.0 or len(shape) > 2):
        whole = f"torch.eye({shape[-1]})" + (f".mul({one})" if one != 1.0 else "")
        return whole if len(shape) == 2 else f"{whole}.repeat({', '.join(map(str, shape[:-2]))}, 1, 1)"
    if name == "zeros" or name == "ones":
        return f"torch.{name}({shape})"
    extra = "".join(f", {number_text(a)}" for a in (_centred(name, arguments)))
    return f"{INITIALISERS[name].function}(torch.empty({shape}){extra})"


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
        return f"torch.tile(torch.tensor({_nested(numbers[: prod(shape[own:])], shape[own:])}), ({sizes}))"
    return f"torch.tensor({_nested(numbers, shape)})"


def _repeats(numbers: tuple[float, ...], step: int) -> bool:
    """True if numbers are the first `step` of them again and again."""
    return step > 1 and numbers == numbers[:step] * (len(numbers) // step)


def _nested(numbers: tuple[float, ...], shape: tuple[int, ...]) -> str:
    if not shape:
        return number_text(numbers[0])
    step = prod(shape[1:])
    rows = [_nested(numbers[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
    return f"[{', '.join(rows)}]"
