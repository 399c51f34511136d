"""Every state of the parser has words for what it meets."""

import pytest
from lark import Token

import pgcompile as pgc
from pgcompile.syntax.expected import describes
from pgcompile.syntax.grammar import parser
from pgcompile.syntax.messages import syntax_message


def states() -> dict[int, set[str]]:
    """The terminals that each state of the LALR parser accepts."""
    table = parser().parser.parser._parse_table.states
    found = {state: {name for name in actions if name.isupper() or name == "$END"} for state, actions in table.items()}
    # The states that read a finished statement accept nothing.
    return {state: accepts for state, accepts in found.items() if accepts}


def test_every_state_can_say_what_it_wants() -> None:
    """A change of the grammar that asks for a new set of terminals fails here until it has words."""
    silent = {state: sorted(accepts) for state, accepts in states().items() if not describes(accepts)}
    assert silent == {}


TERMINALS = {t.name: t for t in parser().terminals}
EXAMPLES = {
    "NAME": "x",
    "NUMBER": "2",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "BAR": "|",
    "PARALLEL": "||",
    "EQUAL": "=",
    "COLON": ":",
    "COMMA": ",",
    "SEMICOLON": ";",
    "SHIFT": ">>",
    "ARROW": "->",
    "SLASH": "/",
    "PLUS": "+",
}


def token(kind: str, at: int) -> Token:
    text = EXAMPLES.get(kind, kind.lower())
    return Token(kind, text, at, 1, at + 1, 1, at + len(text) + 1, at + len(text))


# States are numbered as their process pleases: they are told apart by what they accept.
@pytest.mark.parametrize("accepts", sorted({tuple(sorted(a)) for a in states().values()}), ids=" ".join)
def test_every_unexpected_terminal_gets_a_sentence_and_a_help(accepts: tuple[str, ...]) -> None:
    """Each terminal that a state does not accept, after the terminals that come before most: never a token's name."""
    unexpected = [name for name in [*TERMINALS, None] if name not in accepts and name not in ("COMMENT", "SPACING")]
    assert unexpected
    for before in ("NAME", "EQUAL", "LPAR", "BAR", "RPAR", "COMMA"):
        for kind in unexpected:
            tokens = [token("NAME", 0), token("LPAR", 2), token(before, 4)]
            found = token(kind, 6) if kind is not None else None
            message = syntax_message([*tokens, *([found] if found is not None else [])], found, set(accepts))
            assert message.text and message.help
            said = f"{message.text} {message.help}"
            leaked = [name for name in TERMINALS if len(name) > 2 and f" {name} " in f" {said} "]
            assert not leaked


def test_one_bad_statement_does_not_hide_the_next() -> None:
    found = pgc.check("x : real[\nnet f = >> Linear(3)\np(x|) = Normal(0, 1)\ne = KL[q | p]\nmaximize\n")
    assert [d.line for d in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("e := ELBO[p || q]", "e = ELBO[p || q]"),
        ("e == ELBO[p || q]", "e = ELBO[p || q]"),
        ("e = KL[q | p]", "e = KL[q || p]"),
        ("e = KL[q, p]", "e = KL[q || p]"),
        ("x in real[3]", "x : real[3]"),
        ("x, y -> real[3]", "x, y : real[3]"),
        ("x y : real[3]", "x, y : real[3]"),
        ("p(x||z) p(z)", "p(x|z) p(z)"),
        ("p(x:z) p(z)", "p(x|z) p(z)"),
        ("net f = Linear(3) -> ReLU", "net f = Linear(3) >> ReLU"),
        ("net f : Linear(3)", "net f = Linear(3)"),
        ("const D : 3", "const D = 3"),
        ("maximize e with Adam", "maximize e using Adam"),
        ("Maximize e", "maximize e"),
        ("x : real  // the data", "x : real  # the data"),
        ("p(x|) p(z)", "p(x) p(z)"),
        ("index t = 1..T", "index t in 1..T"),
    ],
)
def test_a_mechanical_cure_is_an_edit(wrong: str, right: str) -> None:
    from pgcompile.diagnostics import CompileError
    from pgcompile.diagnostics.fixes import apply_edits
    from pgcompile.diagnostics.source import Source
    from pgcompile.pipeline import parse_only

    with pytest.raises(CompileError) as caught:
        parse_only(Source(wrong))
    [diagnostic] = caught.value.diagnostics
    assert apply_edits(wrong, [diagnostic]) == right
