"""Factors of the first place: `p(z_1)` beside `p(z_t|z_{t-1})` is one factor, whose parameters differ at the start."""

from dataclasses import replace
from itertools import count

from pgcompile.diagnostics import Sink
from pgcompile.inference.expression_maker import renamed
from pgcompile.syntax import tree
from pgcompile.syntax.places import places_of, shown_place
from pgcompile.vocabulary.truncated_names import is_family_name
from pgcompile.vocabulary.truncation import family_named


def with_first_places(
    statements: list[tree.Statement], firsts: list[tree.Definition], sink: Sink
) -> list[tree.Statement]:
    """The statements with each factor of the first place put into that of all places.

    Args:
        statements: of the program; the factors of first places are among them.
        firsts: the factors of first places, over names of templates.
        sink: where faults go.
    """
    merged = list(statements)
    for first in firsts:
        assert isinstance(first.left, tree.Call)
        others = [
            s
            for s in merged
            if isinstance(s, tree.Definition)
            and s is not first
            and isinstance(s.left, tree.Call)
            and s.left.name == first.left.name
            and {_id(a) for a in s.left.args} == {_id(a) for a in first.left.args}
        ]
        merged = [s for s in merged if s is not first]
        if len(others) != 1:
            sink.add(
                "PGC119",
                first.left.span,
                "a factor of the first place stands beside one of all the others, and there is none",
                help="define it: `p(z_t|z_{t-1}) = ...`",
            )
            continue
        made = _merged(first, others[0], sink)
        merged = [made if s is others[0] else s for s in merged]
    return merged


def _apart(first: tree.Definition, rest: tree.Definition) -> tree.Definition:
    """A factor of the first place whose clauses bind no name that those of the others bind to something else."""
    if not isinstance(first.right, tree.Where) or not isinstance(rest.right, tree.Where):
        return first
    others = {n.id for b in rest.right.bindings if b not in first.right.bindings for n in b.names}
    known = {n.id for s in (first, rest) for n in tree.walk(s) if isinstance(n, tree.Name)}
    names: dict[str, str] = {}
    for name in (n.id for b in first.right.bindings for n in b.names if n.id in others):
        names[name] = next(f"{name}_first{k or ''}" for k in count() if f"{name}_first{k or ''}" not in known)
    bindings = [b for b in first.right.bindings if {n.id for n in b.names} & names.keys()]
    if not names or any(b in rest.right.bindings for b in bindings):
        return first
    return replace(first, right=renamed(first.right, names))


def _merged(first: tree.Definition, rest: tree.Definition, sink: Sink) -> tree.Definition:
    first = _apart(first, rest)
    start, others = _family(first.right), _family(rest.right)
    assert isinstance(rest.left, tree.Call) and isinstance(first.left, tree.Call)
    names = None if start is None or others is None else (_parameters(start[0]), _parameters(others[0]))
    if (
        start is None
        or others is None
        or names is None
        or start[0].name != others[0].name
        or {*names[0]} != {*names[1]}
    ):
        sink.add(
            "PGC119",
            first.left.span,
            "the factor of the first place is of one family with that of the others, with the same parameters",
            related=[(rest.left.span, "the factor of the others")],
            help="or give the place before it a factor: `p(z_0) = ...`, of any family",
        )
        return rest
    found = places_of(_id(rest.left.args[0]))
    index = found[1][0][0] if found is not None else ""
    given_first = {_id(a) for a in first.left.given or ()}
    beside = {_id(a) for a in rest.left.given or ()} - given_first
    used = {n for value in names[0].values() for n in tree.names_in(value)} & beside
    if used:
        name = min(used)
        sink.add(
            "PGC114",
            first.right.span,
            f"the factor of the first place uses {shown_place(name)}, but is not conditioned on it",
            help=f"write `{first.left.name}(... | {shown_place(name)}) = ...`",
        )
    arguments = tuple(
        tree.Argument(name, tree.AtFirst(names[0][name], value, index, span=value.span), span=value.span)
        for name, value in names[1].items()
    )
    value = replace(others[0], args=arguments)
    bindings = (*start[1], *(b for b in others[1] if b not in start[1]))
    right = tree.Where(value, bindings, span=rest.right.span) if bindings else value
    known = [a.value for a in rest.left.given or ()]
    given = (*(rest.left.given or ()), *(a for a in first.left.given or () if a.value not in known))
    left = replace(rest.left, given=given or None)
    return replace(rest, left=left, right=right)


def _family(expr: tree.Expr) -> tuple[tree.Call, tuple[tree.Binding, ...]] | None:
    """The family of a right side, and what its `where` binds."""
    value, bindings = (expr.value, expr.bindings) if isinstance(expr, tree.Where) else (expr, ())
    return (value, bindings) if isinstance(value, tree.Call) and is_family_name(value.name) else None


def _parameters(call: tree.Call) -> dict[str, tree.Expr]:
    """The parameters of a family by their names."""
    family = family_named(call.name, tuple(a.name for a in call.args if a.name is not None))
    order = [] if family is None else [p.name for p in family.parameters]
    found = {}
    for at, argument in enumerate(call.args):
        name = argument.name or (order[at] if at < len(order) else str(at))
        found[name] = argument.value
    return found


def _id(argument: tree.Argument) -> str:
    return argument.value.id if isinstance(argument.value, tree.Name) else ""
