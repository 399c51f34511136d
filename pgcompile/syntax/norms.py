"""Bars around a value, as papers write norms: `||a||` for `norm(a)`, `|a|` for `abs(a)`.

A bar also parts a factor's variables from what they are conditioned on, and two bars the sides of a divergence. Which
is meant follows from what stands before: a bar where a value is wanted opens a pair; one behind a value closes the pair
that is open in the same brackets; any other bar keeps its meaning, except that it opens a pair where no factor and no
divergence could have one.
"""

from dataclasses import dataclass

from lark import Token

from pgcompile.syntax.place import CLOSERS, OPENERS

_VALUE_ENDS = frozenset(("NAME", "NUMBER", "STRING", "SUPERSCRIPT", *CLOSERS))
_NORMS = {"_1": ("sum", "abs"), "_2": ("norm",), "_{1}": ("sum", "abs"), "_{2}": ("norm",), "_F": ("norm",)}


@dataclass(frozen=True)
class _Pair:
    """The places of an opening and a closing bar, and the functions that they stand for."""

    first: int
    last: int
    functions: tuple[str, ...]
    order: int  # tokens of a subscript behind the closing bar


def bars_as_calls(tokens: list[Token]) -> list[Token]:
    """The tokens of a statement with pairs of bars as calls of `norm` and `abs`, in the places of the bars."""
    if not any(token.type in ("BAR", "PARALLEL") for token in tokens):
        return tokens
    opening: dict[int, _Pair] = {}
    closing: dict[int, _Pair] = {}
    for pair in _pairs(tokens):
        opening[pair.first] = closing[pair.last] = pair
    if not opening:
        return tokens
    result: list[Token] = []
    skipped = 0
    for index, token in enumerate(tokens):
        if skipped:
            skipped -= 1
        elif index in opening:
            for name in opening[index].functions:
                result += [Token.new_borrow_pos("NAME", name, token), Token.new_borrow_pos("LPAR", "(", token)]
        elif index in closing:
            result += [Token.new_borrow_pos("RPAR", ")", token) for _ in closing[index].functions]
            skipped = closing[index].order
        else:
            result.append(token)
    return result


def _pairs(tokens: list[Token]) -> list[_Pair]:
    """The pairs of bars; one that nothing closes before its brackets end is none."""
    found: list[_Pair] = []
    levels: list[tuple[int | None, list[int]]] = [(None, [])]  # the opening bracket, and the bars that are open in it
    for index, token in enumerate(tokens):
        if token.type in OPENERS:
            levels.append((index, []))
        elif token.type in CLOSERS and len(levels) > 1:
            levels.pop()
        elif token.type in ("BAR", "PARALLEL"):
            bracket, opened = levels[-1]
            behind = index > 0 and tokens[index - 1].type in _VALUE_ENDS
            if behind and opened and tokens[opened[-1]].type == token.type:
                functions, order = _norm(tokens, index)
                found.append(_Pair(opened.pop(), index, functions, order))
            elif not behind or not _parts(tokens, bracket, token.type):
                opened.append(index)
    return found


def _norm(tokens: list[Token], last: int) -> tuple[tuple[str, ...], int]:
    """The functions that the closing bar of a pair stands for, and the number of tokens of a subscript behind it."""
    if tokens[last].type == "BAR":
        return ("abs",), 0
    after = tokens[last + 1] if last + 1 < len(tokens) else None
    if after is not None and after.type == "NAME" and after.start_pos == tokens[last].end_pos and str(after) in _NORMS:
        return _NORMS[str(after)], 1
    return ("norm",), 0


def _parts(tokens: list[Token], bracket: int | None, kind: str) -> bool:
    """True if a bar behind a value could part a factor or a divergence in these brackets."""
    if bracket is None:
        return False
    before = tokens[bracket - 1].type if bracket else ""
    return before == "FUNCTIONAL" if kind == "PARALLEL" else before == "NAME"
