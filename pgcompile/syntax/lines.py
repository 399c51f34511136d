"""Splits a program into statements: a list of tokens each, by the layout rules of the language.

A statement ends with its line, unless the line ends inside brackets or after a binary operator, `=` or a comma,
or the next line is indented deeper or begins with a binary operator. The whole program may be indented uniformly.
"""

from dataclasses import dataclass, field

from lark import Token

from pgcompile.diagnostics import Sink, Span
from pgcompile.syntax.characters import report_character
from pgcompile.syntax.disambiguation import disambiguate_indexing
from pgcompile.syntax.grammar import parser
from pgcompile.syntax.norms import bars_as_calls
from pgcompile.syntax.place import span as span_of
from pgcompile.syntax.tree import Comment

MAX_CHARACTERS = 4_000_000
MAX_NESTING = 100
MAX_DIGITS = 400

_OPENING = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_CLOSING = {"RPAR": "(", "RSQB": "[", "RBRACE": "{"}
_CONTINUES = frozenset(
    ("PLUS MINUS TIMES SLASH AT EQUAL SHIFT COMMA COLON PROPTO POWER LOG INTEGRAL WHERE USING WRT ARROW").split()
)
_CONTINUATION_STARTS = frozenset(
    ("PLUS MINUS TIMES SLASH AT SHIFT EQUAL PROPTO WHERE USING WRT RPAR RSQB RBRACE").split()
)
_BEFORE_VALUES = (_CONTINUES - {"USING", "WRT", "COLON"}) | frozenset(
    "BAR PARALLEL LPAR LSQB LBRACE COMPARE MINIMIZE MAXIMIZE".split()
)
_STATEMENT_WORDS = frozenset(("CONST PARAM BUFFER INPUT NET FLOW INDEX EXTERN MAXIMIZE MINIMIZE").split())


@dataclass
class Line:
    """The tokens of one statement; `broken` when its brackets do not match (already reported)."""

    tokens: list[Token] = field(default_factory=list)
    broken: bool = False


def split(sink: Sink) -> tuple[list[Line], tuple[Comment, ...]]:
    """The statements and comments of a program. Reports text that is no program, and brackets that do not match."""
    text = sink.source.text
    if not _is_text(sink):
        return [], ()
    tokens = _settle_where(list(parser().lex(text)))
    lines = _mark_differentials(_group(tokens, sink))
    for line, settled in zip(lines, disambiguate_indexing([line.tokens for line in lines], sink), strict=True):
        line.tokens = bars_as_calls(settled)
    read = []
    for line in lines:
        if _report_unknown(line, sink):
            sink.unread |= declared_names(line.tokens)
        else:
            read.append(line)
    return read, _comments(text)


def declared_names(tokens: list[Token]) -> set[str]:
    """The names that an unreadable statement would have declared: the first, up to a colon, bracket or `=`."""
    found = set()
    for token in tokens:
        if token.type == "NAME":
            found.add(str(token).removesuffix(".inv"))
        elif token.type not in _STATEMENT_WORDS and token.type not in ("COMMA", "IN"):
            break
    return found


def _is_text(sink: Sink) -> bool:
    text = sink.source.text
    if len(text) > MAX_CHARACTERS:
        sink.add(
            "PGC002",
            Span(0, 1),
            f"the program has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}",
            help="is this the file you meant?",
        )
        return False
    for offset, char in enumerate(text):
        if char < " " and char not in "\n\r\t\f":
            sink.add(
                "PGC001",
                Span(offset, offset + 1),
                f"this is not a program's text: it holds the control character {ord(char):#04x}",
                help="save the program as plain UTF-8 text",
            )
            return False
    return True


def _settle_where(tokens: list[Token]) -> list[Token]:
    """`where(c, a, b)` is a function wherever a clause of names cannot stand: before a value is complete."""
    found: list[Token] = []
    for index, token in enumerate(tokens):
        called = token.type == "WHERE" and index + 1 < len(tokens) and tokens[index + 1].type == "LPAR"
        complete = index > 0 and tokens[index - 1].type not in _BEFORE_VALUES
        found.append(token.update(type="NAME") if called and not complete else token)
    return found


def _group(tokens: list[Token], sink: Sink) -> list[Line]:
    """Tokens into statements."""
    lines: list[Line] = []
    current: Line | None = None
    opened: list[Token] = []
    base = min((_column(sink, t) for t in _first_of_lines(tokens)), default=0)
    indent = base
    previous: Token | None = None
    for index, token in enumerate(tokens):
        starts_line = previous is None or token.line != previous.line
        if starts_line:
            column = _column(sink, token)
            inside = bool(opened) and not (column == base and _begins_statement(tokens, index))
            if current is None or not (inside or _continues(previous, token, column, indent)):
                if opened and current is not None:
                    _report_unclosed(opened, current, sink)
                opened = []
                current = Line()
                lines.append(current)
                indent = column
        assert current is not None
        current.tokens.append(token)
        if token.type in _OPENING:
            opened.append(token)
            if len(opened) > MAX_NESTING:
                if not current.broken:
                    sink.add(
                        "PGC003",
                        span_of(token),
                        f"brackets are nested more than {MAX_NESTING} deep here",
                        help="name a part of the formula and use the name",
                    )
                current.broken = True
        elif token.type in _CLOSING:
            _close(token, opened, current, sink)
        previous = token
    if opened and current is not None:
        _report_unclosed(opened, current, sink)
    return lines


def _first_of_lines(tokens: list[Token]) -> list[Token]:
    return [t for before, t in zip([None, *tokens], tokens, strict=False) if before is None or t.line != before.line]


