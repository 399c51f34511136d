"""Rules for statements that end too early, go on too long, or have their parts in the wrong order."""

from __future__ import annotations

from pgcompile.syntax.place import BINARY, Message, Place, span, types_before

KEYWORDS = frozenset(
    "CONST PARAM BUFFER INPUT NET FLOW INDEX IN EXTERN REPEAT MAXIMIZE MINIMIZE WRT USING WHERE".split()
)


WANTS = {
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
    "MEAN_OVER": ("other rows of the batch", "mean_{x'} p(x'|z)"),
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


def keyword_as_name(place: Place) -> Message | None:
    """A word of the language where a name belongs."""
    if not (place.is_found(*KEYWORDS) and "NAME" in place.accepts) or place.is_found("IN", "USING", "WRT", "WHERE"):
        return None
    return Message(
        f"`{place.found}` is a word of the language and cannot be a name here",
        f"choose another name, such as `{place.found}_1`",
    )


def nothing_after(place: Place) -> Message | None:
    """A statement that ends after a word or sign that wants something, or goes on at the next statement."""
    before, found = place.before, place.found
    if before is None:
        return None
    spilled = found is None or (found.line != before.line and found.line is not None)
    if spilled and before.type in WANTS:
        what, help = WANTS[before.type]
        return Message(f"nothing after `{before}`", f"write {what} after it, as in `{help}`", at=span(before))
    # `where p(z) = ...`: the binding was read from the next statement.
    if place.index >= 2 and found is not None and before.type == "NAME":
        earlier = place.tokens[place.index - 2]
        if earlier.type in ("WHERE", "COLON") and before.line != earlier.line:
            what, help = WANTS[earlier.type]
            return Message(f"nothing after `{earlier}`", f"write {what} after it, as in `{help}`", at=span(earlier))
    if place.is_before("MAXIMIZE", "MINIMIZE") and place.is_found("EQUAL"):
        return Message(
            f"`{before}` is followed by the objective, without `=`", f"write `{before} elbo`", place.replaced("")
        )
    return None


def spilled_operand(place: Place) -> Message | None:
    """`e = a /` and a new statement below it: the operator took the next line in."""
    if not place.is_found("EQUAL", "COLON"):
        return None
    for position in range(place.index - 1, 0, -1):
        token, other = place.tokens[position], place.tokens[position - 1]
        if other.line != token.line:
            if other.type in BINARY:
                return Message(
                    f"an operand is missing: `{other}` is followed by nothing",
                    f"write what stands after `{other}`, or leave it out",
                    at=span(other),
                )
            return None
    return None


def order(place: Place) -> Message | None:
    """`wrt`, `using` and `where` in the wrong place."""
    if place.is_found("WRT") and not place.is_before("USING"):
        return Message("`wrt` stands before `using`", "write `maximize elbo wrt q using Adam(lr = 1e-3)`")
    before = place.before
    if before is not None and place.is_found("USING", "WHERE") and before.type in ("WRT", "MAXIMIZE", "MINIMIZE"):
        what, help = WANTS[before.type]
        return Message(f"nothing after `{before}`", f"write {what} after it, as in `{help}`", at=span(before))
    if place.is_found("WHERE") and place.kind != "NAME":
        return Message("`where` names values of a factor's parameters", "as in `q(z|x) = Normal(m, s) where m = f(x)`")
    return None


def operand(place: Place) -> Message | None:
    """An operator without what stands after it."""
    if not place.is_before(*BINARY):
        return None
    before = place.before
    what = f"`{place.found}`" if place.found is not None else "nothing"
    return Message(
        f"an operand is missing: `{before}` is followed by {what}",
        f"write what stands after `{before}`, or leave it out",
    )


def unfinished(place: Place) -> Message | None:
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
            at=span(next(t for t in place.tokens if t.type == "INTEGRAL"))
            if "INTEGRAL" in types_before(place)
            else None,
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
