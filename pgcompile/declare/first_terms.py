"""Terms of the first place, `log p(z_1)` or `KL[q(z_1|x_1) || p(z_1)]`: of every place, and counted there alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pgcompile.model.indices import Indices
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.subscripts import Literal, Shift, subscripts

Heads = Mapping[tuple[str, tuple[str, ...]], tree.Call]


def heads_of(program: tree.Program, indices: Indices) -> dict[tuple[str, tuple[str, ...]], tree.Call]:
    """The left sides of factors of every place, by their names and the variables that they generate."""
    found: dict[tuple[str, tuple[str, ...]], tree.Call] = {}
    for statement in program.statements:
        head = statement.left if isinstance(statement, tree.Definition) else None
        if isinstance(head, tree.Call):
            parts = [subscripts(n, indices) for a in head.args for n in tree.names_in(a.value)]
            if parts and all(p is not None and all(isinstance(s, Shift) for s in p[1]) for p in parts):
                found[head.name, tuple(p[0] for p in parts if p is not None)] = head
    return found


def of_first_place(
    node: tree.Expr, heads: Heads, indices: Indices, bases: Mapping[str, tuple[str, ...]]
) -> tree.Expr | None:
    """Such a term as a sum over all places; None of any other.

    Args:
        node: a logarithm or a functional.
        heads: of the factors of every place.
        indices: those of the program.
        bases: the indices of each variable.
    """
    names = [n for n in tree.walk(node) if isinstance(n, tree.Name)]
    places = [(n, found) for n in names if (found := subscripts(n.id, indices, bases)) is not None]
    if not places or not all(len(f[1]) == 1 and isinstance(f[1][0], Literal) and not f[1][0].end for _, f in places):
        return None
    index = {bases[f[0]] for _, f in places if f[0] in bases}
    drawn = [c for c in tree.walk(node) if isinstance(c, tree.Call) and _first(c, indices, bases) is not None]
    factors = [c for c in drawn if (c.name, _first(c, indices, bases)) in heads]
    if len(index) != 1 or not factors or len(factors) < len(drawn):
        return None
    ((own, *others),) = index
    if others:
        return None

    def moved(part: Any) -> Any:
        if isinstance(part, tree.Name) and (found := subscripts(part.id, indices, bases)) is not None:
            place = found[1][0]
            assert isinstance(place, Literal)
            offset = place.place - 1
            inside = own if not offset else f"{own}{offset:+d}"
            return replace(part, id=f"{found[0]}_{{{inside}}}" if offset else f"{found[0]}_{own}")
        if isinstance(part, tree.Call) and part in factors and part.given is None:
            key = (part.name, _first(part, indices, bases) or ())
            return replace(part, args=heads[key].args, given=heads[key].given)
        return mapped(part, moved)

    one, zero = (tree.Number(text, span=node.span) for text in ("1", "0"))
    counted = tree.AtFirst(one, zero, own, span=node.span)
    body = tree.Product((counted, moved(node)), span=node.span)
    return tree.OverIndex("sum", tree.Name(own, span=node.span), body, span=node.span)


def _first(call: tree.Call, indices: Indices, bases: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The variables that a factor of the first place generates; None of any other call."""
    names = [a.value.id if isinstance(a.value, tree.Name) else "" for a in call.args]
    found = [subscripts(n, indices, bases) for n in names]
    if not found or any(f is None or f[1] != (Literal(1),) for f in found):
        return None
    return tuple(f[0] for f in found if f is not None)