def _column(sink: Sink, token: Token) -> int:
    """Where the line of a token begins, be it with a `$` or `\\[` that LaTeX puts before the formula."""
    start, line = sink.source.line_at(token.start_pos or 0)
    before = line[: (token.start_pos or 0) - start]
    return len(before[: len(before) - len(before.lstrip())].expandtabs(8))


def _continues(previous: Token | None, token: Token, column: int, indent: int) -> bool:
    if previous is not None and previous.type in _CONTINUES:
        return True
    return column > indent or token.type in _CONTINUATION_STARTS


def _begins_statement(tokens: list[Token], index: int) -> bool:
    """True if a line inside open brackets looks like a new statement: then the bracket was forgotten.

    It does when it starts with a statement's keyword, or is `name :` or `... ) =` at no depth of its own.
    """
    first = tokens[index]
    if first.type in _STATEMENT_WORDS:
        return True
    if first.type != "NAME":
        return False
    depth = 0
    for position in range(index, len(tokens)):
        token = tokens[position]
        if token.line != first.line:
            return False
        if token.type in _OPENING:
            depth += 1
        elif token.type in _CLOSING:
            depth -= 1
            if depth < 0:
                return False
        elif depth == 0 and token.type == "COLON":
            return True
        elif depth == 0 and token.type == "EQUAL":
            # `loc = f(x),` inside a call is an argument: a statement's line does not end in a comma.
            last = [t for t in tokens[position : position + 200] if t.line == first.line][-1]
            return last.type not in ("COMMA", "RPAR", "RSQB") or tokens[position - 1].type == "RPAR"
    return False


def _close(token: Token, opened: list[Token], line: Line, sink: Sink) -> None:
    if line.broken:
        if opened:
            opened.pop()
        return
    if not opened:
        sink.add(
            "PGC008",
            span_of(token),
            f"this `{token}` closes nothing",
            help=f"remove it, or open `{_CLOSING[token.type]}` before it",
        )
        line.broken = True
        return
    opener = opened.pop()
    if _OPENING[opener.type] != token.type and {opener.type, token.type} != {"LPAR", "RSQB"}:
        sink.add(
            "PGC007",
            span_of(opener),
            f"this `{opener}` is closed by `{token}`",
            related=[(span_of(token), "closed here")],
            help="make the two brackets match",
        )
        line.broken = True
    elif _OPENING[opener.type] != token.type:
        sink.add(
            "PGC007",
            span_of(opener),
            f"this `{opener}` is never closed before `{token}`",
            related=[(span_of(token), "the next closing bracket")],
            help="close it where the factor or call ends",
        )
        line.broken = True


_OPENED = {
    "NAME": "the bracket of `{}`",
    "EXPECT": "the expectation",
    "EXPECT_BARE": "the expectation",
    "RBRACE": "the body of the expectation",
    "FUNCTIONAL": "the bracket of {}",
}


def _report_unclosed(opened: list[Token], line: Line, sink: Sink) -> None:
    if not line.broken:
        opener = opened[-1]
        position = next(i for i, t in enumerate(line.tokens) if t is opener)
        before = line.tokens[position - 1] if position else None
        what = _OPENED.get(before.type, "") if before is not None else ""
        closer = {"LPAR": ")", "LSQB": "]", "LBRACE": "}"}[opener.type]
        sink.add(
            "PGC007",
            span_of(opener),
            f"{what.format(before)} is not closed" if what else f"this `{opener}` is never closed",
            help=f"write `{closer}` where it ends, on this statement",
        )
    line.broken = True


def _mark_differentials(lines: list[Line]) -> list[Line]:
    """After an integral sign, `dz` that is not a call is a differential, not a variable."""
    for line in lines:
        pending = 0
        for index, token in enumerate(line.tokens):
            if token.type == "INTEGRAL":
                pending += 1
            elif pending and token.type == "NAME" and _is_differential(line.tokens, index):
                line.tokens[index] = Token.new_borrow_pos("DIFFERENTIAL", str(token), token)
    return lines


def _is_differential(tokens: list[Token], index: int) -> bool:
    name = str(tokens[index])
    following = tokens[index + 1].type if index + 1 < len(tokens) else "END"
    before = tokens[index - 1].type
    return (
        name.startswith("d")
        and len(name) > 1
        and following not in ("LPAR", "BAR")
        and before in ("RPAR", "RSQB", "DIFFERENTIAL")
    )


def _report_unknown(line: Line, sink: Sink) -> bool:
    """Characters of no formula: one report for a statement, then it is dropped."""
    for index, token in enumerate(line.tokens):
        if token.type == "NUMBER" and len(token) > MAX_DIGITS:
            sink.add(
                "PGC002",
                span_of(token),
                f"this number has {len(token):,} digits; the limit is {MAX_DIGITS}",
                help="write it with an exponent, as in 1e30",
            )
            return True
        if token.type == "UNKNOWN" or _is_misplaced(line.tokens, index):
            if not line.broken:
                report_character(token, sink)
            return True
    return line.broken


def _is_misplaced(tokens: list[Token], index: int) -> bool:
    """True of a text that is no equation of `einsum`, and of a comparison where layers are joined or nothing is yet."""
    before = [str(token) for token in tokens[max(index - 2, 0) : index]]
    match tokens[index].type:
        case "STRING":
            return before not in (["einsum", "("], ["file", "("])
        case "COMPARE":
            return not before or tokens[0].type in ("NET", "FLOW")
        case _:
            return False


def _comments(text: str) -> tuple[Comment, ...]:
    """Every comment; the language has no strings, so `#` always starts one."""
    found = []
    at = text.find("#")
    while at >= 0:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        alone = not text[text.rfind("\n", 0, at) + 1 : at].strip()
        found.append(Comment(text[at:end].rstrip(), Span(at, end), alone))
        at = text.find("#", end)
    return tuple(found)
