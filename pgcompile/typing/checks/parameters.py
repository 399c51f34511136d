"""Parameters of families: their shapes, the numbers they may be, and whether gradients pass through them."""

from fractions import Fraction

from pgcompile.model.factors import base_name
from pgcompile.model.nets import Net
from pgcompile.model.typed import Typed
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.typing.bounds import Bounds, Intervals, lies_in
from pgcompile.typing.checks.context import FamilyContext
from pgcompile.typing.checks.literals import check_literal
from pgcompile.typing.checks.shapes import check_shape
from pgcompile.typing.net_stages import called
from pgcompile.typing.operators import warn_of_index
from pgcompile.vocabulary.family import Parameter
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import ACTIVATIONS
from pgcompile.vocabulary.spaces import KINDS, Space, contains


def check_parameter(context: FamilyContext, parameter: Parameter, expr: tree.Expr, value: Typed, space: Space) -> None:
    """Report a parameter that does not fit its family or the variable.

    Args:
        context: the factor.
        parameter: the parameter.
        expr: as it is written.
        value: its type.
        space: of the variable.
    """
    if parameter.literal and value.literal is None:
        context.sink.add(
            "PGC305",
            expr.span,
            f"{parameter.name} of {context.family.name} is a number known at compile time",
            help="write a number",
        )
        return
    if not check_shape(context, parameter, expr, value, space):
        return
    if value.space.kind == "category" and space.kind != "category":
        warn_of_index(context.typer, expr)
    if parameter.shared and context.family.event_rank and names_in(expr) & set(context.factor.parents):
        context.sink.add(
            "PGC305",
            expr.span,
            f"{parameter.name} of {context.factor.label} is one number for all examples, and this depends on the data",
            help=f"make {parameter.name} a number, a `param` or an `input`",
        )
        return
    if isinstance(value.literal, Fraction) and not _fits_matrix(context, parameter, expr, value.literal, space):
        return
    if not value.differentiable:
        _warn_of_step(context, parameter, expr)
    if value.literal is not None:
        check_literal(context, parameter, expr, value.literal)
        return
    _warn_of_squashed_logits(context, parameter, expr, value)
    if contains(parameter.constraint, value.space.kind) or _surely_inside(parameter, expr, value):
        return
    if not lies_in(_bounds(context, expr), parameter.constraint):
        _warn_of_values_outside(context, parameter, expr)


def _fits_matrix(context: FamilyContext, parameter: Parameter, expr: tree.Expr, number: Fraction, space: Space) -> bool:
    """Test a number that goes with the size of a matrix, and report it if it does not fit."""
    size = space.shape[-1] if space.shape else 0
    if parameter.matrix_size and number != size:
        message = f"{parameter.name} of {context.factor.label} is {number}, and {context.factor.subject} is `{space}`"
        context.sink.add("PGC305", expr.span, message, help=f"write {size}")
        return False
    if context.family.name == "Wishart" and parameter.name == "df" and number <= size - 1:
        message = f"df of {context.factor.label} is {float(number):g}, and it must be above {size - 1}"
        context.sink.add("PGC306", expr.span, message, help=f"write {size}, or more")
        return False
    return True


def _warn_of_step(context: FamilyContext, parameter: Parameter, expr: tree.Expr) -> None:
    """Warn of a step function of a variable that another distribution samples: no gradient reaches the latter."""
    mine = base_name(context.factor.name)
    for parent in context.factor.parents:
        makers = [f for f in context.model.factors if parent in f.targets and base_name(f.name) != mine]
        if makers:
            context.sink.add(
                "W111",
                expr.span,
                f"no gradient passes from {context.factor.label} through {parameter.name} to {makers[0].label}",
                reasons=["round, floor and sign have the slope zero everywhere"],
                help="use a smooth function, or leave the step out",
            )
            return


