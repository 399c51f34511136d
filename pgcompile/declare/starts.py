"""Starts of recurrences: what stands before the first place, or behind the last."""

from dataclasses import replace
from typing import TypeGuard

from pgcompile.declare.formulas import is_formula
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
            used = [s for s in statements if _uses(s, name)]
            if lag.of not in own or lag.offset != -1:
                _report(name, lag, base, missing, sink)
            elif alone := next((s for s in used if not _has_first(s)), None):
                # A factor of the first place is for its own distribution; others still need what is before it.
                label = " ".join(sink.source.snippet(alone.left.span).split())
                message = f"{name} has no start in {label}: the factor of the first place is another's"
                help = (
                    f"say what {missing[-1]} is, as in `param {missing[-1]} : ...`, or give {label} a first place too"
                )
                sink.add("PGC119", alone.left.span, message, help=help)
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


def _uses(statement: tree.Statement, name: str) -> TypeGuard[tree.Definition]:
    """True of a definition whose right side speaks of a variable at another place."""
    objective = isinstance(statement, tree.Definition) and is_formula(statement.right)
    return isinstance(statement, tree.Definition) and not objective and name in tree.names_in(statement.right)


def _has_first(statement: tree.Definition) -> bool:
    return any(isinstance(node, tree.AtFirst) for node in tree.walk(statement.right))


def _names(argument: tree.Argument) -> set[str]:
    return {argument.value.id} if isinstance(argument.value, tree.Name) else set()


def _report(name: str, lag: Lag, base: str, missing: list[str], sink: Sink) -> None:
    where = "behind the last place" if lag.offset > 0 else "before the first place"
    start = f"{base}_{{T+1}}" if lag.offset > 0 else missing[-1].replace("_before_1", "_{-1}")
    help = f"say what {start} is: `{start} = 0`, or `p({start}) = ...`"
    if lag.offset == -1:
        help += f", or give the first place a factor of its own: `p({base}_1) = ...`"
    sink.add("PGC119", lag.span, f"{name} has no start: there is no {shown_place(lag.of)} {where}", help=help)
