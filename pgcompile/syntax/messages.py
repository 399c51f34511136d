"""Messages for statements that cannot be read, in the words of formulas, not of tokens.

A statement stops being readable at one token. `Place` is what is known there: the tokens before it, the bracket it
stands in, and the terminals that could have stood in its place. Rules are tried in order, the most particular first;
the last one says what could have followed, from a table that names every set of terminals the grammar can ask for (a
test walks all states of the parser and fails when one has no words).
"""

from __future__ import annotations

from collections.abc import Callable

from lark import Token

from pgcompile.syntax import endings, signs
from pgcompile.syntax.expected import expected
from pgcompile.syntax.place import Message, Place

_RULES: tuple[Callable[[Place], Message | None], ...] = (
    signs.after_bar,
    endings.spilled_operand,
    endings.nothing_after,
    endings.keyword_as_name,
    endings.order,
    signs.argument,
    signs.arrows,
    signs.equals,
    endings.operand,
    signs.bars,
    signs.colons,
    signs.semicolon,
    signs.commas,
    signs.brackets,
    endings.unfinished,
)


def syntax_message(tokens: list[Token], found: Token | None, accepts: set[str]) -> Message:
    """The message for the first token that does not fit.

    Args:
        tokens: the whole statement.
        found: the token that does not fit, None where the statement ends too early.
        accepts: the terminals that could have stood there.
    """
    index = len(tokens) if found is None else next(i for i, t in enumerate(tokens) if t is found)
    place = Place(tokens, index, frozenset(accepts))
    for rule in _RULES:
        message = rule(place)
        if message is not None:
            return message
    return expected(place)
