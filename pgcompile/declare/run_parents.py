"""Factors of a family that are conditioned on a whole sequence, `q(z|x_{1:T}) = Normal(...)`, with what to write."""

from dataclasses import replace

from pgcompile.diagnostics import Sink
from pgcompile.model.indices import Indices
from pgcompile.syntax import tree
from pgcompile.syntax.subscripts import Slice, subscripts
from pgcompile.vocabulary.truncated_names import is_family_name


def without_run_parents(program: tree.Program, indices: Indices, sink: Sink) -> tree.Program:
    """The program without those factors, each of which is reported."""
    kept = tuple(s for s in program.statements if not _reported(s, indices, sink))
    return program if kept == program.statements else replace(program, statements=kept)


def _reported(statement: tree.Statement, indices: Indices, sink: Sink) -> bool:
    match statement:
        case tree.Definition(tree.Call(name, args, (*given,)), right):
            value = right.value if isinstance(right, tree.Where) else right
            if not isinstance(value, tree.Call) or not is_family_name(value.name):
                return False
        case _:
            return False
    targets, parents = ([_run_of(a, indices) for a in side] for side in (args, given))
    run = next((p for p in parents if p is not None), None)
    if run is None or any(t is not None for t in targets):
        return False
    (own, *_) = (a.value.id for a in args if isinstance(a.value, tree.Name))
    found = subscripts(own, indices)
    inside = run.partition("_{")[2].rstrip("}")  # as in 1:T
    index = next((name for name, known in indices.ranges.items() if Slice(inside).is_all(known)), "t")
    base = run.partition("_")[0]
    summary = f"e_{index}" if found is not None else f"e_{inside.rpartition(':')[2]}"
    sink.add(
        "PGC010",
        statement.left.span,
        f"a factor of a family that is conditioned on {run}, many places at once, is not part of this version",
        help=f"name what a net makes of them, `e_{{{inside}}} = f({run})` or `r = mean_{index} f({base}_{index})`, "
        f"and use {summary} or r in it",
    )
    sink.unread.add(name)
    return True


def _run_of(argument: tree.Argument, indices: Indices) -> str | None:
    if not isinstance(argument.value, tree.Name):
        return None
    found = subscripts(argument.value.id, indices)
    reaches = [p.reach(indices) for p in found[1] if isinstance(p, Slice)] if found is not None else []
    return argument.value.id if any(reach is not None and reach[1] == "all" for reach in reaches) else None
