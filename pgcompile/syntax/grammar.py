"""Finds the grammar file, in a checkout or in an installed wheel, and builds its LALR parser once."""

from functools import cache
from pathlib import Path

from lark import Lark

from pgcompile.diagnostics import InternalError
from pgcompile.syntax.builder import Builder
from pgcompile.vocabulary.functionals import word_pattern

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "grammar" / "pgc.lark", _PACKAGE.parent / "grammar" / "pgc.lark")


def grammar_path() -> Path:
    """Where the grammar is: inside the package when installed from a wheel, beside it in a checkout."""
    for place in _PLACES:
        if place.is_file():
            return place
    raise InternalError(f"the grammar file is missing; looked in {', '.join(map(str, _PLACES))}")


def grammar_text() -> str:
    """The grammar with the words that the vocabulary states."""
    text = grammar_path().read_text(encoding="utf-8")
    return text.replace("<functionals>", word_pattern())


@cache
def parser() -> Lark:
    """The parser. It holds no state of a program: builder callbacks are pure functions of their children."""
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer="basic",
        start="statement",
        transformer=Builder(),
        keep_all_tokens=True,
        maybe_placeholders=False,
    )
