"""The possible continuations, in words: the last resort of a message, for every state of the grammar.

A test walks all states of the parser and fails when one has no words.
"""

from __future__ import annotations

from pgcompile.syntax.place import CLOSERS, Message, Place, types_before

# Terminals that can begin a formula, of which every place that takes one accepts at least these.
_FORMULA = frozenset(("NAME", "NUMBER"))


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


def expected(place: Place) -> Message:
    """The last resort: what stands here, and what could."""
    if place.accepts <= {"LSQB", "$END", "EQUAL"} and "COLON" in types_before(place) and place.found is not None:
        return Message(
            f"`{place.found}` has no meaning after a space",
            f"a shape stands in square brackets: `{place.tokens[0]} : real[3]`",
        )
    closer = next((text for terminal, text in CLOSERS.items() if terminal in place.accepts), None)
    after = f" after `{place.before}`" if place.before is not None else " at the start of a statement"
    follows = wanted(place.accepts)
    if place.found is None:
        return Message(f"the statement ends too early{after}", f"{follows} must follow" if follows else "finish it")
    help = f"is `{closer}` missing?" if closer and place.opener is not None else f"{follows} can follow"
    return Message(f"`{place.found}` has no meaning{after}", help)


def wanted(accepts: frozenset[str]) -> str:
    """The possible continuations at a place, in words; empty where no phrase is known (which no state may be)."""
    for terminals, phrase in _PHRASES:
        if terminals <= accepts:
            return phrase
    return ""


def describes(accepts: set[str]) -> bool:
    """True if a place that accepts these terminals can be described."""
    return bool(wanted(frozenset(accepts)))
