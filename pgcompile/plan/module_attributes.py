"""Attributes of the emitted class: modules, parameters, buffers and constant tables, in the order they are needed."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count

from pgcompile.diagnostics import InternalError
from pgcompile.model.flows import SizedFlow, referenced_flows, supplied_nets
from pgcompile.model.literals import evaluate, flatten, shape_of
from pgcompile.model.model import Model
from pgcompile.model.names import MAPS, attribute_name, is_mapped
from pgcompile.model.nets import ModuleSegment
from pgcompile.model.tensors import TensorValue
from pgcompile.plan.builder import Builder
from pgcompile.plan.values import Value
from pgcompile.syntax import tree
from pgcompile.vocabulary.reserved import ANCHOR


@dataclass(frozen=True)
class ConstantTable:
    """A literal list of the program."""

    numbers: tuple[float, ...]
    shape: tuple[int, ...]


@dataclass
class ModuleAttributes:
    """The attributes of the class, in the order of first use; `constants` are named by the order they appear."""

    model: Model
    modules: dict[str, ModuleSegment] = field(default_factory=dict)
    externs: dict[str, tuple[tuple[tuple[int, ...], bool], ...]] = field(default_factory=dict)
    parameters: dict[str, TensorValue] = field(default_factory=dict)
    constants: dict[str, ConstantTable] = field(default_factory=dict)
    flows: dict[str, SizedFlow] = field(default_factory=dict)

    def flow(self, name: str) -> str:
        """Attribute of a flow, and of those it is made from, which stand before it."""
        if name not in self.flows:
            sized = self.model.flows[name].sized
            if sized is None:
                raise InternalError(f"the flow {name} was not sized")
            for other in referenced_flows(sized.steps):
                self.flow(other)
            for net in supplied_nets(sized.steps):
                self.extern(net.name, ((net.inputs, False),))
            self.flows[name] = sized
        return name

    def module(self, segment: ModuleSegment) -> str:
        """Attribute of a net's layers."""
        self.modules.setdefault(segment.attribute, segment)
        return segment.attribute

    def extern(self, name: str, inputs: tuple[tuple[tuple[int, ...], bool], ...] = ()) -> str:
        """Attribute of a net or factor that Python supplies, with the shapes it takes and which of them are indices."""
        self.externs.setdefault(name, inputs)
        return name

    def constant(self, numbers: tuple[float, ...], shape: tuple[int, ...]) -> str:
        """Attribute of a literal list; the same list is stored once."""
        table = ConstantTable(numbers, shape)
        for name, known in self.constants.items():
            if known == table:
                return name
        model = self.model
        owned = {*model.tensors, *model.nets, *model.flows}
        name = next(n for k in count(len(self.constants) + 1) if (n := f"table_{k}") not in {*owned, *self.constants})
        self.constants[name] = table
        return name

    def value(self, builder: Builder, name: str) -> Value:
        """A `param`, `buffer` or `input` as a value in its space."""
        tensor = self.model.tensors[name]
        shape = tensor.space.shape
        if tensor.kind == "input":
            return builder.argument(name, shape, batched=False)
        self.parameters.setdefault(name, tensor)
        raw = builder.attribute(attribute_name(tensor), shape)
        if is_triangular(tensor):
            # What stands above the diagonal starts at zero, and so gets no gradient that could move it.
            return builder.name(builder.make("tril", (raw,), shape=shape), name)
        if not is_mapped(tensor):
            return raw
        op = MAPS[tensor.space.kind]
        mapped = builder.unary(op, raw) if op in ("softplus", "sigmoid") else builder.make(op, (raw,), shape=shape)
        return builder.name(mapped, name)

    def like(self, builder: Builder) -> Value:
        """A tensor that says where and in which precision to make others."""
        return builder.attribute(ANCHOR, ())


def is_triangular(tensor: TensorValue) -> bool:
    """True if a parameter is stored as it is, with zeros above its diagonal."""
    return tensor.kind == "param" and tensor.space.kind == "lower_triangular"


def initial_numbers(tensor: TensorValue, model: Model) -> tuple[tuple[float, ...], tuple[int, ...]] | None:
    """The numbers of an initial value and their shape; None where it is an initialiser or not written."""
    if tensor.initial is None:
        return None
    value = evaluate(tensor.initial, model.constants)
    if value is None:
        return None
    shape = shape_of(value)
    if shape is None:
        raise InternalError("a ragged initial value was let through")
    return tuple(float(x) for x in flatten(value)), shape


def initialiser(tensor: TensorValue, model: Model) -> tuple[str, tuple[float, ...]] | None:
    """Name and arguments of `normal(0.1)`, `zeros`, `xavier_uniform`; None where a number is written."""
    match tensor.initial:
        case tree.Name(id):
            return id, ()
        case tree.Call(name, args):
            values = [evaluate(a.value, model.constants) for a in args]
            return name, tuple(float(v) for v in values if isinstance(v, Fraction))
        case _:
            return None
