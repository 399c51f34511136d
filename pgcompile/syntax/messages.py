"""What to say when a statement cannot be read: in the words of formulas, not of tokens.

A statement stops being readable at one token. `Place` is what is known there: the tokens before it, the bracket it
stands in, and the terminals that could have stood in its place. Rules are tried in order, the most particular first;
the last one says what could have followed, from a table that names every set of terminals the grammar can ask for (a
test walks all states of the parser and fails when one has no words).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from pgcompile.diagnostics import Edit, Span
from pgcompile.vocabulary.functionals import listed, two_sided

_OPENERS = {"LPAR": "(", "LSQB": "[", "LBRACE": "{"}
_CLOSERS = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}
KEYWORDS = frozenset(
    "CONST PARAM BUFFER INPUT NET FLOW INDEX IN EXTERN REPEAT MAXIMIZE MINIMIZE WRT USING WHERE".split()
)
_BINARY = frozenset("PLUS MINUS TIMES SLASH AT SHIFT POWER".split())
# Terminals that can begin a formula, of which every place that takes one accepts at least these.
_FORMULA = frozenset(("NAME", "NUMBER"))


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
            if self.tokens[position].type in _CLOSERS:
                depth += 1
            elif self.tokens[position].type in _OPENERS:
                if depth == 0:
                    return position
                depth -= 1
        return None

    @property
    def inside(self) -> str | None:
        """Type of the token before that bracket: a name for a factor or call, a functional, an expectation."""
        return self.tokens[self.opener - 1].type if self.opener else None

    def is_found(self, *types: str) -> bool:
        """Whether the token that does not fit is one of these."""
        return self.found is not None and self.found.type in types

    def is_before(self, *types: str) -> bool:
        """Whether the token before it is one of these."""
        return self.before is not None and self.before.type in types

    def replaced(self, text: str) -> tuple[Edit, ...]:
        """The edit that puts another text in the place of the token that does not fit."""
        return (Edit(_span(self.found), text),) if self.found is not None else ()


def _span(token: Token) -> Span:
    start = token.start_pos or 0
    return Span(start, token.end_pos or start + len(token))


def _head(place: Place) -> str:
    """The text of a factor or call up to the place, such as `p(x`."""
    assert place.opener is not None
    end = place.index - 1 if place.is_before("BAR") else place.index
    return "".join(str(t) for t in place.tokens[max(place.opener - 1, 0) : end])


def syntax_message(tokens: list[Token], found: Token | None, accepts: set[str]) -> Message:
    """What to say of the first token that does not fit.

    Args:
        tokens: the whole statement.
        found: the token that does not fit, None where the statement ends too early.
        accepts: the terminals that could have stood there.
    """
    index = len(tokens) if found is None else next(i for i, t in enumerate(tokens) if t is found)
    place = Place(tokens, index, frozenset(accepts))
    for rule in _RULES:
        message = rule(place)
        if message is not None:
            return message
    return _expected(place)


# --- words of other languages --------------------------------------------------------------------------------------

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
        return Message(f"`{word}` {what}", _PYTHON[word], at=_span(first))
    if word.lower() in ("maximize", "maximise", "minimize", "minimise") and following not in ("EQUAL", "COLON", "LPAR"):
        return Message(
            f"`{word}` is written in small letters",
            f"write `{word.lower()}`",
            (Edit(_span(first), word.lower()),),
            _span(first),
        )
    return None


def foreign_tail(tokens: list[Token]) -> Message | None:
    """`maximize e with Adam`: the optimiser follows `using`."""
    if tokens[0].type not in ("MAXIMIZE", "MINIMIZE"):
        return None
    depth = 0
    for position, token in enumerate(tokens[1:], 1):
        depth += (token.type in _OPENERS) - (token.type in _CLOSERS)
        if depth == 0 and position > 1 and token.type == "NAME" and str(token) in ("with", "by", "via", "over"):
            word = "wrt" if token == "over" else "using"
            return Message(
                f"`{token}` has no meaning here: the optimiser follows `using`, what is trained follows `wrt`",
                f"write `{word}`",
                (Edit(_span(token), word),),
                _span(token),
            )
    return None


# --- rules ---------------------------------------------------------------------------------------------------------


def _after_bar(place: Place) -> Message | None:
    if not place.is_before("BAR") or place.opener is None or not place.is_found("RPAR", "RSQB"):
        return None
    head = _head(place)
    bar = place.before
    assert bar is not None
    return Message(
        f"nothing after the bar in `{head}|)`",
        f"name what it is conditioned on, or write `{head})`",
        (Edit(_span(bar), ""),),
    )


def _keyword_as_name(place: Place) -> Message | None:
    if not (place.is_found(*KEYWORDS) and "NAME" in place.accepts) or place.is_found("IN", "USING", "WRT", "WHERE"):
        return None
    return Message(
        f"`{place.found}` is a word of the language and cannot be a name here",
        f"choose another name, such as `{place.found}_1`",
    )


def _nothing_after(place: Place) -> Message | None:
    """A statement that ends after a word or sign that wants something, or goes on at the next statement."""
    before, found = place.before, place.found
    if before is None:
        return None
    spilled = found is None or (found.line != before.line and found.line is not None)
    if spilled and before.type in _WANTS:
        what, help = _WANTS[before.type]
        return Message(f"nothing after `{before}`", f"write {what} after it, as in `{help}`", at=_span(before))
    # `where p(z) = ...`: the binding was read from the next statement.
    if place.index >= 2 and found is not None and before.type == "NAME":
        earlier = place.tokens[place.index - 2]
        if earlier.type in ("WHERE", "COLON") and before.line != earlier.line:
            what, help = _WANTS[earlier.type]
            return Message(f"nothing after `{earlier}`", f"write {what} after it, as in `{help}`", at=_span(earlier))
    if place.is_before("MAXIMIZE", "MINIMIZE") and place.is_found("EQUAL"):
        return Message(
            f"`{before}` is followed by the objective, without `=`", f"write `{before} elbo`", place.replaced("")
        )
    return None


_WANTS = {
    "EQUAL": ("what the left side is", "elbo = ELBO[p || q]"),
    "COLON": ("a space", "x : real[3]"),
    "WHERE": ("a binding", "where h = f(x)"),
    "USING": ("an optimiser", "using Adam(lr = 1e-3)"),
    "WRT": ("what is trained", "wrt encoder, decoder"),
    "MAXIMIZE": ("an objective", "maximize elbo"),
    "MINIMIZE": ("an objective", "minimize loss"),
    "LOG": ("a density", "log p(x|z)"),
    "INTEGRAL": ("a product and its variable", "∫ p(x|z) p(z) dz"),
    "SUM_OVER": ("a variable", "sum_k p(x|k) p(k)"),
    "CONST": ("a name and a number", "const D = 64"),
    "PARAM": ("a name and a space", "param w : real[3]"),
    "BUFFER": ("a name, a space and a value", "buffer m : real[3] = [0, 1, 2]"),
    "INPUT": ("a name and a space", "input beta : real"),
    "NET": ("a name and its layers", "net f = Linear(64) >> ReLU"),
    "FLOW": ("a name and its transforms", "flow f = AffineCoupling(hidden=[64, 64])"),
    "EXTERN": ("a net or a factor", "extern net f(x) -> real[3]"),
    "INDEX": ("a name and its range", "index t in 1..T"),
    "REPEAT": ("a number and transforms", "repeat 5 { AffineCoupling(hidden=[64]) }"),
    "ARROW": ("what comes out", "extern net f(x) -> real[3]"),
    "SHIFT": ("a layer", "Linear(64) >> ReLU"),
    "PROPTO": ("a product of factors", "q(z|x,y) ∝ q_1(z|x) q_2(z|y)"),
    "PARALLEL": ("the second distribution", "KL[q(z|x) || p(z)]"),
    "FRACTION": ("a numerator and a denominator", "\\frac{1}{2}"),
    "SIM": ("a distribution", "E_{z ~ q(z|x)}[log p(x|z)]"),
    "IN": ("a range", "index t in 1..T"),
    "DOTS": ("the end of the range", "index t in 1..T"),
    "EXPECT": ("a distribution and a body", "E_{q(z|x)}[log p(x|z)]"),
    "EXPECT_BARE": ("a body", "E_{q(z|x)}[log p(x|z)]"),
    "FUNCTIONAL": ("the distributions", "KL[q(z|x) || p(z)]"),
    "COMMA": ("what comes next", "x, y : real"),
    "BAR": ("what it is conditioned on", "p(x|z)"),
}


def _operand(place: Place) -> Message | None:
    if not place.is_before(*_BINARY):
        return None
    before = place.before
    what = f"`{place.found}`" if place.found is not None else "nothing"
    return Message(
        f"an operand is missing: `{before}` is followed by {what}",
        f"write what stands after `{before}`, or leave it out",
    )


def _argument(place: Place) -> Message | None:
    if place.is_before("LPAR", "COMMA", "SEMICOLON") and place.is_found("COMMA", "RPAR", "BAR", "RSQB"):
        if place.is_before("LPAR") and place.is_found("BAR"):
            return None
        return Message("something is missing here, between two signs", "write it, or remove the comma")
    if place.is_before("LSQB") and place.is_found("RSQB"):
        if place.inside in ("RBRACE", "EXPECT_BARE", "EXPECT"):
            return Message("an expectation of nothing", "write what is averaged, as in `E_{q(z|x)}[log p(x|z)]`")
        return Message("nothing in the brackets", "a size is written `real[3]`, an entry `z[0]`")
    if place.is_before("PARALLEL") and place.is_found("RSQB", "RPAR"):
        return Message("a divergence has two sides", "write the second, as in `KL[q(z|x) || p(z)]`")
    if place.is_before("ARROW") and place.is_found("RSQB"):
        return Message("nothing after the arrow", "write the new name, as in `p(x)[x -> u]`")
    if place.is_before("LBRACE") and place.is_found("RBRACE"):
        return Message("nothing in the braces", "write a distribution, as in `E_{q(z|x)}[log p(x|z)]`")
    return None


def _bars(place: Place) -> Message | None:
    if place.is_found("BAR"):
        if place.inside == "FUNCTIONAL":
            return Message(
                "the two sides of a divergence are parted by `||`, not by one bar",
                "write `||`, as in `KL[q(z|x) || p(z)]`",
                place.replaced("||"),
            )
        if place.kind in ("NET", "FLOW"):
            return Message("layers are joined by `>>`", "write `>>`", place.replaced(">>"))
        if place.opener is not None and place.tokens[place.opener].type == "LSQB" and place.inside == "NAME":
            name = place.tokens[place.opener - 1]
            return Message(f"a factor has round brackets: `{name}(x|z)`", f"write `{name}(...)` for `{name}[...]`")
        if place.opener is not None and any(t.type == "BAR" for t in place.tokens[place.opener : place.index]):
            return Message(
                "a second bar in one factor",
                "list all that it is conditioned on after one bar: `p(x|z,y)`",
                place.replaced(","),
            )
        return Message("a bar stands in a factor, before what it is conditioned on", "as in `p(x|z)`")
    if place.is_found("PARALLEL"):
        if place.inside == "NAME" and place.opener is not None and place.tokens[place.opener].type == "LPAR":
            return Message("a factor is conditioned by one bar", "write `|`, as in `p(x|z)`", place.replaced("|"))
        if place.inside == "FUNCTIONAL":
            return Message("a divergence has two sides, parted by one `||`", "leave the third out")
        return Message(
            "`||` parts the two sides of a divergence, and this is none that is known",
            f"divergences and bounds with two sides are {listed(two_sided())}, as in `KL[q(z|x) || p(z)]`",
        )
    return None


def _equals(place: Place) -> Message | None:
    if not place.is_found("EQUAL"):
        return None
    found, before = place.found, place.before
    assert found is not None
    if before is not None and before.type in ("EQUAL", "COLON") and before.end_pos == found.start_pos:
        sign = "".join(map(str, (before, found)))
        edits = (Edit(_span(before).to(_span(found)), "="),)
        return Message(f"a definition is written with `=`, not `{sign}`", "write `=`", edits)
    if before is not None and before.type in _WANTS and before.type not in ("EQUAL", "COMMA", "BAR"):
        what, help = _WANTS[before.type]
        return Message(f"`{before}` is followed by {what}", f"as in `{help}`")
    if place.kind in ("PARAM", "BUFFER", "INPUT") and "COLON" in place.accepts:
        word = place.tokens[0]
        return Message(f"{word} {place.before} has no space", f"write `{word} {place.before} : real = ...`")
    if place.kind == "INDEX":
        return Message("an index runs over a range with `in`", "write `index t in 1..T`", place.replaced("in"))
    if place.opener is not None and place.tokens[place.opener].type == "LSQB":
        return Message("a renaming is written with an arrow", "write `->`, as in `p(x)[x -> u]`", place.replaced("->"))
    if any(t.type == "WHERE" for t in place.tokens[: place.index]):
        return Message("bindings of `where` are parted by commas", "as in `where m = f(x), s = g(x)`")
    return Message("a second `=` in one statement", "one definition a line")


def _colons(place: Place) -> Message | None:
    if not place.is_found("COLON"):
        return None
    if place.kind == "CONST":
        return Message("a const is a number, with `=`", "write `const D = 64`", place.replaced("="))
    if place.is_before("NET", "FLOW", "INPUT", "PARAM", "BUFFER", "CONST"):
        return Message(
            f"`{place.before}` is a word of the language and cannot be a name here",
            f"choose another name, such as `{place.before}_1 : real`",
        )
    if "lambda" in map(str, place.tokens[: place.index]):
        return Message("there is no lambda", "write the formula itself: `p(x|z) = Normal(z, 1)`")
    if place.kind in ("NET", "FLOW"):
        return Message("a net is defined with `=`", f"write `{place.tokens[0]} f = ...`", place.replaced("="))
    if place.kind == "EXTERN":
        return Message("the results of an extern net follow an arrow", "write `->`", place.replaced("->"))
    if place.opener is not None and place.tokens[place.opener].type == "LPAR":
        if place.kind in ("MAXIMIZE", "MINIMIZE"):
            return Message("an option is given with `=`", "write `=`", place.replaced("="))
        name = place.tokens[place.opener - 1] if place.opener else ""
        return Message(
            f"what a factor is conditioned on follows a bar: `{name}(x|z)`", "write `|`", place.replaced("|")
        )
    if place.index and all(t.type == "NAME" for t in place.tokens[: place.index]) and place.index > 1:
        names = ", ".join(map(str, place.tokens[: place.index]))
        first = place.tokens[0]
        return Message(
            "several variables of one space are parted by commas",
            f"write `{names} : real`",
            tuple(Edit(Span(_span(t).end, _span(t).end), ",") for t in place.tokens[: place.index - 1]),
            _span(first),
        )
    if place.tokens[0].type == "NUMBER":
        return Message(
            "a name does not start with a digit", f"write `x_{place.tokens[0]} : real`", at=_span(place.tokens[0])
        )
    if place.is_before("RPAR"):
        return Message(
            "a factor is defined with `=`; `:` declares the space of a variable",
            "write `p(x) = Normal(0, 1)` and `x : real`",
            place.replaced("="),
        )
    return Message("`:` declares the space of a variable", "as in `x : real[3]`, at the start of a line")


def _semicolon(place: Place) -> Message | None:
    if not place.is_found("SEMICOLON"):
        return None
    found = place.found
    assert found is not None
    if place.opener is None:
        if any(t.type == "WHERE" for t in place.tokens[: place.index]):
            return Message("bindings of `where` are parted by commas", "write `,`", place.replaced(","))
        return Message("a statement ends with its line, not with `;`", "start a new line", place.replaced("\n"))
    return Message("`;` comes before the options of an expectation", "as in `E_{q(z|x); samples = 8}[...]`")


def _commas(place: Place) -> Message | None:
    if not place.is_found("COMMA"):
        return None
    if place.inside == "FUNCTIONAL":
        return Message("the two sides of a divergence are parted by `||`", "write `||`", place.replaced(" ||"))
    if place.kind in ("NET", "FLOW") and place.opener is None:
        return Message("layers are joined by `>>`", "write `>>`", place.replaced(" >>"))
    if place.is_before("NUMBER") and place.after is not None and place.after.type == "NUMBER":
        return Message("a decimal is written with a point", "write `0.5` for `0,5`", place.replaced("."))
    if any(t.type == "WHERE" for t in place.tokens[: place.index]):
        return Message("several results are bound in brackets", "write `where (m, s) = f(x)`")
    if place.kind == "EXTERN":
        return Message("each result of an extern net has a space", "write `-> (loc: real[3], scale: positive[3])`")
    return Message(f"a comma does not fit after `{place.before}`", _wanted(place.accepts) + " can follow")


def _brackets(place: Place) -> Message | None:
    found = place.found
    if found is None or found.type not in _OPENERS:
        return None
    if found.type == "LPAR" and place.is_before("RBRACE") and "LSQB" in place.accepts:
        return Message("the body of an expectation stands in square brackets", "write `E_{q(z|x)}[log p(x|z)]`")
    if found.type == "LPAR" and place.kind == "NAME" and "LSQB" in place.accepts and "COLON" in _types(place):
        return Message("a shape stands in square brackets", f"write `{place.before}[3]`")
    if found.type == "LBRACE" and place.is_before("COLON"):
        return Message("a space is named", "`boolean` is {0, 1}, `category[3]` is {0, 1, 2}, `unit_interval` is [0, 1]")
    if found.type == "LBRACE" and place.is_before("NAME"):
        return Message(f"arguments stand in round brackets: `{place.before}(...)`", "write ( and ) for { and }")
    if found.type == "LPAR" and any(t.type == "REPEAT" for t in place.tokens[: place.index]):
        return Message("what is repeated stands in braces", "write `repeat 5 { ... }`")
    return None


def _arrows(place: Place) -> Message | None:
    found = place.found
    if found is None:
        return None
    if found.type == "ARROW":
        if place.kind in ("NET", "FLOW"):
            return Message("layers are joined by `>>`", "write `>>`", place.replaced(">>"))
        if place.kind == "EXTERN":
            return Message("an extern net names its inputs", f"write `extern net {place.before}(x) -> real[3]`")
        return Message("a space is declared with `:`", "as in `x : real[3]`", place.replaced(":"))
    if found.type == "IN":
        return Message("a space is declared with `:`", "as in `x : real[3]`", place.replaced(":"))
    if found.type == "SIM" and place.is_before("RPAR"):
        return Message("a factor is defined with `=`", "write `=`", place.replaced("="))
    if found.type == "SIM":
        return Message(
            "a factor says what it generates", f"write `p({place.before}) = Normal(0, 1)`, and `{place.before} : real`"
        )
    if found.type == "SHIFT":
        if place.is_before("EQUAL"):
            return Message("a net begins with a layer", "write one before `>>`, or remove `>>`", place.replaced(""))
        return Message("`>>` joins the layers of a net", "as in `net f = Linear(64) >> ReLU`")
    if found.type == "SLASH" and place.after is not None and place.after.type == "SLASH":
        return Message(
            "a comment begins with `#`", "write `#` for `//`", (Edit(_span(found).to(_span(place.after)), "#"),)
        )
    return None


def _spilled_operand(place: Place) -> Message | None:
    """`e = a /` and a new statement below it: the operator took the next line in."""
    if not place.is_found("EQUAL", "COLON"):
        return None
    for position in range(place.index - 1, 0, -1):
        token, other = place.tokens[position], place.tokens[position - 1]
        if other.line != token.line:
            if other.type in _BINARY:
                return Message(
                    f"an operand is missing: `{other}` is followed by nothing",
                    f"write what stands after `{other}`, or leave it out",
                    at=_span(other),
                )
            return None
    return None


def _order(place: Place) -> Message | None:
    if place.is_found("WRT") and not place.is_before("USING"):
        return Message("`wrt` stands before `using`", "write `maximize elbo wrt q using Adam(lr = 1e-3)`")
    before = place.before
    if before is not None and place.is_found("USING", "WHERE") and before.type in ("WRT", "MAXIMIZE", "MINIMIZE"):
        what, help = _WANTS[before.type]
        return Message(f"nothing after `{before}`", f"write {what} after it, as in `{help}`", at=_span(before))
    if place.is_found("WHERE") and place.kind != "NAME":
        return Message("`where` names values of a factor's parameters", "as in `q(z|x) = Normal(m, s) where m = f(x)`")
    return None


def _unfinished(place: Place) -> Message | None:
    """The statement ends where it must go on."""
    if place.found is not None:
        return None
    if "DIFFERENTIAL" in place.accepts or any(t.type == "INTEGRAL" for t in place.tokens):
        if any(
            t.type == "NAME" and str(t).startswith("d") and i and place.tokens[i - 1].type == "INTEGRAL"
            for i, t in enumerate(place.tokens)
        ):
            return Message("in an integral `dz` stands at the end", "write `∫ p(x|z) p(z) dz`")
        return Message(
            "the integral does not say over what",
            "end it with the variable: `∫ p(x|z) p(z) dz`",
            at=_span(next(t for t in place.tokens if t.type == "INTEGRAL")) if "INTEGRAL" in _types(place) else None,
        )
    if place.is_before("RBRACE") and "LSQB" in place.accepts:
        return Message("the expectation has no body", "write what is averaged, as in `E_{q(z|x)}[log p(x|z)]`")
    if place.kind == "EXTERN" and "ARROW" in place.accepts:
        return Message("the results of an extern net are declared", "write `-> real[3]` after it")
    if place.kind == "CONST":
        return Message("a const has a value", "write `const D = 64`")
    if place.kind in ("NET", "FLOW") and "EQUAL" in place.accepts:
        return Message(f"net {place.tokens[-1]} has no layers", f"write `net {place.tokens[-1]} = Linear(64) >> ReLU`")
    return None


_RULES: tuple[Callable[[Place], Message | None], ...] = (
    _after_bar,
    _spilled_operand,
    _nothing_after,
    _keyword_as_name,
    _order,
    _argument,
    _arrows,
    _equals,
    _operand,
    _bars,
    _colons,
    _semicolon,
    _commas,
    _brackets,
    _unfinished,
)


# --- what could have followed ---------------------------------------------------------------------------------------


def _types(place: Place) -> frozenset[str]:
    return frozenset(t.type for t in place.tokens[: place.index])


def _expected(place: Place) -> Message:
    """The last resort: what stands here, and what could."""
    if place.accepts <= {"LSQB", "$END", "EQUAL"} and "COLON" in _types(place) and place.found is not None:
        return Message(
            f"`{place.found}` has no meaning after a space",
            f"a shape stands in square brackets: `{place.tokens[0]} : real[3]`",
        )
    closer = next((text for terminal, text in _CLOSERS.items() if terminal in place.accepts), None)
    after = f" after `{place.before}`" if place.before is not None else " at the start of a statement"
    wanted = _wanted(place.accepts)
    if place.found is None:
        return Message(f"the statement ends too early{after}", f"{wanted} must follow" if wanted else "finish it")
    help = f"is `{closer}` missing?" if closer and place.opener is not None else f"{wanted} can follow"
    return Message(f"`{place.found}` has no meaning{after}", help)


# What a set of accepted terminals means to a reader, by a terminal that tells it, the most telling first.
_PHRASES: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset(("DIFFERENTIAL",)), "the variable of the integral, such as `dz`,"),
    (_FORMULA, "a formula"),
    (frozenset(("NAME",)), "a name"),
    (frozenset(("NUMBER",)), "a number"),
    (frozenset(("COLON", "COMMA")), "`:` and a space, or another name,"),
    (frozenset(("COLON",)), "`:` and a space"),
    (frozenset(("SIM",)), "`~` and a distribution"),
    (frozenset(("DOTS",)), "`..` and the end of the range"),
    (frozenset(("ARROW",)), "an arrow and what comes out"),
    (frozenset(("SHIFT",)), "`>>` and a layer"),
    (frozenset(("EQUAL",)), "`=` and a formula"),
    (frozenset(("IN",)), "`in` and a range"),
    (frozenset(("LPAR",)), "an opening bracket"),
    (frozenset(("LSQB",)), "an opening square bracket"),
    (frozenset(("LBRACE",)), "an opening brace"),
    (frozenset(("PLUS",)), "an operator, or the end of the line,"),
    (frozenset(("WRT",)), "`wrt`, `using`, or the end of the line,"),
    (frozenset(("USING",)), "`using`, or the end of the line,"),
    (frozenset(("WHERE",)), "`where`, or the end of the line,"),
    (frozenset(("COMMA",)), "a comma, or the closing bracket,"),
    (frozenset(("RPAR",)), "`)`"),
    (frozenset(("RSQB",)), "`]`"),
    (frozenset(("RBRACE",)), "`}`"),
    (frozenset(("$END",)), "the end of the line"),
    (frozenset(("NET",)), "`net`"),
)


def _wanted(accepts: frozenset[str]) -> str:
    """What can stand in a place, in words; empty where no phrase is known (no state of the grammar may be that)."""
    for terminals, phrase in _PHRASES:
        if terminals <= accepts:
            return phrase
    return ""


def describes(accepts: set[str]) -> bool:
    """Whether a place that accepts these terminals can be described."""
    return bool(_wanted(frozenset(accepts)))
