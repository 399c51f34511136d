"""Values known at compile time: numbers, named sizes, lists of numbers, and the spaces written with them."""

from fractions import Fraction

from pgcompile.diagnostics import Sink, Span, nearest, suggest
from pgcompile.model.values import Constant
from pgcompile.syntax import tree
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.spaces import KINDS, Space
from pgcompile.vocabulary.synonyms import SPACES

MAX_SIZE = 1_000_000_000
MAX_EXPONENT = 400


def number(text: str) -> Fraction:
    """The exact value of a decimal literal."""
    mantissa, _, exponent = text.lower().partition("e")
    power = max(min(int(exponent or 0), MAX_EXPONENT), -MAX_EXPONENT)
    return Fraction(mantissa) * Fraction(10) ** power


def evaluate(expr: tree.Expr, constants: dict[str, Fraction]) -> Constant | None:
    """The value of an expression of numbers, named sizes and lists; None where it is not one."""
    match expr:
        case tree.Number(text):
            return number(text)
        case tree.Name(id):
            return constants.get(id)
        case tree.Negative(operand):
            value = evaluate(operand, constants)
            return -value if isinstance(value, Fraction) else None
        case tree.Sum(terms):
            values = [(sign, evaluate(term, constants)) for sign, term in terms]
            total = Fraction(0)
            for sign, value in values:
                if not isinstance(value, Fraction):
                    return None
                total += sign * value
            return total
        case tree.Product(factors):
            product = Fraction(1)
            for factor in factors:
                value = evaluate(factor, constants)
                if not isinstance(value, Fraction):
                    return None
                product *= value
            return product
        case tree.Quotient(numerator, denominator):
            top, bottom = evaluate(numerator, constants), evaluate(denominator, constants)
            return top / bottom if isinstance(top, Fraction) and isinstance(bottom, Fraction) and bottom else None
        case tree.Power(base, exponent):
            low, high = evaluate(base, constants), evaluate(exponent, constants)
            if (
                not isinstance(low, Fraction)
                or not isinstance(high, Fraction)
                or high.denominator != 1
                or abs(high) > 64
            ):
                return None
            return None if low == 0 and high < 0 else low ** int(high)
        case tree.ListLiteral(items):
            values_ = [evaluate(item, constants) for item in items]
            return tuple(v for v in values_ if v is not None) if None not in values_ else None
        case _:
            return None


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


def size(expr: tree.Expr, constants: dict[str, Fraction], sink: Sink) -> int | None:
    """A positive whole number, or a report of what is there instead."""
    value = evaluate(expr, constants)
    text = sink.source.snippet(expr.span)
    if value is None:
        hint = "a size is a number or a const; several stand side by side: `real[3, 4]`"
        if isinstance(expr, tree.Name) and expr.id in ("None", "N", "B", "batch", "batch_size"):
            hint = "batch dimensions are never written: the shape is that of one data point"
        elif isinstance(expr, tree.Name):
            close = nearest(expr.id, constants)
            hint = f"did you mean {close}?" if close else f"name the size first: `const {expr.id} = 64`"
        sink.add("PGC310", expr.span, f"`{text}` is not a size known at compile time", help=hint)
        return None
    if isinstance(value, Fraction) and value > MAX_SIZE:
        sink.add("PGC310", expr.span, f"`{text}` is too large for a size", help=f"the largest is {MAX_SIZE:,}")
        return None
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 1 or value > MAX_SIZE:
        sink.add(
            "PGC310", expr.span, f"a size is a positive whole number, `{text}` is not", help="write a number such as 64"
        )
        return None
    return int(value)


def space(expr: tree.SpaceExpr, constants: dict[str, Fraction], sink: Sink) -> Space | None:
    """The space that was written, or a report."""
    kind = KINDS.get(expr.name)
    if kind is None:
        place = Span(expr.span.start, expr.span.start + len(expr.name))
        otherwise = f"spaces are {', '.join(KINDS)}"
        if expr.name in families():
            otherwise = f"{expr.name} is a family: declare the space, and the factor as `p(x) = {expr.name}(...)`"
        sink.add(
            "PGC110",
            expr.span,
            f"there is no space called {expr.name}",
            **suggest(expr.name, place, () if expr.name in families() else KINDS, otherwise, SPACES),
        )
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
            help=f"write {expr.name}[{', '.join(str(s) for g in sizes for s in g)}]",
        )
        return None
    shape = sizes[0] if sizes else ()
    if len(shape) < kind.event_rank:
        sink.add(
            "PGC311",
            expr.span,
            f"{expr.name} needs {'a size' if kind.event_rank == 1 else 'two sizes'}",
            help=f"write {expr.name}[{', '.join(['3'] * kind.event_rank)}]",
        )
        return None
    if kind.event_rank == 2 and shape[-1] != shape[-2]:
        sink.add("PGC311", expr.span, f"{expr.name} is square, {shape[-2]} by {shape[-1]} is not")
        return None
    return Space(kind.name, shape, categories)
