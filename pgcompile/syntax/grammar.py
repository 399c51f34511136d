"""Finds the grammar file, in a checkout or in an installed wheel, and makes its LALR parser once.

The tables of the parser are kept in `tables.json`: to build them takes longer than to compile a small program.
"""

import hashlib
from functools import cache
from pathlib import Path

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from pgcompile.diagnostics import InternalError
from pgcompile.syntax import tables
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
    text = grammar_text()
    # Tables of another grammar, such as one with a word more, or of another version of lark, are left alone.
    kept = tables.read_tables()
    if kept is not None and (_digest(text), lark.__version__) == (kept.grammar, kept.lark):
        found: Lark = Lark._load_from_dict(kept.data, kept.memo, transformer=Builder())
        return found
    return _built(text, Builder())


def tables_text() -> str:
    """The text of `tables.json`, for the grammar as it is."""
    text = grammar_text()
    data, memo = _built(text, None).memo_serialize([TerminalDef, Rule])
    return tables.tables_text(tables.Tables(_digest(text), lark.__version__, data, memo))


def tables_are_current() -> bool:
    """True if `tables.json` was made from the grammar as it is."""
    kept = tables.read_tables()
    return kept is not None and kept.grammar == _digest(grammar_text())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _built(text: str, transformer: Builder | None) -> Lark:
    return Lark(
        text,
        parser="lalr",
        lexer="basic",
        start="statement",
        transformer=transformer,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )
