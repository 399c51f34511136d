"""Settles words that are both a functional and a declared name: the declared one is meant where it can be.

`W[0, 1]` is an entry of `param W : real[3, 2]`, and a Wasserstein distance where no W is declared; `KL(z)` is a call of
`net KL`. What only a functional can have, two sides or options, keeps it one: `W[q || p]`.
"""

from collections.abc import Iterator

from lark import Token

from pgcompile.diagnostics import Sink, Span
from pgcompile.syntax.spelling import canonical_name

_OPENING = {"LPAR": 1, "LSQB": 1, "LBRACE": 1}
_CLOSING = {"RPAR": -1, "RSQB": -1, "RBRACE": -1}
_TENSORS = frozenset(("PARAM", "BUFFER", "INPUT"))
_NETS = frozenset(("NET", "FLOW"))


def disambiguate_indexing(lines: list[list[Token]], sink: Sink) -> list[list[Token]]:
    """The statements, with the words of declared tensors, variables, nets and flows as names.

    Args:
        lines: the tokens of each statement.
        sink: takes a note where a word has both meanings in one program.
    """
    values = {name for line in lines for name in _declared_values(line)}
    nets = {name for line in lines if line[0].type in _NETS for name in _names(line[1:2])}
    return [_settled(line, values | {*_local(line)}, nets, sink) for line in lines]


def _declared_values(line: list[Token]) -> Iterator[str]:
    """Names of a statement that declares tensors, or variables with their space."""
    start = 1 if line[0].type in _TENSORS else 0
    for end, token in enumerate(line[start:], start):
        if token.type == "COLON":
            yield from _names(line[start:end])
        if token.type not in ("NAME", "COMMA"):
            return


def _local(line: list[Token]) -> Iterator[str]:
    """Names that hold in one statement: inputs of a net or flow, and what `where` binds."""
    if line[0].type in _NETS and len(line) > 2 and line[2].type == "LPAR":
        yield from _names(line[3 : _end(line, 2)])
    where = next((i for i, token in enumerate(line) if token.type == "WHERE"), len(line))
    for position in range(where + 1, len(line)):
        if line[position].type == "EQUAL":
            start = position - 1
            while start > where and line[position - 1].type == "RPAR" and line[start].type != "LPAR":
                start -= 1
            yield from _names(line[start:position])


def _names(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        name = canonical_name(str(token)) if token.type == "NAME" else None
        if name is not None:
            yield name


def _settled(line: list[Token], values: set[str], nets: set[str], sink: Sink) -> list[Token]:
    found: list[Token] = []
    position = 0
    while position < len(line):
        word, width = _word(line, position)
        name = canonical_name(str(word)) if word is not None else None
        opener = position + width
        if word is None or name is None or opener >= len(line):
            found.append(line[position])
            position += 1
            continue
        declared = values if line[opener].type == "LSQB" else nets if line[opener].type == "LPAR" else set()
        inside = line[opener + 1 : _end(line, opener)]
        if name in declared and not _has_sides(inside):
            found.append(word)
        else:
            found += line[position:opener]
            if name in values | nets:
                _note(word, sink)
        position = opener
    return found


def _word(line: list[Token], position: int) -> tuple[Token | None, int]:
    """A functional's or expectation's word as a name, and how many tokens it is; None for any other token."""
    token = line[position]
    if token.type in ("FUNCTIONAL", "EXPECT_BARE"):
        return Token.new_borrow_pos("NAME", str(token), token), 1
    if token.type == "EXPECT" and position + 1 < len(line) and line[position + 1].type == "NAME":
        subscript = line[position + 1]
        joined = Token.new_borrow_pos("NAME", f"{token}{subscript}", token)
        joined.end_pos, joined.end_column = subscript.end_pos, subscript.end_column
        return (joined, 2) if token.end_pos == subscript.start_pos else (None, 1)
    return None, 1


def _end(line: list[Token], opener: int) -> int:
    """Position of the bracket that closes the one at `opener`; the end of the statement where none does."""
    depth = 0
    for position in range(opener, len(line)):
        depth += _OPENING.get(line[position].type, 0) + _CLOSING.get(line[position].type, 0)
        if depth == 0:
            return position
    return len(line)


def _has_sides(inside: list[Token]) -> bool:
    """True if there are two sides or options, which no index and no argument has."""
    depth = 0
    for token in inside:
        depth += _OPENING.get(token.type, 0) + _CLOSING.get(token.type, 0)
        if depth == 0 and token.type in ("PARALLEL", "SEMICOLON"):
            return True
    return False


def _note(word: Token, sink: Sink) -> None:
    """Tell which of its two meanings a word has that the program declares and uses as a functional."""
    start, end = word.start_pos or 0, word.end_pos or 0
    sink.add(
        "N107",
        Span(start, end),
        f"this is the functional {word}[...], not the {word} that the program declares",
        help=f"with neither two sides nor options it would be the declared one: call that {word}_1, say",
    )
