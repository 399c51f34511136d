"""Rules for one sign that does not fit: bars, colons, commas, brackets, arrows."""

from __future__ import annotations

from pgcompile.diagnostics import Edit, Span
from pgcompile.syntax.endings import WANTS
from pgcompile.syntax.expected import wanted
from pgcompile.syntax.place import OPENERS, Message, Place, head, span, types_before
from pgcompile.vocabulary.functionals import listed, synonyms, two_sided

_LAYERS_IN_A_NET = Message(
    "layers are joined in a net of its own", "declare `net f = Linear(64) >> ReLU >> Linear(2)`, and write f(x) here"
)


def after_bar(place: Place) -> Message | None:
    """Nothing after the bar of a factor."""
    if not place.is_before("BAR") or place.opener is None or not place.is_found("RPAR", "RSQB"):
        return None
    text = head(place)
    bar = place.before
    assert bar is not None
    return Message(
        f"nothing after the bar in `{text}|)`",
        f"name what it is conditioned on, or write `{text})`",
        (Edit(span(bar), ""),),
    )


def argument(place: Place) -> Message | None:
    """Nothing between two signs, or in brackets."""
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


def bars(place: Place) -> Message | None:
    """One bar or two where the other, or none, belongs."""
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


def equals(place: Place) -> Message | None:
    """A second `=`, or one where another sign belongs."""
    if not place.is_found("EQUAL"):
        return None
    found, before = place.found, place.before
    assert found is not None
    if before is not None and before.type in ("EQUAL", "COLON") and before.end_pos == found.start_pos:
        sign = "".join(map(str, (before, found)))
        edits = (Edit(span(before).to(span(found)), "="),)
        return Message(f"a definition is written with `=`, not `{sign}`", "write `=`", edits)
    if before is not None and before.type in WANTS and before.type not in ("EQUAL", "COMMA", "BAR"):
        what, help = WANTS[before.type]
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


def colons(place: Place) -> Message | None:
    """A colon anywhere but after the names of variables."""
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
    if place.opener is not None and place.tokens[place.opener].type == "LSQB":
        return Message(
            "there are no slices: an index is a number or a category",
            "cut a vector in equal parts by `(a, b) = f(x)`, or give each part a net of its own",
        )
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
            tuple(Edit(Span(span(t).end, span(t).end), ",") for t in place.tokens[: place.index - 1]),
            span(first),
        )
    if place.tokens[0].type == "INDEX":
        return Message("an index goes over `1..T`, with two dots", "write `..`", place.replaced(".."))
    if place.tokens[0].type == "NUMBER":
        return Message(
            "a name does not start with a digit", f"write `x_{place.tokens[0]} : real`", at=span(place.tokens[0])
        )
    if place.is_before("RPAR"):
        return Message(
            "a factor is defined with `=`; `:` declares the space of a variable",
            "write `p(x) = Normal(0, 1)` and `x : real`",
            place.replaced("="),
        )
    return Message("`:` declares the space of a variable", "as in `x : real[3]`, at the start of a line")


def semicolon(place: Place) -> Message | None:
    """A semicolon that ends a statement, or parts bindings."""
    if not place.is_found("SEMICOLON"):
        return None
    found = place.found
    assert found is not None
    if place.opener is None:
        if any(t.type == "WHERE" for t in place.tokens[: place.index]):
            return Message("bindings of `where` are parted by commas", "write `,`", place.replaced(","))
        rest = place.text_after()
        how = f"start a new line: `{rest}`" if rest else "leave it out"
        return Message("a statement ends with its line, not with `;`", how, place.replaced("\n"))
    if place.inside in ("NAME", "FUNCTIONAL") and place.opener is not None:
        name = str(place.tokens[place.opener - 1])
        if synonyms().get(name, name) == "MI":
            return Message("a mutual information takes the distribution of one given the other", "write `MI[q(z|x)]`")
    return Message("`;` comes before the options of an expectation", "as in `E_{q(z|x); samples = 8}[...]`")


def commas(place: Place) -> Message | None:
    """A comma where another sign belongs."""
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
    return Message(f"a comma does not fit after `{place.before}`", wanted(place.accepts) + " can follow")


def brackets(place: Place) -> Message | None:
    """A bracket of another kind than belongs there."""
    found = place.found
    if found is None or found.type not in OPENERS:
        return None
    if found.type == "LPAR" and place.is_before("RBRACE") and "LSQB" in place.accepts:
        return Message("the body of an expectation stands in square brackets", "write `E_{q(z|x)}[log p(x|z)]`")
    if found.type == "LPAR" and place.kind == "NAME" and "LSQB" in place.accepts and "COLON" in types_before(place):
        return Message("a shape stands in square brackets", f"write `{place.before}[3]`")
    if found.type == "LBRACE" and place.is_before("COLON"):
        return Message("a space is named", "`boolean` is {0, 1}, `category[3]` is {0, 1, 2}, `unit_interval` is [0, 1]")
    if found.type == "LBRACE" and place.is_before("NAME"):
        return Message(f"arguments stand in round brackets: `{place.before}(...)`", "write ( and ) for { and }")
    if found.type == "LPAR" and any(t.type == "REPEAT" for t in place.tokens[: place.index]):
        return Message("what is repeated stands in braces", "write `repeat 5 { ... }`")
    return None


def arrows(place: Place) -> Message | None:
    """An arrow, `in`, `~`, `>>` or `//` where another sign belongs."""
    found = place.found
    if found is None:
        return None
    defining = any(t.type == "EQUAL" for t in place.tokens[: place.index])
    if found.type == "ARROW":
        if place.kind in ("NET", "FLOW"):
            return Message("layers are joined by `>>`", "write `>>`", place.replaced(">>"))
        if place.kind == "EXTERN":
            return Message("an extern net names its inputs", f"write `extern net {place.before}(x) -> real[3]`")
        if defining:
            return _LAYERS_IN_A_NET
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
        if defining:
            return _LAYERS_IN_A_NET
        return Message("`>>` joins the layers of a net", "as in `net f = Linear(64) >> ReLU`")
    if found.type == "SLASH" and place.after is not None and place.after.type == "SLASH":
        return Message(
            "a comment begins with `#`", "write `#` for `//`", (Edit(span(found).to(span(place.after)), "#"),)
        )
    return None
