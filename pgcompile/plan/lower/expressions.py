"""Lowers parameter expressions (the tree the user wrote) to plan values in an environment of variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from pgcompile.diagnostics import InternalError
from pgcompile.model.calls import parts_of_call
from pgcompile.model.literals import evaluate, flatten, shape_of
from pgcompile.model.model import Model
from pgcompile.model.nets import ExprSegment, ExternNetwork, FunctionSegment, ModuleSegment, Net, NetSegment
from pgcompile.model.typed import Constant
from pgcompile.plan.builder import Builder, merge_axes
from pgcompile.plan.expansion import as_vector, expand_full, joined, spread_lead
from pgcompile.plan.lower.function_calls import function_value, matrix_product
from pgcompile.plan.lower.indices import entries
from pgcompile.plan.lower.sequence_nets import sequence_value
from pgcompile.plan.module_attributes import ModuleAttributes
from pgcompile.plan.passes.heads import HEADS
from pgcompile.plan.region import derivative
from pgcompile.plan.values import Value
from pgcompile.syntax import tree
from pgcompile.typing.nets import linear_layer
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.spaces import Space

Lookup = Callable[[str], Value]
Results = Value | tuple[Value, ...]


@dataclass(frozen=True)
class Around:
    """The method around a formula, as far as derivatives need it.

    Args:
        at: the lowering of the same formulas with another value in the place of a variable.
        log_density: the logarithm of a density that stands in a derivative; None for any other expression.
        quantile: the value of a call of `quantile`, given its share.
    """

    at: "Callable[[str, Value], ExpressionLowering]"
    log_density: Callable[[tree.Expr], Value | None]
    quantile: Callable[[tree.Call, Value], Value]


LONG_CHAIN = 40
"""As many clauses of `where`, and those that exact inference makes, may need each other in turn."""


class ExpressionLowering:
    """Expressions of one formula.

    Args:
        builder: where values are made.
        model: nets and tensors.
        tensors: attributes of the emitted class.
        variable: value of a variable by name.
        bindings: the formula's `where` clauses.
        spaces: spaces of the variables, where they are not the model's: the inputs of a net.
        around: what derivatives need of the method around the formula.
        observed: whether each entry of a variable is in the data.
        is_first: whether a place of an index is the first.
        over: the sum or the mean of a value over the places of an index.
    """

    def __init__(
        self,
        builder: Builder,
        model: Model,
        tensors: ModuleAttributes,
        variable: Lookup,
        bindings: tuple[tree.Binding, ...] = (),
        spaces: Mapping[str, Space] | None = None,
        around: "Around | None" = None,
        observed: Callable[[str], Value] | None = None,
        is_first: Callable[[str], Value | bool] | None = None,
        over: Callable[[str, str, Value], Value] | None = None,
    ) -> None:
        self.builder = builder
        self.model = model
        self.tensors = tensors
        self.variable = variable
        self.spaces = model.spaces if spaces is None else spaces
        self.around = around
        self.observed = observed or variable
        self.is_first = is_first
        self.over = over
        self.bindings = {name.id: (binding, i) for binding in bindings for i, name in enumerate(binding.names)}
        self._known: dict[str, Results] = {}
        self._in_order = len(self.bindings) <= LONG_CHAIN

    def lower(self, expr: tree.Expr) -> Value:
        """The value of an expression."""
        found = self.results(expr)
        if isinstance(found, tuple):
            raise InternalError("an expression with several results was used as one")
        return found

    def results(self, expr: tree.Expr) -> Results:
        """The value of an expression, or the values of a net with several results."""
        literal = evaluate(expr, self.model.constants)
        if literal is not None:
            return self._literal(literal)
        build = self.builder
        match expr:
            case tree.Name(id):
                return self._name(id)
            case tree.Where(tree.Name(id), (binding,)):
                return self._part(binding, [name.id for name in binding.names].index(id))
            case tree.Negative(operand):
                return build.unary("neg", self.number(operand))
            case tree.Sum(terms):
                return self._sum(terms)
            case tree.Product(factors):
                result = self.number(factors[0])
                for factor in factors[1:]:
                    result = build.binary("mul", result, self.number(factor))
                return result
            case tree.Quotient(numerator, denominator):
                return build.binary("div", self.number(numerator), self.number(denominator))
            case tree.Power(base, exponent):
                return build.binary("pow", self.number(base), self.number(exponent))
            case tree.MatMul(left, right):
                return matrix_product(build, self.lower(left), self.lower(right))
            case tree.Log(operand):
                density = None if self.around is None else self.around.log_density(operand)
                return build.unary("log", self.number(operand)) if density is None else density
            case tree.Index(base, indices):
                return entries(self.builder, self.lower(base), [self.lower(index) for index in indices])
            case tree.Call():
                return self._call(expr)
            case tree.Along():
                return self._along(expr)
            case tree.AtFirst(first, rest, index):
                return self._at_first(first, rest, index)
            case tree.OverIndex(kind, index, body) if self.over is not None:
                return self.over(kind, index.id, self.number(body))
            case _:
                raise InternalError(f"no tensor code for {type(expr).__name__}")

    def _at_first(self, start: tree.Expr, others: tree.Expr, index: str) -> Value:
        """One value at the first place of an index, another at the rest."""
        build = self.builder
        here = self.is_first(index) if self.is_first is not None else False
        if isinstance(here, bool):
            return self.number(start if here else others)
        first, rest = build.tensor(self.number(start)), build.tensor(self.number(others))
        here, first, rest = build.align_all([here, first, rest])
        return build.make("where", (here, first, rest))

    def _along(self, expr: tree.Along) -> Value:
        """One place of the result of a net of sequences, or all places at once."""
        net = self.model.nets[expr.call.name]
        assert isinstance(net, Net)
        values = [self.lower(argument.value) for argument in expr.call.args]
        spaces = [self.model.spaces[a.value.id] for a in expr.call.args if isinstance(a.value, tree.Name)]
        return sequence_value(self, net, values, tuple(space.shape for space in spaces), expr)

    def _literal(self, value: Constant) -> Value:
        if isinstance(value, Fraction):
            return self.builder.constant(float(value))
        shape = shape_of(value)
        assert shape is not None
        name = self.tensors.constant(tuple(float(x) for x in flatten(value)), shape)
        return self.builder.attribute(name, shape)

    def _name(self, name: str) -> Results:
        if name in self.bindings:
            if not self._in_order:
                self._in_order = True
                for earlier in self.bindings:  # a long chain is not gone through from its end
                    self._name(earlier)
            if name not in self._known:
                self._known[name] = self._binding(name)
            return self._known[name]
        if name in self.model.tensors:
            return self.tensors.value(self.builder, name)
        if name == "pi" and name not in self.model.variables:
            return self.builder.constant(3.141592653589793)
        return self.variable(name)

    def _binding(self, name: str) -> Results:
        return self._part(*self.bindings[name])

    def _part(self, binding: tree.Binding, position: int) -> Results:
        """One of the values that a clause binds."""
        value = self.results(binding.value)
        wanted, name = len(binding.names), binding.names[position].id
        if isinstance(value, tuple):
            return value if wanted == 1 else self.builder.name(value[position], name)
        if wanted == 1:
            return self.builder.name(value, name)
        size = value.shape[-1] // wanted
        whole = self.builder.make("chunk", (value,), (wanted,), shape=(*value.shape[:-1], size))
        part = self.builder.make("item", (whole,), (position,), shape=whole.shape)
        return self.builder.name(part, name, materialize=True)

    def _sum(self, terms: tuple[tuple[int, tree.Expr], ...]) -> Value:
        sign, first = terms[0]
        result = self.number(first) if sign > 0 else self.builder.unary("neg", self.number(first))
        for sign, term in terms[1:]:
            result = self.builder.binary("add" if sign > 0 else "sub", result, self.number(term))
        return result

    def number(self, expr: tree.Expr) -> Value:
        """The value of an expression to calculate with; torch would take an index for single precision."""
        value = self.lower(expr)
        return self.builder.make("as_float", (value,), shape=value.shape) if self._is_index(value) else value

    # --- calls ---

    def _call(self, expr: tree.Call) -> Results:
        if expr.name in self.model.nets:
            return self.net(expr.name, [self.lower(a.value) for a in expr.args])
        if expr.name == "one_hot":
            return self._one_hot(expr.args[0].value)
        if FUNCTIONS[expr.name].shape in ("gradient", "jacobian"):
            return self._derivative(expr)
        if FUNCTIONS[expr.name].shape == "quantile":
            if self.around is None:
                raise InternalError("a quantile stands outside an objective")
            return self.around.quantile(expr, self.number(expr.args[1].value))
        if FUNCTIONS[expr.name].shape == "observed":
            name = expr.args[0].value
            assert isinstance(name, tree.Name)
            return self.observed(name.id)
        if FUNCTIONS[expr.name].shape in ("weight", "bias"):
            return self._layer_tensor(expr)
        tensors, literals = parts_of_call(expr, self.model.constants)
        args = [self.number(a.value) for a in tensors if a.name is None]
        named = {a.name: self.number(a.value) for a in tensors if a.name is not None}
        return function_value(self.builder, expr.name, args, named, literals)

    def _derivative(self, expr: tree.Call) -> Value:
        """`grad(f, x)` or `jacobian(f, x)`, with a copy of x for every value that the function takes at once."""
        formula, at = (argument.value for argument in expr.args)
        assert isinstance(at, tree.Name)
        around = self.around
        if around is None:
            raise InternalError("a derivative stands where no variable can take another value")
        build = self.builder
        value, x = build.tensor(self.lower(formula)), self.variable(at.id)
        axes = merge_axes((value, x))
        if (x.axes, x.batched) != (axes, x.batched or value.batched):
            x = expand_full(build, x, x.shape, axes, None)
        return derivative(build, FUNCTIONS[expr.name].op, x, lambda v: build.tensor(around.at(at.id, v).lower(formula)))

    def _layer_tensor(self, expr: tree.Call) -> Value:
        """The weight or the bias of a net that is one Linear layer."""
        name = expr.args[0].value
        segment = linear_layer(self.model.nets[name.id]) if isinstance(name, tree.Name) else None
        assert segment is not None
        out, into = segment.output.shape[-1], segment.input_shape[-1]
        shape = (out, into) if expr.name == "weight" else (out,)
        return self.builder.attribute(f"{self.tensors.module(segment)}.{expr.name}", shape)

    def _one_hot(self, index: tree.Expr) -> Value:
        value = self.lower(index)
        space = self.spaces.get(index.id) if isinstance(index, tree.Name) else None
        if space is None or space.categories is None:
            raise InternalError("one_hot of something that is no category variable")
        shape = (*value.shape, space.categories)
        return self.builder.make("one_hot", (value,), (space.categories,), shape=shape)

    def net(self, name: str, args: list[Value]) -> Results:
        """A net applied to values."""
        net = self.model.nets[name]
        build = self.builder
        if isinstance(net, ExternNetwork):
            return self._extern(net, args)
        assert isinstance(net, Net)
        segments = net.segments_for(tuple(value.shape for value in args))
        assert segments is not None
        inputs = dict(zip(net.inputs or (), args, strict=False))
        value: Value | None = None
        for segment in segments:
            match segment:
                case ExprSegment(expr):
                    spaces = dict(zip(net.inputs or (), net.input_spaces or (), strict=False))
                    inner = ExpressionLowering(build, self.model, self.tensors, inputs.__getitem__, spaces=spaces)
                    value = inner.lower(expr)
                case ModuleSegment() if segment.cell_states:
                    return self._cell(segment, args)
                case ModuleSegment():
                    value = joined(self.builder, args) if value is None else value
                    value = as_vector(build, value) if len(segment.input_shape) == 1 else value
                    value = self._module(segment, value)
                case FunctionSegment(function):
                    value = function_value(build, function, [joined(build, args) if value is None else value], {})
                case NetSegment(other):
                    found = self.net(other, [joined(self.builder, args) if value is None else value])
                    assert isinstance(found, Value)
                    value = found
        return value if value is not None else joined(self.builder, args)

    def _module(self, segment: ModuleSegment, x: Value) -> Value:
        build = self.builder
        module = self.tensors.module(segment)
        # What comes before the last layer is a value of its own, for those who take the logarithm of the layer.
        last = segment.layers[-1]
        head = HEADS.get(last.layer.name) if len(segment.layers) > 1 else None
        op, attributes = ("module", (module,)) if head is None else ("body", (module, len(segment.layers) - 1))
        if segment.batch_rank is not None:
            x_flat = build.make("flatten_batch", (x,), (x.rank,), shape=x.shape)
            out = build.make(op, (x_flat,), attributes, shape=segment.output.shape, fresh=("flat", x.number))
            whole = build.make("unflatten_batch", (out, x), (x.rank,), shape=segment.output.shape)
        else:
            whole = build.make(op, (x,), attributes, shape=segment.output.shape)
        return whole if head is None else function_value(build, head, [whole], {})

    def _cell(self, segment: ModuleSegment, args: list[Value]) -> Results:
        build = self.builder
        module = self.tensors.module(segment)
        states = segment.cell_states
        spread = spread_lead(build, [as_vector(build, joined(build, args[:-states])), *args[-states:]])
        full = spread[0]
        flat = [
            build.make("flatten_batch", (value,), (1,), shape=value.shape) if full.batched else value
            for value in spread
        ]
        shape = segment.output.shape
        out = build.make("cell", tuple(flat), (module,), shape=shape)
        parts = [out] if states == 1 else [build.make("item", (out,), (i,), shape=shape) for i in range(states)]
        if full.batched:
            parts = [build.make("unflatten_batch", (part, full), (1,), shape=shape) for part in parts]
        return parts[0] if states == 1 else tuple(parts)

    def _is_index(self, value: Value) -> bool:
        space = self.model.spaces.get(str(value.attributes[0])) if value.op == "argument" else None
        if value.op == "other_rows":
            return self._is_index(value.args[0])
        if value.op == "states":
            return value.attributes[0] == "category"
        return value.op in ("category", "argmax") or (space is not None and space.kind == "category")

    def _extern(self, net: ExternNetwork, args: list[Value]) -> Results:
        build = self.builder
        self.tensors.extern(net.name, tuple((a.shape, self._is_index(a)) for a in args))
        if len({a.axes for a in args if a.axes}) > 1:
            args = spread_lead(build, args)  # it may join them, as nets do
        batched = any(a.batched for a in args)
        if len(net.outputs) == 1:
            return build.make("module", tuple(args), (net.name,), shape=net.outputs[0][1].shape, batched=batched)
        whole = build.make("module", tuple(args), (net.name, len(net.outputs)), shape=(), batched=batched)
        parts = []
        for position, (name, space) in enumerate(net.outputs):
            part = build.make("item", (whole,), (position,), shape=space.shape, batched=batched)
            parts.append(build.name(part, name or f"part_{position}", materialize=True))
        return tuple(parts)