def _warn_of_squashed_logits(context: FamilyContext, parameter: Parameter, expr: tree.Expr, value: Typed) -> None:
    """Warn of logits that are probabilities already: sigmoid(p) lies between 0.5 and 0.73."""
    if parameter.name != "logits" or value.space.kind not in ("unit_interval", "simplex"):
        return
    text = context.typer.text(expr)
    net = context.net_of(expr)
    last = _last_activation(context, net) if net is not None else None
    remove = f", or take {last} off {net}" if last is not None else ""
    context.sink.add(
        "W122",
        expr.span,
        f"logits of {context.factor.label} are probabilities: `{text}` lies between 0 and 1",
        reasons=["logits are any real numbers; the family squashes them itself"],
        help=f"write probs = {text}{remove}",
    )


# --- values outside the domain of a parameter ---


def _bounds(context: FamilyContext, expr: tree.Expr) -> Bounds:
    """The least and the largest value of an expression."""
    scope = context.context.scope(context.use.bindings)
    bound = {name: binding for name, (binding, _) in scope.bindings.items()}
    return Intervals(context.model, bound, lambda part: context.typer.typed(part, scope)).of(expr)


def _surely_inside(parameter: Parameter, expr: tree.Expr, value: Typed) -> bool:
    """True where the kind of an expression says too little to warn.

    A sigmoid is never 0, and the sum of matrices that are positive definite is not known to be one.
    """
    computed = not isinstance(expr, tree.Name)
    if parameter.constraint == "positive" and value.space.kind in ("unit_interval", "simplex"):
        return computed
    if parameter.rank < 2 or not computed:
        return False
    if isinstance(expr, tree.Call) and expr.name == "diag":
        return contains("positive", value.space.kind)
    return not isinstance(expr, tree.Call) or expr.name in FUNCTIONS


def _warn_of_values_outside(context: FamilyContext, parameter: Parameter, expr: tree.Expr) -> None:
    """Warn of an expression whose values need not lie in the domain of its parameter."""
    label = context.factor.label
    if label in context.model.products:
        _warn_of_negative_powers(context, [p for _, p in context.model.products[label] if p is not None])
        return
    context.sink.add(
        "W102",
        expr.span,
        f"{parameter.name} of {label} must be {KINDS[parameter.constraint].what}, "
        f"and `{context.typer.text(expr)}` need not be",
        help=_suggestion(context, parameter, expr),
    )


def _suggestion(context: FamilyContext, parameter: Parameter, expr: tree.Expr) -> str:
    """The change that keeps an expression in the domain of its parameter."""
    text, net = context.typer.text(expr), context.net_of(expr)
    activation = "Softplus" if parameter.constraint == "nonnegative" else KINDS[parameter.constraint].activation
    if parameter.name == "probs" and net is None:
        return f"write sigmoid({text}), or clamp({text}, 0, 1)"
    if parameter.name == "probs":
        return f"write logits = {text}" + (f", or end {net} with {activation}" if activation is not None else "")
    if net is not None and activation is not None:
        last = _last_activation(context, net)
        if last is not None:
            return f"end {net} with {activation} in place of {last}"
        return f"end it with {activation}: `net {net} = ... >> {activation}`"
    if parameter.constraint == "positive":
        return f"write softplus({text})"
    return f"declare it `{parameter.constraint}`"


def _warn_of_negative_powers(context: FamilyContext, powers: list[tree.Expr]) -> None:
    """Warn of powers that may be negative: a product of experts is then not always normalisable."""
    scope = context.context.scope(())
    for power in powers:
        value = context.typer.typed(power, scope)
        if value is not None and not contains("nonnegative", value.space.kind):
            text = context.typer.text(power)
            context.sink.add(
                "W102",
                power.span,
                f"the power `{text}` of an expert of {context.factor.label} may be negative: "
                "the product then need not be normalisable",
                help=f"write softplus({text}), or declare what it is made of as positive",
            )


def _last_activation(context: FamilyContext, name: str) -> str | None:
    """The activation that a net ends with, if it does."""
    net = context.model.nets.get(name)
    if not isinstance(net, Net) or not net.stages:
        return None
    last = called(net.stages[-1])
    return last if last in ACTIVATIONS or last in FUNCTIONS else None
