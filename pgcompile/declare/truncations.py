"""`truncate(Normal(m, s), low, high)` and `truncate(q(z|x), low = 0)`: a family between two bounds, or beyond one."""

from dataclasses import replace
from fractions import Fraction

from pgcompile.diagnostics import Sink, Span
from pgcompile.model.literals import evaluate
from pgcompile.syntax import tree
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.truncated_names import TRUNCATED

Constants = dict[str, Fraction]
_ENDS = ("low", "high")
_CAN = ", ".join(sorted((*TRUNCATED, "Uniform")))


def read_truncations(program: tree.Program, sink: Sink, constants: Constants) -> tree.Program:
    """The program with truncated families in the place of `truncate`.

    Args:
        program: the tree.
        sink: where faults go.
        constants: of the program, by name.
    """
    if not any(isinstance(n, tree.Call) and n.name == "truncate" for n in tree.walk(*program.statements)):
        return program
    return replace(program, statements=tuple(_read(s, program, sink, constants) for s in program.statements))


def _read(statement: tree.Statement, program: tree.Program, sink: Sink, constants: Constants) -> tree.Statement:
    if not isinstance(statement, tree.Definition):
        return statement
    value, bindings = _parts(statement.right)
    if not _is_truncation(value):
        return statement
    assert isinstance(value, tree.Call)
    ends: dict[str, tree.Expr] = {}
    inner: tree.Expr = value
    seen = {statement.left}
    while _is_truncation(inner):
        assert isinstance(inner, tree.Call)
        here = _bounds(inner.args[1:], inner.span, sink)
        found = _family(inner.args[0].value, program) if inner.args else None
        if here is None or found is None or inner.args[0].value in seen:
            if here is not None:
                message = "truncate takes a family, or a factor of one, and bounds"
                _report(sink, inner.span, message, "truncate(Normal(m, s), low, high)")
            sink.unread.add("truncate")
            whole = found is not None and not _is_truncation(found[0])
            return replace(statement, right=found[0]) if found is not None and whole else statement
        seen.add(inner.args[0].value)
        ends = {n: _nearer(n, here.get(n), ends.get(n), constants) for n in _ENDS if n in here or n in ends}
        inner, more = found
        bindings = (*more, *bindings)
    assert isinstance(inner, tree.Call)
    made = inner
    if _can_be_truncated(inner, value.span, sink):
        made = _between(value, inner, ends, constants)
    else:
        sink.unread.add("truncate")
    return replace(statement, right=tree.Where(made, bindings, span=statement.right.span) if bindings else made)


def _is_truncation(expr: tree.Expr) -> bool:
    return isinstance(expr, tree.Call) and expr.name == "truncate" and expr.given is None


def _between(value: tree.Call, family: tree.Call, ends: dict[str, tree.Expr], constants: Constants) -> tree.Call:
    """The family between bounds; of a Uniform it is one again."""
    names = [p.name for p in families()[family.name].parameters]
    given = [a if a.name is not None else replace(a, name=n) for a, n in zip(family.args, names, strict=False)]
    given += family.args[len(names) :]
    if family.name == "Uniform":
        near = {a.name: _nearer(a.name, ends.get(a.name), a.value, constants) for a in given if a.name in _ENDS}
        given = [replace(a, value=near[a.name]) if a.name in near else a for a in given]
        return replace(value, name="Uniform", args=tuple(given))
    cut = [tree.Argument(name, end, span=end.span) for name, end in ends.items()]
    return replace(value, name=f"Truncated{family.name}", args=(*given, *cut))


def _nearer(name: str, one: tree.Expr | None, other: tree.Expr | None, constants: Constants) -> tree.Expr:
    """The inner one of two bounds of a side, of which one may be missing."""
    if one is None or other is None:
        found = one if one is not None else other
        assert found is not None
        return found
    numbers = [evaluate(expr, constants) for expr in (one, other)]
    if all(isinstance(number, Fraction) for number in numbers):
        first = numbers[0] > numbers[1]  # type: ignore[operator]
        return one if first == (name == "low") else other
    both = tuple(tree.Argument(None, expr, span=expr.span) for expr in (one, other))
    return tree.Call("max" if name == "low" else "min", both, None, span=one.span)


def _bounds(given: tuple[tree.Argument, ...], span: Span, sink: Sink) -> dict[str, tree.Expr] | None:
    """The finite bounds, by their names; None after a report."""
    found: dict[str, tree.Expr] = {}
    left = [n for n in _ENDS if n not in {a.name for a in given}]
    for argument in given:
        name = argument.name or (left.pop(0) if left else "")
        if name not in _ENDS or name in found:
            _report(
                sink,
                argument.span,
                f"truncate has no bound {name}"
                if argument.name and name not in _ENDS
                else "truncate takes two bounds at most",
                "truncate(q(z), low = 0, high = 1)",
            )
            return None
        found[name] = argument.value
    for name, end in found.items():
        if _is_infinite(end, "high" if name == "low" else "low"):
            _report(
                sink,
                end.span,
                f"nothing is {'above' if name == 'low' else 'below'} this bound",
                "truncate(q(z), low = 0)",
            )
            return None
    finite = {n: v for n, v in found.items() if not _is_infinite(v, n)}
    if not finite:
        _report(sink, span, "truncate takes a bound, and here is none", "truncate(q(z), low = 0)")
        return None
    return {n: finite[n] for n in _ENDS if n in finite}


def _is_infinite(expr: tree.Expr, name: str) -> bool:
    """True of `-inf` as the lower bound and `inf` as the upper one."""
    if name == "low":
        return isinstance(expr, tree.Negative) and _is_infinite(expr.operand, "high")
    return isinstance(expr, tree.Name) and expr.id in ("inf", "infinity", "oo")


def _can_be_truncated(family: tree.Call, span: Span, sink: Sink) -> bool:
    """True if the family can be truncated, or is none and reported elsewhere."""
    if family.name in (*TRUNCATED, "Uniform"):
        return True
    if family.name not in families():
        return _report(
            sink, span, f"{family.name} is no family that can be truncated", "truncate(Normal(m, s), low, high)"
        )
    why = "the mass between bounds needs a distribution function, and a draw its inverse"
    return _report(
        sink,
        span,
        f"{family.name} cannot be truncated",
        "truncate(Normal(m, s), low, high)",
        (why, f"these can: {_CAN}"),
    )


def _report(sink: Sink, span: Span, message: str, example: str, reasons: tuple[str, ...] = ()) -> bool:
    sink.add("PGC311", span, message, reasons=list(reasons), help=f"write {example}")
    return False


def _family(expr: tree.Expr, program: tree.Program) -> tuple[tree.Call, tuple[tree.Binding, ...]] | None:
    """The family or the truncation that is truncated, with the bindings of its definition; None where it is none."""
    if not isinstance(expr, tree.Call):
        return None
    if expr.given is None and (expr.name[:1].isupper() or _is_truncation(expr)):
        return expr, ()
    for statement in program.statements:
        if isinstance(statement, tree.Definition) and statement.left == expr:
            value, bindings = _parts(statement.right)
            return (value, bindings) if isinstance(value, tree.Call) else None
    return None


def _parts(right: tree.Expr) -> tuple[tree.Expr, tuple[tree.Binding, ...]]:
    """The right side of a definition, and what its `where` binds."""
    return (right.value, right.bindings) if isinstance(right, tree.Where) else (right, ())
