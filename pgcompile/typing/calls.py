"""Types of calls: of nets, of functions, of the weight and bias of a net that is one layer."""

from collections.abc import Callable
from fractions import Fraction

from pgcompile.diagnostics import Edit, nearest, suggest
from pgcompile.diagnostics.spelling import Suggestion
from pgcompile.model.calls import parts_of_call
from pgcompile.model.literals import evaluate
from pgcompile.model.nets import ModuleSegment
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.typing import nets
from pgcompile.typing.context import TypingContext
from pgcompile.typing.derivatives import type_of_derivative
from pgcompile.typing.function_shapes import OPTIONS, arity_of, shape_of_call
from pgcompile.typing.scope import Result, Scope
from pgcompile.vocabulary.functionals import in_brackets
from pgcompile.vocabulary.functions import FUNCTIONS, Function, result_kind
from pgcompile.vocabulary.layers import LAYERS, show
from pgcompile.vocabulary.spaces import Space, join
from pgcompile.vocabulary.synonyms import FUNCTIONS as SYNONYMS
from pgcompile.vocabulary.truncated_names import is_family_name


def type_of_call(typer: TypingContext, expr: tree.Call, scope: Scope) -> Result:
    """Type of `f(a, b)`, where f is a net, a function, or `weight` or `bias`."""
    if expr.given is not None:
        return typer.fail(
            "PGC401",
            expr.span,
            f"the factor `{typer.text(expr)}` belongs in an objective, not in the parameters of {scope.where}",
            "parameters are expressions of variables, nets and numbers",
        )
    if expr.name in typer.model.nets:
        return _net(typer, expr, scope)
    function = FUNCTIONS.get(expr.name)
    if function is None:
        _report_unknown(typer, expr, scope)
        return None
    if function.shape in _LAYER_TENSORS:
        return _layer_tensor(typer, expr, function.shape)
    if function.shape == "observed":
        return _observed(typer, expr, scope)
    if function.shape == "shuffle" and not scope.in_objective:
        message = f"{expr.name} takes values of other rows of the batch, and {scope.where} is of one row"
        return typer.fail("PGC401", expr.span, message, f"write `{typer.text(expr)}` in an objective")
    if function.shape == "tail":
        return _tail(typer, expr, scope)
    if function.shape == "quantile":
        return _quantile(typer, expr, scope)
    if function.shape in ("gradient", "jacobian"):
        return type_of_derivative(typer, expr, scope)
    return _function(typer, expr, function, scope)


def _net(typer: TypingContext, expr: tree.Call, scope: Scope) -> Result:
    """Type of a net's output; its arguments have one value each."""
    values: list[Typed] = []
    for argument in expr.args:
        value = typer.typed(argument.value, scope)
        if value is None:
            return None
        values.append(value)
    return nets.apply(typer, expr, values)


# --- names that nothing defines ---


def _report_unknown(typer: TypingContext, expr: tree.Call, scope: Scope) -> None:
    """Report a call of what is no function and no net, and the faults of its arguments."""
    name = expr.name
    found = _suggestion(typer, expr, scope)
    typer.sink.add(
        "PGC103",
        expr.name_span,
        f"{name} is a family, and no value" if is_family_name(name) else f"there is no function or net called {name}",
        **found,
    )
    for argument in expr.args:
        typer.infer(argument.value, scope)


def _suggestion(typer: TypingContext, expr: tree.Call, scope: Scope) -> Suggestion:
    """The help for a call of what is no function and no net, by what it is instead."""
    name, text, model = expr.name, typer.text(expr), typer.model
    low = name.lower()
    edits: tuple[Edit, ...] = ()
    if is_family_name(name):
        hint = f"a parameter is a value: name the random one, `p(m) = {text}`, and condition on m"
    elif name in LAYERS and low in FUNCTIONS:
        hint = f"{name} is a layer; the function is {low}"
        edits = (Edit(expr.name_span, low),)
    elif any(name == factor.name for factor in model.factors):
        hint = f"{text} is a factor, and a parameter is computed from values: use the variable itself"
    elif name.removesuffix(".inv") in model.flows:
        hint = f"{name} is a flow, which stands in a factor: p(x) = Flow(Normal(0, 1), {name})"
    elif name in LAYERS:
        hint = f"a layer belongs in a net: `net f = {text}`"
    elif (functional := in_brackets(name)) is not None:
        hint = functional
    elif name in model.tensors or name in scope.variables:
        hint = f"{name} is a variable; write `{name} * (...)` to multiply"
    else:
        known = {*FUNCTIONS, *model.nets}
        return suggest(name, expr.name_span, known, f"declare it: `net {name} = Linear(64)`", SYNONYMS)
    return Suggestion(help=hint, edits=edits)


# --- functions ---


def _layer_tensor(typer: TypingContext, expr: tree.Call, which: str) -> Typed | None:
    """Type of `weight(f)` and `bias(f)` of a net that is one Linear layer."""
    name = expr.args[0].value if len(expr.args) == 1 else None
    net = typer.model.nets.get(name.id) if isinstance(name, tree.Name) else None
    segment = nets.linear_layer(net)
    if segment is None:
        return typer.fail(
            "PGC311",
            expr.span,
            f"{which} takes a net that is one Linear layer, and is called somewhere",
            f"declare `net f = Linear(3)` and write `{which}(f)`",
        )
    return Typed(Space("real", _LAYER_TENSORS[which](segment)))


