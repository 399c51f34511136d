"""Reports of formulas that name no distribution, with what may have been meant instead."""

from collections.abc import Iterable, Mapping

from pgcompile.diagnostics import Sink, Span, suggest
from pgcompile.model.factors import Factor, FactorInstance, base_name, factor_label
from pgcompile.model.model import Model
from pgcompile.model.variable import Variable, variables
from pgcompile.syntax import tree
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.truncated_names import is_family_name, is_truncated


def report_unknown_index(expr: tree.Integral, model: Model, sink: Sink) -> bool:
    """Report a sum over a letter that is neither a variable nor an index, in a program with indices; True if it is."""
    unknown = next((v for v in expr.variables if v.id not in {*model.variables, *model.deterministic}), None)
    if not expr.is_sum or unknown is None or not model.indices.ranges:
        return False
    known = ", ".join(f"sum_{index}" for index in model.indices.ranges)
    message = f"{unknown.id} is neither an index nor a variable"
    sink.add("PGC117", unknown.span, message, help=f"the indices are {', '.join(model.indices.ranges)}: write {known}")
    return True


def report_unknown_factor(
    call: tree.Call,
    targets: tuple[str, ...],
    parents: tuple[str, ...],
    defined: Iterable[str],
    model: Model,
    sink: Sink,
) -> None:
    """Report `p(x|z)` that is no factor of the program.

    Args:
        call: as it is written.
        targets: what it would generate.
        parents: what it would be conditioned on.
        defined: labels of the algebraic definitions.
        model: factors and variables.
        sink: where the report goes.
    """
    declared = {v for f in model.factors for v in (*f.targets, *f.parents)} | set(model.variables)
    for argument in (*call.args, *(call.given or ())):
        if isinstance(argument.value, tree.Name) and argument.value.id not in declared:
            name = argument.value.id
            listed = f"its variables are {', '.join(sorted(declared)) or 'none'}"
            sink.add(
                "PGC101",
                argument.span,
                f"{name} is not a variable of the model",
                **suggest(name, argument.span, declared, listed),
            )
            return
    made = [t for t in targets if t in model.deterministic]
    if made:
        sink.add(
            "PGC108",
            call.span,
            f"{made[0]} is a deterministic variable, and has no density",
            related=[(model.deterministic[made[0]].span, "defined here")],
            help="give it noise instead: a factor of a family with a width, such as Normal",
        )
        return
    label = factor_label(call.name, targets, parents)
    missing = [t for t in targets if not any(t in f.targets for f in model.factors)]
    reasons = [f"no factor generates {', '.join(missing)}"] if missing else []
    # Another factor is another formula: that is for the user to decide, not an edit.
    hint = _factor_help(call.name, targets, parents, defined, model)
    sink.add("PGC108", call.span, f"there is no factor {label}", reasons=reasons, help=hint)


def _factor_help(
    name: str, targets: tuple[str, ...], parents: tuple[str, ...], defined: Iterable[str], model: Model
) -> str:
    """The factor that may be meant; else how to define the one that is written."""
    label = factor_label(name, targets, parents)
    close = _nearest_factor(name, targets, parents, model)
    if close:
        return f"did you mean {close}?"
    wider = [f for f in model.factors if {*f.targets} == {*targets} and {*parents} < {*f.parents}]
    if len(wider) == 1:
        gone = [p for p in wider[0].parents if p not in parents]
        kin = [f for f in model.factors if base_name(f.name) == base_name(wider[0].name) and {*f.targets} & {*gone}]
        joint = " ".join([wider[0].label, *(f.label for f in kin)])
        return (
            f"{label} is a marginal: name it, `{label} = ∫ {joint} {' '.join('d' + g for g in gone)}`, "
            f"or use a bound, `ELBO[{joint} || q]`"
        )
    both = [
        f.label
        for f in model.factors
        if {*f.targets, *f.parents} == {*targets, *parents} and f.targets and f.parents and parents
    ]
    if len(both) == 2:
        return f"did you mean {both[0]} or {both[1]}?"
    known = list(dict.fromkeys([*(f.label for f in model.factors), *defined]))
    listed = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    return f"define it: `{label} = Normal(...)`; the program has {listed or 'none'}"


