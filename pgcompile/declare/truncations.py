"""`truncate(Normal(m, s), low, high)` and `truncate(q(z|x), low, high)`: a family between two bounds."""

from dataclasses import replace

from pgcompile.diagnostics import Sink
from pgcompile.syntax import tree

_TRUNCATED = {"Normal": "TruncatedNormal"}
"""The family that a family becomes between two bounds."""

_PARAMETERS = {"Normal": ("loc", "scale")}


def read_truncations(program: tree.Program, sink: Sink) -> tree.Program:
    """The program with truncated families in the place of `truncate`."""
    if not any(isinstance(n, tree.Call) and n.name == "truncate" for n in tree.walk(*program.statements)):
        return program
    return replace(program, statements=tuple(_read(s, program, sink) for s in program.statements))


def _read(statement: tree.Statement, program: tree.Program, sink: Sink) -> tree.Statement:
    if not isinstance(statement, tree.Definition):
        return statement
    right = statement.right
    value, bindings = (right.value, right.bindings) if isinstance(right, tree.Where) else (right, ())
    match value:
        case tree.Call("truncate", (first, *bounds), None):
            found = _family(first.value, program)
        case _:
            return statement
    if found is None or found[0].name not in _TRUNCATED or len(bounds) != 2:
        sink.add(
            "PGC311",
            value.span,
            "truncate takes a Normal, or a factor that is one, and two bounds",
            reasons=[] if found is None or found[0].name in _TRUNCATED else [f"this is {found[0].name}"],
            help="write truncate(Normal(m, s), low, high)",
        )
        sink.unread.add("truncate")
        return statement if found is None else replace(statement, right=found[0])
    family, inner = found
    names = _PARAMETERS[family.name]
    given = [a if a.name is not None else replace(a, name=n) for a, n in zip(family.args, names, strict=False)]
    ends = [replace(a, name=a.name or n) for a, n in zip(bounds, ("low", "high"), strict=True)]
    made = replace(value, name=_TRUNCATED[family.name], args=(*given, *ends))
    whole = (*inner, *bindings)
    return replace(statement, right=tree.Where(made, whole, span=right.span) if whole else made)


def _family(expr: tree.Expr, program: tree.Program) -> tuple[tree.Call, tuple[tree.Binding, ...]] | None:
    """The family that is truncated, with the bindings of its definition; None where it is none."""
    if not isinstance(expr, tree.Call):
        return None
    if expr.given is None and expr.name[:1].isupper():
        return expr, ()
    for statement in program.statements:
        if isinstance(statement, tree.Definition) and statement.left == expr:
            right = statement.right
            value, bindings = (right.value, right.bindings) if isinstance(right, tree.Where) else (right, ())
            return (value, bindings) if isinstance(value, tree.Call) else None
    return None
