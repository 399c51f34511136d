"""The place where a statement stops being readable, and the message about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from lark import Token

from pgcompile.diagnostics import Edit, Span

OPENERS = {"LPAR": "(", "LSQB": "[", "LBRACE": "{"}


CLOSERS = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}


BINARY = frozenset("PLUS MINUS TIMES SLASH AT SHIFT POWER".split())


@dataclass(frozen=True)
class Message:
    """A sentence, a help, a mechanical cure, and the place if it is not the token that did not fit."""

    text: str
    help: str
    edits: tuple[Edit, ...] = ()
    at: Span | None = None


@dataclass(frozen=True)
class Place:
    """Where a statement stops being readable.

    Args:
        tokens: the whole statement.
        index: position of the token that does not fit; the length of `tokens` where the statement ends too early.
        accepts: terminals that could have stood there.
    """

    tokens: list[Token]
    index: int
    accepts: frozenset[str]

    @property
    def found(self) -> Token | None:
        """The token that does not fit, None at the end."""
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    @property
    def before(self) -> Token | None:
        """The token before it."""
        return self.tokens[self.index - 1] if self.index else None

    @property
    def after(self) -> Token | None:
        """The token after it."""
        return self.tokens[self.index + 1] if self.index + 1 < len(self.tokens) else None

    @property
    def kind(self) -> str:
        """Type of the statement's first token."""
        return self.tokens[0].type

    @cached_property
    def opener(self) -> int | None:
        """Position of the bracket that the place stands in."""
        depth = 0
        for position in range(self.index - 1, -1, -1):
            if self.tokens[position].type in CLOSERS:
                depth += 1
            elif self.tokens[position].type in OPENERS:
                if depth == 0:
                    return position
                depth -= 1
        return None

    @property
    def inside(self) -> str | None:
        """Type of the token before that bracket: a name for a factor or call, a functional, an expectation."""
        return self.tokens[self.opener - 1].type if self.opener else None

    def is_found(self, *types: str) -> bool:
        """True if the token that does not fit is one of these."""
        return self.found is not None and self.found.type in types

    def is_before(self, *types: str) -> bool:
        """True if the token before it is one of these."""
        return self.before is not None and self.before.type in types

    def text_after(self) -> str:
        """The tokens after it, with the gaps between them as one space each."""
        rest = self.tokens[self.index + 1 :]
        parts = [str(token) for token in rest[:1]]
        for one, other in pairwise(rest):
            gap = (other.start_pos or 0) > (one.end_pos or 0)
            parts.append(f" {other}" if gap else str(other))
        return "".join(parts)

    def replaced(self, text: str) -> tuple[Edit, ...]:
        """The edit that puts another text in the place of the token that does not fit."""
        return (Edit(span(self.found), text),) if self.found is not None else ()


def span(token: Token) -> Span:
    """The place of a token."""
    start = token.start_pos or 0
    return Span(start, token.end_pos or start + len(token))


def head(place: Place) -> str:
    """The text of a factor or call up to the place, such as `p(x`."""
    assert place.opener is not None
    end = place.index - 1 if place.is_before("BAR") else place.index
    return "".join(str(t) for t in place.tokens[max(place.opener - 1, 0) : end])


def types_before(place: Place) -> frozenset[str]:
    return frozenset(t.type for t in place.tokens[: place.index])