def _nearest_factor(name: str, targets: tuple[str, ...], parents: tuple[str, ...], model: Model) -> str | None:
    """The factor of another name over the same variables, or the one of this name turned round."""
    same = [f for f in model.factors if {*f.targets} == {*targets} and {*f.parents} == {*parents}]
    turned = [
        f
        for f in model.factors
        if {*f.targets} == {*parents} and {*f.parents} == {*targets} and base_name(f.name) == base_name(name)
    ]
    half = [
        f
        for f in model.factors
        if {*f.targets} == {*targets} and base_name(f.name) == base_name(name) and {*f.parents} < {*parents}
    ]
    if same and turned:
        return None
    for candidates in (same, turned, half):
        if len(candidates) == 1:
            return candidates[0].label
    return None


def report_no_density(
    call: tree.Call,
    made: Factor,
    parents: tuple[str, ...],
    makers: Mapping[Variable, FactorInstance],
    reasons: list[str],
    sink: Sink,
) -> None:
    """Report the density of a deterministic variable that no change of variables gives.

    Args:
        call: as it is written.
        made: the formula of the variable.
        parents: what the density would be conditioned on.
        makers: the factors that generate variables, by variable.
        reasons: why its formula has no inverse; empty where it was not looked at.
        sink: where the report goes.
    """
    target = made.targets[0]
    drawn = [p for p in variables(made.parents) if p in makers]
    hint = (
        "it can be drawn and conditioned on; to score it, give it noise, or an invertible formula such as "
        "2 * x + 1 or exp(x)"
    )
    if drawn and not reasons:
        base = makers[drawn[0]]
        given = tuple(dict.fromkeys((*base.parents, *(p for p in variables(made.parents) if p != drawn[0]))))
        hint = f"write {factor_label(call.name, (target,), given)}"
    sink.add(
        "PGC108",
        call.span,
        f"{target} is a deterministic variable, and has no density {factor_label(call.name, (target,), parents)}",
        related=[(made.span, "defined here")],
        reasons=reasons,
        help=hint,
    )


def report_computed_from(variable: tree.Name, made: Factor, parent: Variable, user: FactorInstance, sink: Sink) -> None:
    """Report a variable that cannot be integrated out, since a parent of a factor is computed from it.

    Args:
        variable: what would be integrated out.
        made: the formula that uses it.
        parent: the parent that is computed with that formula.
        user: the factor that is conditioned on the parent.
        sink: where the report goes.
    """
    text = " ".join(sink.source.snippet(made.span).split())
    sink.add(
        "PGC204",
        variable.span,
        f"{variable.id} cannot be integrated out: {text} is computed from it, "
        f"and {user.label} is conditioned on {parent}",
        related=[(made.span, f"{text} is defined here")],
        help=f"condition {user.label} on {variable.id}, with the formula in its `where {text} = ...`",
    )


def report_unknown_name(name: str, span: Span, model: Model, sink: Sink) -> None:
    """Report a bare name that no factor has."""
    names = sorted({f.name for f in model.factors} | {base_name(f.name) for f in model.factors})
    is_family = is_family_name(name)
    otherwise = f"the program defines {', '.join(f.label for f in model.factors) or 'no factors'}"
    if is_family:
        otherwise = f"{name} needs its parameters: {name}({', '.join(_needed_parameters(name))})"
    elif name == "sum":
        otherwise = "a sum over a variable is written `sum_k p(x|k) p(k)`"
    sink.add(
        "PGC108",
        span,
        f"{name} is a family without its parameters" if is_family else f"there is no distribution called {name}",
        **suggest(name, span, () if is_family else names, otherwise),
    )


def _needed_parameters(family: str) -> list[str]:
    """Parameters that a family must be given."""
    bounds = ["low", "high"] if is_truncated(family) else []
    found = families()[family.removeprefix("Truncated") if bounds else family]
    return [*(p.name for p in found.needed if p.default is None), *bounds]


def report_ambiguous_name(name: str, span: Span, atoms: list[FactorInstance], sink: Sink) -> None:
    """Report a bare name of several factors that are no product."""
    sink.add(
        "PGC109",
        span,
        f"{name} could be any of {', '.join(a.label for a in atoms)}",
        reasons=["together they are no product: they generate a variable twice or condition on each other"],
        help=f"write the one you mean, such as {atoms[0].label}",
    )
