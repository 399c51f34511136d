"""Shapes and supports of expressions, before any tensor exists."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from pgcompile.diagnostics import Edit, InternalError, Sink, Span, nearest, suggest
from pgcompile.diagnostics.spelling import Suggestion
from pgcompile.model.literals import evaluate, flatten, shape_of
from pgcompile.model.values import Constant, Model, Typed, TypedMany
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing import nets
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.functions import FUNCTIONS, result_kind
from pgcompile.vocabulary.layers import LAYERS, show
from pgcompile.vocabulary.spaces import Space, contains, join
from pgcompile.vocabulary.synonyms import FUNCTIONS as SYNONYMS

Result = Typed | TypedMany | None


@dataclass
class Scope:
    """What names mean inside one formula.

    Args:
        where: what the formula is called in messages, such as `q(z|x)`.
        variables: types of the variables it may use; None stands for one whose fault is already reported.
        bindings: `where` clauses by the names they bind.
        forbidden: variables of the model that this formula is not conditioned on, for a better message.
    """

    where: str
    variables: dict[str, Typed | None]
    bindings: dict[str, tuple[tree.Binding, int]] = field(default_factory=dict)
    forbidden: Callable[[str], str | None] = lambda name: None
    _known: dict[str, Result] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)


def bind(bindings: tuple[tree.Binding, ...], sink: Sink) -> dict[str, tuple[tree.Binding, int]]:
    """Where clauses by name; the same name twice is reported."""
    found: dict[str, tuple[tree.Binding, int]] = {}
    for binding in bindings:
        for position, name in enumerate(binding.names):
            if name.id in found:
                sink.add(
                    "PGC107",
                    name.span,
                    f"{name.id} is bound twice in this `where`",
                    help="give the second one another name",
                )
            found.setdefault(name.id, (binding, position))
    return found


class Typer:
    """Infers the type of every expression of a model and reports what cannot be."""

    def __init__(self, model: Model, sink: Sink) -> None:
        self.model = model
        self.sink = sink

    def typed(self, expr: tree.Expr, scope: Scope) -> Typed | None:
        """Type of an expression that has one value."""
        result = self.infer(expr, scope)
        if isinstance(result, TypedMany):
            names = ", ".join(name or "?" for name in result.names)
            self.sink.add(
                "PGC314",
                expr.span,
                f"`{self._text(expr)}` has {len(result.items)} results",
                help=f"name them: `where ({names}) = {self._text(expr)}`",
            )
            return None
        return result

    def infer(self, expr: tree.Expr, scope: Scope) -> Result:
        """Type of an expression; None where a fault in it has been reported."""
        literal = evaluate(expr, self.model.constants)
        if literal is not None:
            return self._literal(expr, literal)
        match expr:
            case tree.Name():
                return self._name(expr, scope)
            case tree.ListLiteral():
                return self._fail(
                    "PGC308", expr.span, "a list holds numbers only", "put expressions together with `cat(a, b)`"
                )
            case tree.Negative(operand):
                inner = self.typed(operand, scope)
                return inner and Typed(Space("real", inner.shape), differentiable=inner.differentiable)
            case tree.Sum(terms):
                return self._sum(expr, terms, scope)
            case tree.Product(factors):
                return self._elementwise(expr, list(factors), scope, _product_kind)
            case tree.Quotient(_, denominator) if evaluate(denominator, self.model.constants) == 0:
                return self._fail("PGC306", expr.span, f"`{self._text(expr)}` divides by zero", "change the divisor")
            case tree.Quotient(numerator, denominator):
                return self._elementwise(expr, [numerator, denominator], scope, _quotient_kind)
            case tree.Power(base, exponent):
                return self._power(expr, base, exponent, scope)
            case tree.MatMul(left, right):
                return self._matmul(expr, left, right, scope)
            case tree.Log(operand):
                inner = self.typed(operand, scope)
                value = evaluate(operand, self.model.constants)
                if isinstance(value, Fraction) and value <= 0:
                    return self._fail(
                        "PGC306",
                        expr.span,
                        f"`{self._text(expr)}` is not a number: the logarithm of {float(value):g}",
                        "take the logarithm of something positive",
                    )
                return inner and Typed(Space("real", inner.shape), differentiable=inner.differentiable)
            case tree.Index(base, indices):
                return self._index(expr, base, indices, scope)
            case tree.Call():
                return self._call(expr, scope)
            case tree.Expectation() | tree.Functional() | tree.Integral() | tree.Rename():
                return self._fail(
                    "PGC401",
                    expr.span,
                    f"`{self._text(expr)}` belongs in an objective, not in the parameters of {scope.where}",
                    "parameters are expressions of variables, nets and numbers",
                )
            case tree.TupleLiteral():
                return self._fail(
                    "PGC308", expr.span, "a pair of values has no meaning here", "use `cat(a, b)` to join vectors"
                )
            case tree.Pipeline() | tree.Where():
                return self._fail("PGC401", expr.span, f"`{self._text(expr)}` has no meaning here", None)
            case _:
                raise InternalError(f"no type rule for {type(expr).__name__}")

    # --- leaves ---

    def _literal(self, expr: tree.Expr, value: Constant) -> Typed | None:
        shape = shape_of(value)
        if shape is None:
            self._fail(
                "PGC308", expr.span, "the rows of this list differ in length", "make every row as long as the first"
            )
            return None
        numbers = flatten(value)
        if not numbers:
            self._fail("PGC308", expr.span, "this list is empty", "write its numbers")
            return None
        kind = _kind_of_number(numbers[0])
        for entry in numbers[1:]:
            kind = join(kind, _kind_of_number(entry))
        return Typed(Space(kind, shape), value)

    def _name(self, expr: tree.Name, scope: Scope) -> Result:
        name = expr.id
        if name in scope.bindings:
            return self._binding(expr, scope)
        if name in scope.variables:
            return scope.variables[name]
        tensor = self.model.tensors.get(name)
        if tensor is not None:
            return Typed(tensor.space)
        if name == "pi":
            return Typed(Space("positive"))
        reason = scope.forbidden(name)
        if reason is not None:
            return self._fail("PGC114", expr.span, f"{scope.where} uses {name}, but is not conditioned on it", reason)
        if name in self.model.nets:
            return self._fail(
                "PGC103",
                expr.span,
                f"{name} is a net; it needs an input here",
                f"write {name}({', '.join(scope.variables) or 'x'})",
            )
        known = {*scope.variables, *scope.bindings, *self.model.tensors, *self.model.variables, *self.model.constants}
        special = None
        if name == "I":
            special = "a scalar is expanded: write 1 for the identity"
        elif name in FUNCTIONS:
            special = f"{name} is a function: write {name}(...) with its argument in brackets"
        elif name == "E":
            special = "an expectation says over what: E_{q(z|x)}[...]"
        found = suggest(
            name,
            expr.span,
            () if special else known,
            special
            or (
                f"define it: `{name} = ...`, or declare it, as in `input {name} : real`"
                if scope.where == "the objective"
                else f"declare it, as in `{name} : real[3]` or `param {name} : real[3]`"
            ),
        )
        self.sink.add("PGC101", expr.span, f"{name} is not declared", **found)
        return None

    def _binding(self, expr: tree.Name, scope: Scope) -> Result:
        name = expr.id
        if name in scope._known:
            return scope._known[name]
        binding, position = scope.bindings[name]
        if name in scope._open:
            return self._fail("PGC209", expr.span, f"{name} is defined in terms of itself", None)
        scope._open.add(name)
        outer = scope
        if name in [n.id for n in binding.names] and self._mentions(binding.value, name):
            # `where x = f(x)` means the outer x on the right.
            bindings = {k: v for k, v in scope.bindings.items() if v[0] is not binding}
            outer = replace(scope, bindings=bindings, _known={}, _open=set())
        value = self.infer(binding.value, outer)
        scope._open.discard(name)
        result = self._part(binding, position, value)
        scope._known[name] = result
        return result

    def _part(self, binding: tree.Binding, position: int, value: Result) -> Result:
        wanted = len(binding.names)
        if value is None:
            return None
        if isinstance(value, TypedMany):
            if wanted == 1:
                return value
            if wanted != len(value.items):
                return self._fail(
                    "PGC314",
                    binding.span,
                    f"`{self._text(binding.value)}` has {len(value.items)} results, {wanted} names are bound to it",
                    "bind as many names as there are results",
                )
            return value.items[position]
        if wanted == 1:
            return value
        if not value.shape or value.shape[-1] % wanted:
            return self._fail(
                "PGC314",
                binding.span,
                f"`{self._text(binding.value)}` is {show(value.shape)} and cannot be cut into {wanted} equal parts",
                f"make its last dimension a multiple of {wanted}",
            )
        return Typed(
            Space(
                "real" if value.space.kind == "simplex" else value.space.kind,
                (*value.shape[:-1], value.shape[-1] // wanted),
            )
        )

    def _mentions(self, expr: tree.Expr, name: str) -> bool:
        return name in names_in(expr)

    # --- operators ---

    def _sum(self, expr: tree.Expr, terms: tuple[tuple[int, tree.Expr], ...], scope: Scope) -> Typed | None:
        signs = [sign for sign, _ in terms]

        def kind(kinds: list[str], values: list[Typed]) -> str:
            if all(sign > 0 for sign in signs):
                return _all_in(kinds, any_positive=True)
            complement = signs == [1, -1] and values[0].literal == 1 and contains("unit_interval", kinds[1])
            return "unit_interval" if complement else "real"

        return self._elementwise(expr, [term for _, term in terms], scope, kind)

    def _elementwise(
        self,
        expr: tree.Expr,
        operands: list[tree.Expr],
        scope: Scope,
        kind: Callable[[list[str], list[Typed]], str],
    ) -> Typed | None:
        found = [self.typed(operand, scope) for operand in operands]
        values = [value for value in found if value is not None]
        if len(values) < len(found):
            return None
        shape = self.broadcast(list(zip(operands, values, strict=True)))
        if shape is None:
            return None
        for operand, value in zip(operands, values, strict=True):
            if value.space.kind == "category":
                text = self._text(operand)
                self.sink.add(
                    "W115",
                    operand.span,
                    f"`{text}` is an index, and its number has no size",
                    help=f"write one_hot({text}), or an entry of a table: `means[{text}]`",
                )
        space = Space(kind([v.space.kind for v in values], values), shape)
        return Typed(space, differentiable=all(v.differentiable for v in values))

    def broadcast(self, operands: list[tuple[tree.Expr, Typed]]) -> tuple[int, ...] | None:
        """The common shape of elementwise operands: all alike, or scalars."""
        shape: tuple[int, ...] = ()
        first: tree.Expr | None = None
        for operand, value in operands:
            if not value.shape:
                continue
            if first is None:
                shape, first = value.shape, operand
            elif value.shape != shape:
                self.sink.add(
                    "PGC301",
                    operand.span,
                    f"`{self._text(first)}` is {show(shape)} and `{self._text(operand)}` is {show(value.shape)}",
                    related=[(first.span, f"this is {show(shape)}")],
                    reasons=["shapes combine when they are equal, or when one is a scalar"],
                    help="change the space or the net of one of them",
                )
                return None
        return shape

    def _power(self, expr: tree.Expr, base: tree.Expr, exponent: tree.Expr, scope: Scope) -> Typed | None:
        power = evaluate(exponent, self.model.constants)

        def kind(kinds: list[str], values: list[Typed]) -> str:
            if contains("positive", kinds[0]):
                return "positive"
            if isinstance(power, Fraction) and power.denominator == 1 and power % 2 == 0 and power > 0:
                return "nonnegative"
            return (
                "nonnegative"
                if contains("nonnegative", kinds[0]) and isinstance(power, Fraction) and power > 0
                else "real"
            )

        return self._elementwise(expr, [base, exponent], scope, kind)

    def _matmul(self, expr: tree.Expr, left: tree.Expr, right: tree.Expr, scope: Scope) -> Typed | None:
        a, b = self.typed(left, scope), self.typed(right, scope)
        if a is None or b is None:
            return None
        if len(a.shape) not in (1, 2) or len(b.shape) not in (1, 2) or a.shape[-1] != b.shape[0]:
            return self._fail(
                "PGC301",
                expr.span,
                f"`{self._text(left)}` of shape {show(a.shape)} cannot be "
                f"multiplied by `{self._text(right)}` of shape {show(b.shape)}",
                "the last dimension of the left side must be the first of the right side",
            )
        both = [a.space.kind, b.space.kind]
        kind = "nonnegative" if all(contains("nonnegative", k) for k in both) else "real"
        return Typed(Space(kind, (*a.shape[:-1], *b.shape[1:])), differentiable=a.differentiable and b.differentiable)

    def _index(self, expr: tree.Index, base: tree.Expr, indices: tuple[tree.Expr, ...], scope: Scope) -> Typed | None:
        value = self.typed(base, scope)
        if value is None:
            return None
        shape = value.shape
        if len(indices) > len(shape):
            return self._fail(
                "PGC309",
                expr.span,
                f"`{self._text(base)}` is {show(shape)} and takes at most {len(shape)} indices, not {len(indices)}",
                f"write `{self._text(base)}` alone" if not shape else "an index is one number; a slice is not written",
            )
        lead: tuple[int, ...] = ()
        for dimension, index in enumerate(indices):
            at = self.typed(index, scope)
            if at is None:
                return None
            if isinstance(at.literal, Fraction) and at.literal.denominator != 1:
                return self._fail(
                    "PGC309",
                    index.span,
                    f"an index is a whole number, and {self._text(index)} is none",
                    f"indices of `{self._text(base)}` go from 0 to {shape[dimension] - 1}",
                )
            if isinstance(at.literal, Fraction):
                if at.literal.denominator != 1 or not 0 <= at.literal < shape[dimension]:
                    return self._fail(
                        "PGC309",
                        index.span,
                        f"index {self._text(index)} is outside `{self._text(base)}`, "
                        f"which has {shape[dimension]} entries",
                        f"indices go from 0 to {shape[dimension] - 1}",
                    )
            elif at.space.kind == "category":
                if at.space.categories != shape[dimension]:
                    return self._fail(
                        "PGC309",
                        index.span,
                        f"{self._text(index)} takes {at.space.categories} values, "
                        f"`{self._text(base)}` has {shape[dimension]} entries",
                        "make the two sizes equal",
                    )
                if dimension:
                    return self._fail(
                        "PGC309", index.span, "a variable can index the first dimension only", "reorder the dimensions"
                    )
                lead = at.shape
            else:
                return self._fail(
                    "PGC309",
                    index.span,
                    f"`{self._text(index)}` is `{at.space}`, and an index is a number or a category variable",
                    f"declare it as `category[{shape[dimension]}]`",
                )
        kind = "unit_interval" if value.space.kind in ("simplex", "one_hot") else value.space.kind
        categories = value.space.categories if kind == "category" else None
        return Typed(Space(kind, (*lead, *shape[len(indices) :]), categories))

    # --- calls ---

    def _call(self, expr: tree.Call, scope: Scope) -> Result:
        if expr.given is not None:
            return self._fail(
                "PGC401",
                expr.span,
                f"the factor `{self._text(expr)}` belongs in an objective, not in the parameters of {scope.where}",
                "parameters are expressions of variables, nets and numbers",
            )
        if expr.name in self.model.nets:
            return self._net(expr, scope)
        function = FUNCTIONS.get(expr.name)
        if function is not None and function.shape in ("weight", "bias"):
            return self._layer_tensor(expr, function.shape)
        if function is not None:
            return self._function(expr, scope)
        found: Suggestion | None = None
        if expr.name in families():
            hint = f"a parameter is a value: name the random one, `p(m) = {self._text(expr)}`, and condition on m"
        elif expr.name in LAYERS and expr.name.lower() in FUNCTIONS:
            low = expr.name.lower()
            hint = f"{expr.name} is a layer; the function is {low}"
            found = Suggestion(help=hint, edits=(Edit(expr.name_span, low),))
        elif any(expr.name == f.name for f in self.model.factors):
            hint = f"{self._text(expr)} is a factor, and a parameter is computed from values: use the variable itself"
        elif expr.name.removesuffix(".inv") in self.model.flows:
            hint = f"{expr.name} is a flow, which stands in a factor: p(x) = Flow(Normal(0, 1), {expr.name})"
        elif expr.name in LAYERS:
            hint = f"a layer belongs in a net: `net f = {self._text(expr)}`"
        elif expr.name in self.model.tensors or expr.name in scope.variables:
            hint = f"{expr.name} is a variable; write `{expr.name} * (...)` to multiply"
        else:
            known = {*FUNCTIONS, *self.model.nets}
            otherwise = f"declare it: `net {expr.name} = Linear(64)`"
            found = suggest(expr.name, expr.name_span, known, otherwise, SYNONYMS)
            hint = found["help"]
        self.sink.add(
            "PGC103",
            expr.name_span,
            f"{expr.name} is a family, and no value"
            if expr.name in families()
            else f"there is no function or net called {expr.name}",
            help=hint,
            edits=found["edits"] if found is not None else (),
        )
        for argument in expr.args:
            self.infer(argument.value, scope)
        return None

    def _net(self, expr: tree.Call, scope: Scope) -> Result:
        values: list[Typed] = []
        for argument in expr.args:
            value = self.typed(argument.value, scope)
            if value is None:
                return None
            values.append(value)
        return nets.apply(self, expr, values)

    def _layer_tensor(self, expr: tree.Call, which: str) -> Typed | None:
        """`weight(f)` and `bias(f)` of a net that is one Linear layer."""
        name = expr.args[0].value if len(expr.args) == 1 else None
        net = self.model.nets.get(name.id) if isinstance(name, tree.Name) else None
        segment = nets.linear_layer(net)
        if segment is None:
            return self._fail(
                "PGC311",
                expr.span,
                f"{which} takes a net that is one Linear layer, and is called somewhere",
                f"declare `net f = Linear(3)` and write `{which}(f)`",
            )
        out, into = segment.output.shape[-1], segment.input_shape[-1]
        return Typed(Space("real", (out, into) if which == "weight" else (out,)))

    def _function(self, expr: tree.Call, scope: Scope) -> Typed | None:
        function = FUNCTIONS[expr.name]
        positional = [a for a in expr.args if a.name is None]
        keywords = {a.name: a for a in expr.args if a.name is not None}
        allowed = {"min", "max"} if function.shape == "clamp" else set()
        for name, argument in keywords.items():
            if name not in allowed:
                close = nearest(name, allowed)
                hint = f"did you mean {close}?" if close else f"write {function.name}(a)"
                return self._fail("PGC106", argument.span, f"{function.name} has no option {name}", hint)
        count = {"binary": 2, "outer": 2, "cat": -1}.get(function.shape, 1)
        most = 3 if function.shape == "clamp" else count
        if (count >= 0 and not count <= len(positional) <= most) or not positional:
            return self._fail(
                "PGC311",
                expr.span,
                f"{function.name} takes {_counted(count)}, not {len(positional)}",
                f"write `{function.name}({', '.join('ab'[: abs(count)]) or 'a'})`",
            )
        found = [self.typed(a.value, scope) for a in (*positional, *keywords.values())]
        values = [v for v in found if v is not None]
        if len(values) < len(found):
            return None
        operands = [(a.value, v) for a, v in zip((*positional, *keywords.values()), values, strict=True)]
        shape = self._function_shape(expr, function.shape, operands)
        if shape is None:
            return None
        kinds = [v.space.kind for v in values]
        kind = result_kind(function, kinds)
        if function.shape == "cat":
            kind = kinds[0]
            for other in kinds[1:]:
                kind = join(kind, other)
            kind = "unit_interval" if kind in ("simplex", "one_hot") and len(kinds) > 1 else kind
        differentiable = function.differentiable and all(v.differentiable for v in values)
        return Typed(Space(kind, shape), differentiable=differentiable)

    def _function_shape(
        self, expr: tree.Call, rule: str, operands: list[tuple[tree.Expr, Typed]]
    ) -> tuple[int, ...] | None:
        first_expr, first = operands[0]
        match rule:
            case "elementwise" | "binary" | "clamp":
                return self.broadcast(operands)
            case "reduce":
                return ()
            case "last" | "keep":
                if not first.shape:
                    self._fail(
                        "PGC301",
                        first_expr.span,
                        f"{expr.name} takes a vector, `{self._text(first_expr)}` is a scalar",
                        None,
                    )
                    return None
                return first.shape[:-1] if rule == "last" else first.shape
            case "one_hot":
                if first.space.categories is None:
                    self._fail(
                        "PGC309",
                        first_expr.span,
                        f"one_hot takes a category variable, `{self._text(first_expr)}` is `{first.space}`",
                        "declare it as `category[10]`",
                    )
                    return None
                return (*first.shape, first.space.categories)
            case "cat":
                return self._cat_shape(operands)
            case "square" | "transpose" | "diag" | "outer":
                return self._matrix_shape(expr, rule, [v.shape for _, v in operands])
            case _:
                raise InternalError(f"no shape rule {rule}")

    def _matrix_shape(self, expr: tree.Call, rule: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
        first = shapes[0]
        match rule:
            case "square" if len(first) == 2 and first[0] == first[1]:
                return first
            case "transpose" if len(first) == 2:
                return first[::-1]
            case "diag" if len(first) == 1:
                return (first[0], first[0])
            case "outer" if all(len(shape) == 1 for shape in shapes):
                return (shapes[0][0], shapes[1][0])
        takes = {"square": "a square matrix", "transpose": "a matrix", "diag": "a vector", "outer": "two vectors"}
        found = " and ".join(map(show, shapes))
        self._fail("PGC301", expr.span, f"{expr.name} takes {takes[rule]}, and this is {found}", None)
        return None

    def _cat_shape(self, operands: list[tuple[tree.Expr, Typed]]) -> tuple[int, ...] | None:
        first_expr, first = operands[0]
        width = 0
        for operand, value in operands:
            if not value.shape:
                self._fail(
                    "PGC301",
                    operand.span,
                    f"cat joins vectors, `{self._text(operand)}` is a scalar",
                    "declare it as `real[1]`",
                )
                return None
            if value.space.kind == "category":
                self._fail(
                    "PGC301",
                    operand.span,
                    f"`{self._text(operand)}` is an index and cannot be joined to a vector",
                    f"write one_hot({self._text(operand)})",
                )
                return None
            if value.shape[:-1] != first.shape[:-1]:
                self.sink.add(
                    "PGC301",
                    operand.span,
                    f"`{self._text(first_expr)}` is {show(first.shape)} "
                    f"and `{self._text(operand)}` is {show(value.shape)}: "
                    "joined vectors may differ in their last dimension only",
                    related=[(first_expr.span, f"this is {show(first.shape)}")],
                    help="bring them to one shape with `Flatten` or `Unflatten` in a net",
                )
                return None
            width += value.shape[-1]
        return (*first.shape[:-1], width)

    # --- reports ---

    def _text(self, expr: tree.Node) -> str:
        return " ".join(self.sink.source.snippet(expr.span).split())

    def _fail(self, code: str, span: Span, message: str, help: str | None) -> Typed | None:
        """Report, and give the type of what has no type."""
        self.sink.add(code, span, message, help=help)
        return None


def _counted(count: int) -> str:
    return "at least one argument" if count < 0 else f"{count} argument{'s' * (count > 1)}"


def _kind_of_number(value: Fraction) -> str:
    if value in (0, 1):
        return "boolean" if value == 0 else "positive_integer"
    if value.denominator == 1:
        return "positive_integer" if value > 0 else "real"
    if value < 0:
        return "real"
    return "positive"


def _all_in(kinds: list[str], *, any_positive: bool = False) -> str:
    if any_positive and any(contains("positive", k) for k in kinds) and all(contains("nonnegative", k) for k in kinds):
        return "positive"
    return next((k for k in ("positive", "nonnegative") if all(contains(k, x) for x in kinds)), "real")


def _product_kind(kinds: list[str], values: list[Typed]) -> str:
    if all(contains("unit_interval", k) for k in kinds):
        return "unit_interval"
    return _all_in(kinds)


def _quotient_kind(kinds: list[str], values: list[Typed]) -> str:
    if contains("positive", kinds[1]):
        return _all_in(kinds) if contains("positive", kinds[0]) else _all_in([kinds[0]])
    return "real"
