"""Reports characters that stand in no formula, in words for people who come from other languages."""

import re

from lark import Token

from pgcompile.diagnostics import Edit, Sink, Span
from pgcompile.syntax.place import span as span_of

# Characters that other languages use, and what this one writes instead.
_CHARACTERS = {
    '"': "a text is the equation of `einsum`, or names a `file`: write names and formulas without quotes",
    "'": "a text is the equation of `einsum`, or names a `file`: write names and formulas without quotes",
    ".": "batch dimensions are never written, as in `real[784]`; functions and layers are named alone",
    ">": "layers are joined by `>>`",
    "<": "this looks like another language",
    "%": "there is no remainder; a comment begins with `#`",
    "!": "there is no negation; `log x!` is part of a family",
    "?": "remove it; text belongs behind a `#`",
    "&": "factors are multiplied by writing them side by side, terms are added with `+`",
    "\\": "this LaTeX command is not known; names are letters and Greek, fonts such as \\mathbf{x} are allowed",
    "`": "write the formula without backquotes",
}


def report_character(token: Token, sink: Sink) -> None:
    """Report one character, with what this language writes instead."""
    span = span_of(token)
    text = str(token)
    if token.type == "STRING":
        text, span = text[0], Span(span.start, span.start + 1)
    module = re.search(r"(torch|np|numpy|nn|F|jnp|math|pyro|dist|D)$", sink.source.text[: span.start])
    if text == "." and module is not None:
        rest = re.match(r"\.(?:\w+\.)*(\w*)", sink.source.text[span.start :])
        what = rest[1] if rest is not None and rest[1] else "exp"
        if module[1] == "pyro":
            sink.add(
                "PGC005",
                Span(span.start - 4, span.end),
                "`pyro.` has no meaning: a random variable is defined by its factor",
                help="write `p(z) = Normal(0, 1)` and `z : real`",
            )
            return
        place = Span(span.start - len(module[1]), span.start)
        sink.add(
            "PGC005",
            place,
            f"`{module[1]}.` has no meaning: functions, layers and families are named alone",
            help=f"write `{what}`",
            edits=(Edit(Span(place.start, span.start + (rest.end(1) - len(what) if rest else 1)), ""),),
        )
        return
    if text == "\\":
        # The whole command is wrong, not only its first character.
        word = re.match(r"\\[a-zA-Z]*", sink.source.text[span.start :])
        assert word is not None
        text, span = word[0], Span(span.start, span.start + len(word[0]))
    number = f" (U+{ord(text):04X})" if len(text) == 1 and not text.isascii() else ""
    sink.add(
        "PGC005",
        span,
        f"`{text}`{number} has no meaning in a formula",
        help=_CHARACTERS.get(str(token)[0], "remove it; text belongs behind a `#`"),
    )
