"""Values known at compile time: numbers, named sizes, lists of numbers, and the spaces written with them."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pgcompile.diagnostics import Sink, Span, nearest, suggest
from pgcompile.model.typed import Constant
from pgcompile.syntax import tree
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.spaces import KINDS, Space, SpaceKind
from pgcompile.vocabulary.synonyms import SPACES

MAX_SIZE = 1_000_000_000
MAX_EXPONENT = 400
MAX_POWER = 64

Constants = dict[str, Fraction]
"""The values of `const` by their names."""


def number(text: str) -> Fraction:
    """The exact value of a decimal literal."""
    mantissa, _, exponent = text.lower().partition("e")
    power = max(min(int(exponent or 0), MAX_EXPONENT), -MAX_EXPONENT)
    return Fraction(mantissa) * Fraction(10) ** power


def evaluate(expr: tree.Expr, constants: Constants) -> Constant | None:
    """The value of an expression of numbers, named sizes and lists.

    Args:
        expr: the expression.
        constants: values of the named sizes.

    Returns:
        Its exact value, None where it is not known at compile time.
    """
    rule = _VALUES.get(type(expr))
    return None if rule is None else rule(expr, constants)


def _number(expr: tree.Expr, constants: Constants) -> Fraction | None:
    """The value of an expression that is one number."""
    value = evaluate(expr, constants)
    return value if isinstance(value, Fraction) else None


def _negative(expr: tree.Negative, constants: Constants) -> Fraction | None:
    value = _number(expr.operand, constants)
    return None if value is None else -value


def _sum(expr: tree.Sum, constants: Constants) -> Fraction | None:
    total = Fraction(0)
    for sign, term in expr.terms:
        value = _number(term, constants)
        if value is None:
            return None
        total += sign * value
    return total


def _product(expr: tree.Product, constants: Constants) -> Fraction | None:
    product = Fraction(1)
    for factor in expr.factors:
        value = _number(factor, constants)
        if value is None:
            return None
        product *= value
    return product


def _quotient(expr: tree.Quotient, constants: Constants) -> Fraction | None:
    top, bottom = _number(expr.numerator, constants), _number(expr.denominator, constants)
    return top / bottom if top is not None and bottom else None


def _power(expr: tree.Power, constants: Constants) -> Fraction | None:
    """A power with a whole exponent of at most `MAX_POWER`; larger ones would take long to find exactly."""
    base, exponent = _number(expr.base, constants), _number(expr.exponent, constants)
    if base is None or exponent is None or exponent.denominator != 1 or abs(exponent) > MAX_POWER:
        return None
    return None if base == 0 and exponent < 0 else base ** int(exponent)


def _list(expr: tree.ListLiteral, constants: Constants) -> Constant | None:
    values = [evaluate(item, constants) for item in expr.items]
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


_VALUES: dict[type, Callable[[Any, Constants], Constant | None]] = {
    tree.Number: lambda expr, constants: number(expr.text),
    tree.Name: lambda expr, constants: constants.get(expr.id),
    tree.Negative: _negative,
    tree.Sum: _sum,
    tree.Product: _product,
    tree.Quotient: _quotient,
    tree.Power: _power,
    tree.ListLiteral: _list,
}
"""The value of each kind of expression that may be known at compile time."""


def shape_of(value: Constant) -> tuple[int, ...] | None:
    """The shape of a nested list, None where its rows differ in length."""
    if isinstance(value, Fraction):
        return ()
    shapes = {shape_of(item) for item in value}
    if len(shapes) != 1 or None in shapes:
        return None
    inner = shapes.pop()
    assert inner is not None
    return (len(value), *inner)


def flatten(value: Constant) -> list[Fraction]:
    """All numbers of a nested list."""
    return [value] if isinstance(value, Fraction) else [x for item in value for x in flatten(item)]


def size(expr: tree.Expr, constants: Constants, sink: Sink) -> int | None:
    """A size of a space: a positive whole number.

    Args:
        expr: as it is written.
        constants: values of the named sizes.
        sink: of reports.

    Returns:
        The size, None after a report.
    """
    value = evaluate(expr, constants)
    text = sink.source.snippet(expr.span)
    if value is None:
        _report_unknown_size(expr, text, constants, sink)
        return None
    if isinstance(value, Fraction) and value > MAX_SIZE:
        sink.add("PGC310", expr.span, f"`{text}` is too large for a size", help=f"the largest is {MAX_SIZE:,}")
        return None
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 1:
        sink.add(
            "PGC310", expr.span, f"a size is a positive whole number, `{text}` is not", help="write a number such as 64"
        )
        return None
    return int(value)


def _report_unknown_size(expr: tree.Expr, text: str, constants: Constants, sink: Sink) -> None:
    """Report a size that is not known at compile time; the size of a batch is never written."""
    hint = "a size is a number or a const; several stand side by side: `real[3, 4]`"
    if isinstance(expr, tree.Name) and expr.id in ("None", "N", "B", "batch", "batch_size"):
        hint = "batch dimensions are never written: the shape is that of one data point"
    elif isinstance(expr, tree.Name):
        close = nearest(expr.id, constants)
        hint = f"did you mean {close}?" if close else f"name the size first: `const {expr.id} = 64`"
    sink.add("PGC310", expr.span, f"`{text}` is not a size known at compile time", help=hint)


def space(expr: tree.SpaceExpr, constants: Constants, sink: Sink) -> Space | None:
    """The space that was written.

    Args:
        expr: as it is written.
        constants: values of the named sizes.
        sink: of reports.

    Returns:
        The space, None after a report.
    """
    kind = KINDS.get(expr.name)
    if kind is None:
        _report_unknown_space(expr, sink)
        return None
    groups = [[size(item, constants, sink) for item in group] for group in expr.groups]
    if any(item is None for group in groups for item in group):
        return None
    sizes = [tuple(item for item in group if item is not None) for group in groups]
    categories = None
    if kind.name == "category":
        if not sizes or len(sizes[0]) != 1:
            sink.add("PGC311", expr.span, "category needs the number of its values", help="write category[10]")
            return None
        categories = sizes.pop(0)[0]
    if len(sizes) > 1:
        sink.add(
            "PGC311",
            expr.span,
            f"{expr.name} has one shape",
            help=_one_shape(kind, sizes),
        )
        return None
    shape = sizes[0] if sizes else ()
    return Space(kind.name, shape, categories) if _has_dimensions(kind, shape, expr, sink) else None


def _one_shape(kind: SpaceKind, sizes: list[tuple[int, ...]]) -> str:
    """The one shape that two groups of sizes are meant as: of choices, their number stands before their values."""
    shape = [size for group in sizes for size in group]
    if kind.event_rank != 1:
        return f"write {kind.name}[{', '.join(map(str, shape))}]"
    values, *count = shape
    written = ", ".join(map(str, (*count, values)))
    return f"{'x'.join(map(str, count))} of {values} values each are {kind.name}[{written}]"


def _report_unknown_space(expr: tree.SpaceExpr, sink: Sink) -> None:
    """Report a kind of space that does not exist, with the nearest one."""
    place = Span(expr.span.start, expr.span.start + len(expr.name))
    family = expr.name in families()
    otherwise = f"spaces are {', '.join(KINDS)}"
    if family:
        otherwise = f"{expr.name} is a family: declare the space, and the factor as `p(x) = {expr.name}(...)`"
    sink.add(
        "PGC110",
        expr.span,
        f"there is no space called {expr.name}",
        **suggest(expr.name, place, () if family else KINDS, otherwise, SPACES),
    )


def _has_dimensions(kind: SpaceKind, shape: tuple[int, ...], expr: tree.SpaceExpr, sink: Sink) -> bool:
    """Test whether a shape has the dimensions of a kind of space, and report it if not; matrices are square."""
    if len(shape) < kind.event_rank:
        sink.add(
            "PGC311",
            expr.span,
            f"{expr.name} needs {'a size' if kind.event_rank == 1 else 'two sizes'}",
            help=f"write {expr.name}[{', '.join(['3'] * kind.event_rank)}]",
        )
        return False
    if kind.event_rank == 2 and shape[-1] != shape[-2]:
        sink.add("PGC311", expr.span, f"{expr.name} is square, {shape[-2]} by {shape[-1]} is not")
        return False
    return True
