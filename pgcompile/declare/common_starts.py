"""Starts of recurrences that are the same at all places of the other indices: `h_{n,0} = 0` is `h_0 = 0`."""

from collections.abc import Container
from dataclasses import replace
from typing import Any

from pgcompile.model.indices import IndexRange, Indices
from pgcompile.syntax import tree
from pgcompile.syntax.mapped import mapped
from pgcompile.syntax.subscripts import Literal, subscripts


def ranges_of(program: tree.Program) -> Indices:
    """The indices that a program declares, as far as subscripts need them."""
    declared = [s for s in program.statements if isinstance(s, tree.IndexDeclaration)]
    return Indices({s.name.id: IndexRange(s.name.id, s.high) for s in declared})


def with_common_starts(program: tree.Program) -> tree.Program:
    """The program with such starts, and uses of them, under the name that has no other index.

    One that depends on the places of the other indices is left, and reported where names are read.
    """
    indices = ranges_of(program)
    if len(indices.ranges) < 2:
        return program
    known = (subscripts(n.id, indices) for n in tree.walk(*program.statements) if isinstance(n, tree.Name))
    bases = {found[0] for found in known if found is not None}
    names: dict[str, str] = {}
    for statement in program.statements:
        match statement:
            case tree.Definition(tree.Name(id), right) if (own := common_name(id, indices, bases)) is not None:
                if not any(subscripts(name, indices) for name in tree.names_in(right)):
                    names[id] = own

    def renamed(node: Any) -> Any:
        if isinstance(node, tree.Name):
            return replace(node, id=names[node.id]) if node.id in names else node
        return mapped(node, renamed)

    return replace(program, statements=tuple(map(renamed, program.statements))) if names else program


def common_name(name: str, indices: Indices, bases: Container[str]) -> str | None:
    """`h_0` for `h_{n,0}`, which is spelled `h_n_0` too; None of any other name.

    Args:
        name: in its canonical spelling.
        indices: those that the program declares.
        bases: the variables that have an index.
    """
    base, _, inside = name.rstrip("}").partition("_{")
    parts = inside.split(",")
    if not name.endswith("}"):
        words = name.split("_")
        count = next((i for i, w in enumerate(reversed(words)) if w not in indices.ranges and not w.isdigit()), 0)
        base, parts = "_".join(words[:-count]), words[len(words) - count :]
    starts = [part for part in parts if part not in indices.ranges]
    if base not in bases or len(parts) < 2 or len(starts) != 1:
        return None
    found = subscripts(f"{base}_{{{starts[0]}}}", indices)
    match found:
        case (_, (Literal(place, end),)) if end or place < 1:
            return f"{base}_{place}" if place >= 0 and not end else f"{base}_{{{starts[0]}}}"
        case _:
            return None
