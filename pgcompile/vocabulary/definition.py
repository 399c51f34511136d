"""The algebra in which functionals are defined: expectations of log-densities as plain values.

A definition is written as papers write it, `Mean(LEFT, Log(LEFT) - Log(RIGHT))` for a Kullback-Leibler divergence. It
names no variable and no draw; whoever reads it binds the two sides and the settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


class Formula:
    """A node of a definition; `+ - * / **` make larger ones, numbers may stand on either side."""

    def __add__(self, other: "Formula | int") -> "Formula":
        return Add(((1, self), (1, lift(other))))

    def __sub__(self, other: "Formula | int") -> "Formula":
        return Add(((1, self), (-1, lift(other))))

    def __neg__(self) -> "Formula":
        return Add(((-1, self),))

    def __truediv__(self, other: "Formula | int") -> "Formula":
        return Divide(self, lift(other))

    def __pow__(self, exponent: "Formula | int") -> "Formula":
        return Raise(self, lift(exponent))


@dataclass(frozen=True)
class Number(Formula):
    """A number."""

    value: Fraction


@dataclass(frozen=True)
class Option(Formula):
    """A number that the functional's user sets, by the name of the setting."""

    name: str


@dataclass(frozen=True)
class Density(Formula):
    """The density of one side, at what the mean around it draws.

    Args:
        side: `left` or `right`.
    """

    side: str


@dataclass(frozen=True)
class Mean(Formula):
    """The expectation of a formula over draws of one side."""

    over: Density
    body: Formula


@dataclass(frozen=True)
class Log(Formula):
    """The natural logarithm of a positive formula."""

    operand: Formula


@dataclass(frozen=True)
class Add(Formula):
    """A sum of formulas with signs."""

    terms: tuple[tuple[int, Formula], ...]


@dataclass(frozen=True)
class Divide(Formula):
    """A quotient; of two densities it is computed from their logarithms."""

    numerator: Formula
    denominator: Formula


@dataclass(frozen=True)
class Raise(Formula):
    """A positive formula to a power that is a number."""

    base: Formula
    exponent: Formula


LEFT, RIGHT = Density("left"), Density("right")


def lift(value: Formula | int) -> Formula:
    """A formula as it is, a number as a formula."""
    return value if isinstance(value, Formula) else Number(Fraction(value))


def children(formula: Formula) -> tuple[Formula, ...]:
    """The formulas directly inside one."""
    match formula:
        case Mean(over, body):
            return (over, body)
        case Log(operand):
            return (operand,)
        case Add(items):
            return tuple(item for _, item in items)
        case Divide(a, b) | Raise(a, b):
            return (a, b)
        case _:
            return ()


def walk(formula: Formula) -> Iterator[Formula]:
    """A formula and every one inside it."""
    yield formula
    for inner in children(formula):
        yield from walk(inner)


def swapped(formula: Formula) -> Formula:
    """The same formula with its sides exchanged."""
    match formula:
        case Density():
            return RIGHT if formula == LEFT else LEFT
        case Mean(over, body):
            return Mean(RIGHT if over == LEFT else LEFT, swapped(body))
        case Log(operand):
            return Log(swapped(operand))
        case Add(items):
            return Add(tuple((sign, swapped(item)) for sign, item in items))
        case Divide(a, b):
            return Divide(swapped(a), swapped(b))
        case Raise(a, b):
            return Raise(swapped(a), swapped(b))
        case _:
            return formula


def scored(formula: Formula) -> frozenset[Density]:
    """The sides whose density the formula evaluates, not only draws from."""
    if isinstance(formula, Density):
        return frozenset((formula,))
    inside = (formula.body,) if isinstance(formula, Mean) else children(formula)
    return frozenset().union(*map(scored, inside))


def drawn(formula: Formula) -> tuple[Density, ...]:
    """The sides that are drawn from, in the order of the means."""
    return tuple(dict.fromkeys(node.over for node in walk(formula) if isinstance(node, Mean)))


def has_log_of_mean(formula: Formula) -> bool:
    """True if a mean stands inside a logarithm: the number of draws is then part of what is computed."""
    return any(isinstance(node, Log) and any(isinstance(inner, Mean) for inner in walk(node)) for node in walk(formula))


def number(formula: Formula, options: dict[str, Fraction]) -> Fraction | None:
    """The value of a formula of numbers and options only; None for any other, or where an option is not given."""
    match formula:
        case Number(value):
            return value
        case Option(name):
            return options.get(name)
        case Add(items):
            found = [(sign, number(item, options)) for sign, item in items]
            return (
                None
                if any(v is None for _, v in found)
                else sum((s * v for s, v in found if v is not None), Fraction())
            )
        case Divide(a, b):
            top, bottom = number(a, options), number(b, options)
            return None if top is None or not bottom else top / bottom
        case _:
            return None


def show(formula: Formula, left: str, right: str) -> str:
    """A definition as programs and papers write it: `E_q[log q - log p]`.

    Args:
        formula: the definition.
        left: what the left side is called.
        right: what the right side is called.
    """
    return _show(formula, {LEFT: left, RIGHT: right})[0]


def _show(formula: Formula, names: dict[Density, str]) -> tuple[str, int]:
    """The text, and how tightly its outermost operation binds: 0 a sum, 1 a quotient, 2 a power, 3 a name."""

    def at(inner: Formula, strength: int) -> str:
        text, own = _show(inner, names)
        return text if own >= strength else f"({text})"

    match formula:
        case Number(value):
            return str(value), 3
        case Option(name):
            return name, 3
        case Density():
            return names[formula], 3
        case Mean(over, body):
            return f"E_{names[over]}[{at(body, 0)}]", 3
        case Log(operand):
            plain = isinstance(operand, Density | Mean)
            return (f"log {at(operand, 0)}", 2) if plain else (f"log({at(operand, 0)})", 3)
        case Add(items):
            text = "".join(f" {'-' if sign < 0 else '+'} {at(item, 1)}" for sign, item in items)
            return (text.removeprefix(" + ") if text.startswith(" +") else f"-{text.removeprefix(' - ')}"), 0
        case Divide(a, b):
            return f"{at(a, 1)} / {at(b, 2)}", 1
        case Raise(a, b):
            return f"{at(a, 3)}^{at(b, 3)}", 2
        case _:
            return type(formula).__name__, 3
