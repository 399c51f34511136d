"""Statements that are written as another language would."""

from __future__ import annotations

from difflib import get_close_matches

from lark import Token

from pgcompile.diagnostics import Edit
from pgcompile.syntax.place import CLOSERS, OPENERS, Message, span

_PYTHON = {
    "def": "a net is declared `net f(x) = ...`, an objective `elbo = ...`",
    "class": "a program is a list of formulas; the class is what `pgc compile` writes",
    "import": "a program imports nothing; nets from Python are declared with `extern net`",
    "from": "a program imports nothing; nets from Python are declared with `extern net`",
    "return": "name the formula instead: `elbo = ...`",
    "print": "`pgc explain` prints what an objective becomes",
    "for": "formulas hold for every element and data point at once: no loop is needed",
    "if": "there are no branches; `min`, `max` and `clamp` are functions",
    "lambda": "declare a net: `net f(z) = ...`",
    "model": "a program has no blocks: write the formulas one a line",
    "data": "a program has no blocks: write the formulas one a line",
    "parameters": "a program has no blocks: declare `param mu : real`",
}


_TAILS = {"with": "using", "by": "using", "via": "using", "over": "wrt"}


def foreign_word(tokens: list[Token]) -> Message | None:
    """A statement that begins with a word of another language."""
    first = tokens[0]
    if first.type != "NAME" or len(tokens) < 2:
        return None
    following = tokens[1].type
    word = str(first)
    if word in _PYTHON and following in ("NAME", "NUMBER", "LBRACE", "EXPECT", "FUNCTIONAL", "LOG"):
        what = (
            "is no statement of this language" if word not in ("model", "data", "parameters") else "opens no block here"
        )
        return Message(f"`{word}` {what}", _PYTHON[word], at=span(first))
    if word.lower() in ("maximize", "maximise", "minimize", "minimise") and following not in ("EQUAL", "COLON", "LPAR"):
        return Message(
            f"`{word}` is written in small letters",
            f"write `{word.lower()}`",
            (Edit(span(first), word.lower()),),
            span(first),
        )
    return None


def double_equals(tokens: list[Token]) -> Message | None:
    """`elbo == ...`: a comparison where a definition belongs."""
    depth = 0
    for token in tokens:
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        if depth == 0 and token.type == "EQUAL":
            return None
        if depth == 0 and token.type == "COMPARE" and str(token) == "==":
            return Message(
                "a definition is written with `=`, not `==`", "write `=`", (Edit(span(token), "="),), span(token)
            )
    return None


def foreign_tail(tokens: list[Token]) -> Message | None:
    """`maximize e with Adam`: the optimiser follows `using`."""
    if tokens[0].type not in ("MAXIMIZE", "MINIMIZE"):
        return None
    depth = 0
    for position, token in enumerate(tokens[1:], 1):
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        if depth or position == 1 or token.type != "NAME":
            continue
        word = _TAILS.get(str(token))
        if word is None and tokens[position - 1].type in ("NAME", *CLOSERS) and len(tokens) > position + 1:
            word = next(iter(get_close_matches(str(token), ("using", "wrt"), 1, 0.75)), None)
        if word is not None:
            return Message(
                f"`{token}` has no meaning here: the optimiser follows `using`, what is trained follows `wrt`",
                f"write `{word}`",
                (Edit(span(token), word),),
                span(token),
            )
    return None
