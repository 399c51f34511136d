"""What to say when a statement cannot be read: in the words of formulas, not of tokens."""

from lark import Token

_OPENERS = {"LPAR": "(", "LSQB": "[", "LBRACE": "{"}
_CLOSERS = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}
_KEYWORDS = frozenset(
    ("CONST PARAM BUFFER INPUT NET FLOW INDEX IN EXTERN REPEAT MAXIMIZE MINIMIZE WRT USING WHERE").split()
)
_BINARY = frozenset(("PLUS MINUS TIMES SLASH AT SHIFT POWER").split())


def syntax_message(tokens: list[Token], found: Token | None, accepts: set[str]) -> tuple[str, str | None]:
    """A sentence and a help for the first token that does not fit.

    Args:
        tokens: the whole statement.
        found: the token that does not fit, None where the statement ends too early.
        accepts: the terminals that could have stood there.
    """
    index = len(tokens) if found is None else next(i for i, t in enumerate(tokens) if t is found)
    before = tokens[index - 1] if index else None
    if before is not None and before.type == "BAR":
        head = _head(tokens, index)
        return f"nothing after the bar in `{head}|`", f"name what it is conditioned on, or write `{head})`"
    if found is not None and found.type in _KEYWORDS and "NAME" in accepts:
        return (
            f"`{found}` is a word of the language and cannot be a name here",
            f"choose another name, such as `{found}_1`",
        )
    if before is not None and before.type == "EQUAL" and found is None:
        return "nothing after `=`", "write what the left side is defined as"
    if before is not None and before.type in _BINARY:
        what = f"`{found}`" if found is not None else "nothing"
        return f"an operand is missing: `{before}` is followed by {what}", None
    if (
        before is not None
        and before.type in ("LPAR", "COMMA")
        and found is not None
        and found.type in ("COMMA", "RPAR")
    ):
        return "an argument is missing here", "write it, or remove the comma"
    if found is not None and found.type == "BAR":
        return "a bar stands in a factor, between its variables and what they are conditioned on", "as in `p(x|z)`"
    if found is not None and found.type == "PARALLEL":
        return "`||` stands between the two sides of a divergence", "as in `KL[q(z|x) || p(z)]`"
    if found is not None and found.type == "EQUAL":
        return "a second `=` in one statement", "one definition a line"
    if found is None:
        return f"the statement ends too early, after `{before}`", _suggestion(accepts)
    return f"`{found}` does not fit here{f', after `{before}`' if before is not None else ''}", _suggestion(accepts)


def _head(tokens: list[Token], bar: int) -> str:
    """The text of the factor up to its bar."""
    for index in range(bar - 1, -1, -1):
        if tokens[index].type == "LPAR" and index:
            return "".join(str(t) for t in tokens[index - 1 : bar - 1])
    return ""


def _suggestion(accepts: set[str]) -> str | None:
    closers = [text for terminal, text in _CLOSERS.items() if terminal in accepts]
    if closers:
        return f"is `{closers[0]}` missing?"
    if accepts == {"EQUAL"}:
        return "is `=` missing?"
    if "COLON" in accepts and "EQUAL" not in accepts:
        return "a declaration is `name : space`, as in `z : real[64]`"
    return None
