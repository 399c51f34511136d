"""Starts of recurrences: what stands before the first place, or behind the last."""

from dataclasses import replace

from pgcompile.diagnostics import Sink
from pgcompile.model.indices import Indices, Lag
from pgcompile.syntax import tree
from pgcompile.syntax.places import shown_place
from pgcompile.syntax.subscripts import Literal


def find_starts(indices: Indices, statements: list[tree.Statement], firsts: list[tree.Definition], sink: Sink) -> None:
    """Find where each recurrence starts, or report that it does not.

    Args:
        indices: of the program; gets the starts.
        statements: with names of templates.
        firsts: the factors of first places.
        sink: where faults go.
    """
    defined = _defined(statements)
    own = {n for first in firsts if isinstance(first.left, tree.Call) for a in first.left.args for n in _names(a)}
    for name, lag in list(indices.lags.items()):
        if lag.reach:
            continue
        base = lag.of.rpartition("_{")[0]
        places = [Literal(1 - k) if lag.offset < 0 else Literal(k, end=True) for k in range(abs(lag.offset), 0, -1)]
        names = [place.named(base) for place in places]
        missing = [n for n in names if n not in defined]
        starts: tuple[tree.Expr, ...] = tuple(tree.Name(n, span=lag.span) for n in names)
        if missing:
            starts = tuple(tree.Number("0", span=lag.span) for _ in names)
            if lag.of not in own or lag.offset != -1:  # else the first place has its own factor, and this is never seen
                _report(name, lag, base, missing, sink)
        indices.lags[name] = replace(lag, starts=starts)


def _defined(statements: list[tree.Statement]) -> set[str]:
    """The names that a program defines, draws or declares."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case tree.Definition(tree.Name(id), _):
                found.add(id)
            case tree.Definition(tree.Call(args=arguments), _):
                found |= {n for a in arguments for n in _names(a)}
            case tree.SpaceDeclaration(names=names) | tree.TensorDeclaration(names=names):
                found |= {n.id for n in names}
            case _:
                pass
    return found


def _names(argument: tree.Argument) -> set[str]:
    return {argument.value.id} if isinstance(argument.value, tree.Name) else set()


def _report(name: str, lag: Lag, base: str, missing: list[str], sink: Sink) -> None:
    where = "behind the last place" if lag.offset > 0 else "before the first place"
    start = f"{base}_{{T+1}}" if lag.offset > 0 else missing[-1].replace("_before_1", "_{-1}")
    help = f"say what {start} is: `{start} = 0`, or `p({start}) = ...`"
    if lag.offset == -1:
        help += f", or give the first place a factor of its own: `p({base}_1) = ...`"
    sink.add("PGC119", lag.span, f"{name} has no start: there is no {shown_place(lag.of)} {where}", help=help)
