"""Children of grammar rules on their way to a node: tokens, places, names, and several nodes at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from lark import Token

from pgcompile.diagnostics import Span
from pgcompile.syntax import tree
from pgcompile.syntax.spelling import canonical_name


class NameError_(Exception):
    """A name that cannot be made canonical; carries its place."""

    def __init__(self, span: Span, text: str) -> None:
        self.span = span
        self.text = text
        super().__init__(text)


class OperatorError(Exception):
    """Tokens that the grammar accepts but the language gives no meaning; carries a message and a place."""

    def __init__(self, span: Span, message: str, help: str) -> None:
        self.span = span
        self.message = message
        self.help = help
        super().__init__(message)


class PipelineError(OperatorError):
    """A pipeline of layers among the arguments of something else than a layer that holds others."""


@dataclass(frozen=True)
class Grouped:
    """An expression in brackets: it does not merge with a sum or product around it."""

    expr: tree.Expr
    span: Span


@dataclass(frozen=True)
class Many:
    """Several nodes on the way to their parent."""

    items: tuple[Any, ...]
    span: Span


def place_of(child: Any) -> Span:
    """The place of a token or a node."""
    if isinstance(child, Token):
        start = child.start_pos or 0
        return Span(start, child.end_pos or start + len(child))
    return cast(Span, child.span)


def span_over(children: list[Any]) -> Span:
    """From the first to the last of some children."""
    return place_of(children[0]).to(place_of(children[-1]))


def opened(child: Any) -> Any:
    """The expression inside brackets; anything else as it is."""
    return replace(child.expr, span=child.span) if isinstance(child, Grouped) else child


def nodes_in(children: list[Any]) -> list[Any]:
    """Children that are not tokens, brackets opened."""
    return [opened(c) for c in children if not isinstance(c, Token)]


def name_of(token: Token) -> tree.Name:
    """A token as a name in its canonical spelling."""
    name = canonical_name(str(token))
    if name is None:
        raise NameError_(place_of(token), str(token))
    return tree.Name(name, span=place_of(token))


def used_name(token: Token) -> tree.Name:
    """A name where it is used: `f.inv` is the inverse of the flow f, `nn.CELU` a layer of torch."""
    text = str(token)
    if text.startswith("nn."):
        return tree.Name(text, span=place_of(token))
    if not text.endswith(".inv"):
        return name_of(token)
    name = canonical_name(text.removesuffix(".inv"))
    if name is None:
        raise NameError_(place_of(token), text)
    return tree.Name(f"{name}.inv", span=place_of(token))


def names_of(children: list[Any]) -> list[tree.Name]:
    """The names among some children."""
    return [name_of(c) for c in children if isinstance(c, Token) and c.type == "NAME"]


def many(children: list[Any], items: Iterable[Any]) -> Many:
    """Several nodes with the place of some children."""
    return Many(tuple(items), span_over(children))


@dataclass(frozen=True)
class Given:
    """The conditions behind the bar of a factor."""

    items: tuple[tree.Argument, ...]
    span: Span


@dataclass(frozen=True)
class Range:
    """The range of a sum over an index: `t=1` and `T` of `sum_{t=1}^{T}`."""

    name: tree.Name
    low: tree.Expr | None = None
    high: tree.Expr | None = None


@dataclass(frozen=True)
class Options:
    """The options behind a semicolon."""

    items: tuple[tree.Option, ...]
    span: Span
