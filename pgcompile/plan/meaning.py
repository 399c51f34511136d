"""The text of a number that comes from a formula: `0.5 * math.log(2 * math.pi)` tells more than 0.9189."""

import ast
import math

from sympy import Add, Expr, Mul, Pow, Rational, log, pi

_LONGEST = 60  # a longer text tells less than its value
_LARGEST = 1_000_000  # `log(20!)` as digits tells less than its value too


def meaning(number: Expr) -> str | None:
    """A positive number of a formula as Python's `math` writes it; None for a plain number, which says all there is."""
    if number.is_Rational:
        return None
    text = _written(number)
    return text if text is not None and len(text) <= _LONGEST else None


def times(count: int, text: str | None) -> str | None:
    """The text of a number counted once for each of several elements: the count stands behind its coefficient."""
    if text is None or count == 1:
        return text
    if " + " in text or " - " in text:
        return f"{count} * ({text})"
    coefficient, star, rest = text.partition(" * ")
    if star and coefficient.replace(".", "").isdigit():
        return f"{coefficient} * {count} * {rest}"
    return f"{count} * {text}"


def size_of(text: str) -> float:
    """The number that a text made here stands for, by which a plan is checked.

    Raises:
        ValueError: it is no such text.
    """
    try:
        return _size(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(text) from error


def _size(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Attribute(value=ast.Name(id="math"), attr="pi"):
            return math.pi
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="log" | "sqrt" as name), args=[inner]):
            return math.log(_size(inner)) if name == "log" else math.sqrt(_size(inner))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _size(left) + _size(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _size(left) * _size(right)
        case _:
            raise ValueError(ast.unparse(node))


def _written(number: Expr) -> str | None:
    """The text of a number, None where it is made of something else."""
    if number == pi:
        return "math.pi"
    if number.is_Integer:
        return str(number) if abs(number) < _LARGEST else None
    if isinstance(number, Rational):
        return repr(float(number))
    if isinstance(number, log):
        inner = _written(number.args[0])
        return None if inner is None else f"math.log({inner})"
    if isinstance(number, Pow) and number.exp == Rational(1, 2):
        inner = _written(number.base)
        return None if inner is None else f"math.sqrt({inner})"
    if isinstance(number, Mul) and not number.could_extract_minus_sign():  # `-log(3/10)` is positive, and is no text
        return _joined(" * ", number.as_ordered_factors())
    if isinstance(number, Add) and all(term.is_positive for term in number.args):
        return _joined(" + ", number.as_ordered_terms())
    return None


def _joined(sign: str, parts: list[Expr]) -> str | None:
    texts = [_written(part) for part in parts]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return None
    if sign == " * ":
        known = [f"({text})" if isinstance(part, Add) else text for part, text in zip(parts, known, strict=True)]
    return sign.join(known)