_LAYER_TENSORS: dict[str, Callable[[ModuleSegment], tuple[int, ...]]] = {
    "weight": lambda segment: (segment.output.shape[-1], segment.input_shape[-1]),
    "bias": lambda segment: (segment.output.shape[-1],),
}
"""Shapes of the tensors of a linear layer that functions give."""


def _observed(typer: TypingContext, expr: tree.Call, scope: Scope) -> Typed | None:
    """Type of `observed(x)`: 1 for each entry that the data has, else 0."""
    name = expr.args[0].value if len(expr.args) == 1 else None
    model = typer.model
    if not isinstance(name, tree.Name) or name.id not in model.variables or name.id in model.deterministic:
        return typer.fail("PGC311", expr.span, "observed takes a variable of the data", "write observed(x)")
    if (lag := model.indices.lags.get(name.id)) is not None:
        here = lag.of.replace("{", "").replace("}", "")
        message = f"observed of {name.id}, another place, is not part of this version"
        hint = f"carry it: `s_{lag.index} = observed({here})`, and s at that place here"
        return typer.fail("PGC010", expr.span, message, hint)
    value = typer.typed(name, scope)
    return value and Typed(Space("boolean", value.space.shape))


def _tail(typer: TypingContext, expr: tree.Call, scope: Scope) -> Typed | None:
    """A factor's probability of smaller or larger values stands in objectives, where factors are scored."""
    hint = f"write `{expr.name}(p(t|x))` of a factor, in an objective"
    return typer.fail("PGC311", expr.span, f"{expr.name} has no meaning in {scope.where}", hint)


def _quantile(typer: TypingContext, expr: tree.Call, scope: Scope) -> Typed | None:
    """Type of `quantile(p(t|x), 0.9)`: a value of t."""
    factor = expr.args[0].value if len(expr.args) == 2 else None
    named = isinstance(factor, tree.Call) and isinstance(factor.args[0].value, tree.Name)
    if not isinstance(factor, tree.Call) or not named or not scope.density(factor):
        message = f"quantile takes a factor and a share, in an objective: this is {scope.where}"
        return typer.fail("PGC311", expr.span, message, "write quantile(p(t|x), 0.9)")
    share = typer.typed(expr.args[1].value, scope)
    target = factor.args[0].value
    space = typer.model.spaces.get(target.id) if isinstance(target, tree.Name) else None
    if share is None or space is None:
        return None
    number = evaluate(expr.args[1].value, typer.model.constants)
    if isinstance(number, Fraction) and not 0 < number < 1:
        return typer.fail(
            "PGC306", expr.args[1].span, f"a share lies between 0 and 1, and {float(number):g} does not", None
        )
    if share.shape not in ((), space.shape):
        return typer.fail("PGC301", expr.args[1].span, f"the share is {show(share.shape)}", "write one number")
    return Typed(Space("real", space.shape))


def _function(typer: TypingContext, expr: tree.Call, function: Function, scope: Scope) -> Typed | None:
    """Type of a function of expressions."""
    positional = [a for a in expr.args if a.name is None]
    keywords = {a.name: a for a in expr.args if a.name is not None}
    allowed = OPTIONS.get(function.shape, frozenset())
    for name, argument in keywords.items():
        if name not in allowed:
            close = nearest(name, allowed)
            hint = f"did you mean {close}?" if close else f"write {function.name}(a)"
            return typer.fail("PGC106", argument.span, f"{function.name} has no option {name}", hint)
    arity = arity_of(function.shape)
    if not arity.admits(len(positional)):
        return typer.fail(
            "PGC311",
            expr.span,
            f"{function.name} takes {arity.described}, not {len(positional)}",
            f"write `{function.name}({', '.join('ab'[: arity.least])})`",
        )
    arguments = parts_of_call(expr, typer.model.constants)[0]
    found = [typer.typed(a.value, scope) for a in arguments]
    values = [v for v in found if v is not None]
    if len(values) < len(found):
        return None
    operands = [(a.value, v) for a, v in zip(arguments, values, strict=True)]
    shape = shape_of_call(typer, expr, function.shape, operands)
    if shape is None:
        return None
    kinds = [v.space.kind for v in values]
    if function.shape == "place":
        return Typed(Space("category", shape, values[0].shape[-1]), differentiable=False)
    if function.shape in ("cat", "stack", "where"):
        kind = _joined_kind(kinds[1:] if function.shape == "where" else kinds)
    else:
        kind = result_kind(function, kinds)
    smooth = values[1:] if function.shape == "where" else values
    differentiable = function.differentiable and all(v.differentiable for v in smooth)
    return Typed(Space(kind, shape), differentiable=differentiable)


def _joined_kind(kinds: list[str]) -> str:
    """Kind of the entries of joined vectors; probabilities of several vectors do not sum to one."""
    kind = kinds[0]
    for other in kinds[1:]:
        kind = join(kind, other)
    return "unit_interval" if kind in ("simplex", "one_hot") and len(kinds) > 1 else kind
