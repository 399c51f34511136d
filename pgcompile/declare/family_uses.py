"""Uses of families: `Normal(loc, scale) where ...` with its parameters in order, and what can be wrong in it."""

import re
from fractions import Fraction

from pgcompile.diagnostics import Sink, Span, suggest
from pgcompile.inference.expression_maker import substituted
from pgcompile.model.factors import FamilyUse
from pgcompile.model.literals import evaluate
from pgcompile.model.model import Model
from pgcompile.model.nets import ExternNetwork
from pgcompile.syntax import tree
from pgcompile.syntax.tree import names_in
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.family import Family
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.layers import LAYERS
from pgcompile.vocabulary.synonyms import PARAMETERS
from pgcompile.vocabulary.truncated_names import is_family_name
from pgcompile.vocabulary.truncation import family_named


def is_family(value: tree.Call, model: Model) -> bool:
    """True if a call on the right side is meant as a family rather than as another factor."""
    if is_family_name(value.name):
        return True
    if value.name in model.nets or value.name in FUNCTIONS:
        return not any(value.name == f.name for f in model.factors)
    keyword = any(a.name is not None or not isinstance(a.value, tree.Name) for a in value.args)
    return keyword or value.name[:1].isupper()


def read_family_use(call: tree.Call, bindings: tuple[tree.Binding, ...], model: Model, sink: Sink) -> FamilyUse | None:
    """A family with its parameters, defaults filled in.

    Args:
        call: `Normal(m, s)`.
        bindings: of its `where`.
        model: nets and constants.
        sink: where faults go.

    Returns:
        The family with its parameters in the family's order; None after a report.
    """
    family = family_named(call.name, tuple(a.name for a in call.args if a.name is not None))
    if family is None:
        _report_unknown_family(call, model, sink)
        return None
    if family.name == "Multinomial" and _count_varies(call, model):
        family = families()["VaryingMultinomial"]
    names = [p.name for p in family.parameters]
    outputs = expand_outputs(call, names, model)
    if outputs is not None:
        binding, found = outputs
        return FamilyUse(family, tuple((n, found[n]) for n in names if n in found), (*bindings, binding))
    read = _read_arguments(call, family, sink)
    if read is None:
        return None
    found, sound = read
    _keep_logits(family, found, sink)
    sound = _check_alternatives(call, family, found, sink, sound=sound)
    sound = _fill_defaults(call, family, found, sink, sound=sound)
    if not sound:
        return None
    found = {n: _identity_as_one(expr, family.parameter(n).rank, bindings, model) for n, expr in found.items()}
    literal = {n: _literal_behind(expr, bindings, model.constants) for n, expr in found.items()}
    return FamilyUse(family, tuple((n, literal[n]) for n in names if n in literal), bindings)


def _count_varies(call: tree.Call, model: Model) -> bool:
    """True if the number of outcomes of a Multinomial is no number of the program: each data point has its own."""
    count = next((a.value for a in call.args if a.name == "total_count"), None)
    count = call.args[0].value if count is None and call.args and call.args[0].name is None else count
    return count is not None and evaluate(count, model.constants) is None and not isinstance(count, tree.ListLiteral)


def expand_outputs(call: tree.Call, names: list[str], model: Model) -> tuple[tree.Binding, dict[str, tree.Expr]] | None:
    """`Normal(encoder(x))`, where the results of an extern net are named as the parameters are.

    Args:
        call: the family's.
        names: of the family's parameters.
        model: nets.

    Returns:
        A binding of the results and the parameters that they are; None for any other call.
    """
    if len(call.args) != 1 or call.args[0].name is not None or not isinstance(call.args[0].value, tree.Call):
        return None
    inner = call.args[0].value
    net = model.nets.get(inner.name)
    if not isinstance(net, ExternNetwork) or len(net.outputs) < 2 or not all(n in names for n, _ in net.outputs):
        return None
    results = tuple(tree.Name(f"{name}", span=inner.span) for name, _ in net.outputs if name)
    return tree.Binding(results, inner, span=inner.span), {name.id: name for name in results}


def _read_arguments(call: tree.Call, family: Family, sink: Sink) -> tuple[dict[str, tree.Expr], bool] | None:
    """The parameters that are given, by name, and whether all are sound; None where there are too many."""
    names = [p.name for p in family.parameters]
    found: dict[str, tree.Expr] = {}
    sound = True
    for position, argument in enumerate(call.args):
        if argument.name is None and position >= len(names):
            sink.add(
                "PGC311",
                argument.span,
                f"{family.name} takes {len(names)} parameters ({', '.join(names)}), and this is one more",
                help=_decimal_help(call, sink) or f"write {family.name}({', '.join(names)})",
            )
            return None
        name: str = argument.name or names[position]
        if name not in names:
            also = {**PARAMETERS[""], **PARAMETERS.get(family.name, {})}
            place = Span(argument.span.start, argument.span.start + len(name))
            sink.add(
                "PGC104",
                argument.span,
                f"{family.name} has no parameter {name}",
                **suggest(name, place, names, f"its parameters are {', '.join(names)}", also),
            )
            sound = False
            continue
        if name in found:
            sink.add("PGC313", argument.span, f"{name} is given twice", help="give it once")
            sound = False
        found[name] = argument.value
    return found, sound


def _keep_logits(family: Family, found: dict[str, tree.Expr], sink: Sink) -> None:
    """Read `probs = sigmoid(l)` as `logits = l`: probabilities would lose digits and be logged again."""
    for name, kept in (("probs", "logits"), ("gate", "gate_logits")):
        probs = found.get(name)
        known = any(kept in group for group in family.alternatives)
        inverse = "softmax" if known and family.parameter(kept).rank else "sigmoid"
        if kept in found or not isinstance(probs, tree.Call) or probs.name != inverse or len(probs.args) != 1:
            continue
        found[kept] = probs.args[0].value
        del found[name]
        text = sink.source.snippet(probs.args[0].value.span)
        sink.add("N104", probs.span, f"{name} = {inverse}({text}) is kept as {kept} = {text}")


def _check_alternatives(
    call: tree.Call, family: Family, found: dict[str, tree.Expr], sink: Sink, *, sound: bool
) -> bool:
    """True if exactly one is given of the parameters that say the same; `sound` says whether all was well before."""
    for group in family.alternatives:
        given = [name for name in group if name in found]
        if len(given) > 1:
            sink.add(
                "PGC313",
                call.span,
                f"{family.name} takes one of {' and '.join(given)}, not both",
                help=f"leave out {given[0]}",
            )
            return False
        if not given and sound:
            sink.add(
                "PGC312",
                call.span,
                f"{family.name} needs {' or '.join(group)}",
                help=f"write {family.name}({group[-1]} = ...)",
            )
            return False
    return sound


def _fill_defaults(call: tree.Call, family: Family, found: dict[str, tree.Expr], sink: Sink, *, sound: bool) -> bool:
    """Add the defaults of parameters that are left out; whether none is missing, and all was well before."""
    for parameter in family.parameters:
        if parameter.name in found or any(parameter.name in group for group in family.alternatives):
            continue
        if parameter.default is not None:
            found[parameter.name] = tree.Number(parameter.default, span=call.span)
        elif sound:
            names = ", ".join(p.name for p in family.parameters)
            sink.add(
                "PGC312",
                call.span,
                f"{family.name} needs {parameter.name}",
                help=_comma_help(call, sink) or f"its parameters are {names}",
            )
            sound = False
    return sound


def _identity_as_one(expr: tree.Expr, rank: int, bindings: tuple[tree.Binding, ...], model: Model) -> tree.Expr:
    """`Normal(0, I)`: papers write the identity where a scale of one number for each entry is meant."""
    known = {*model.variables, *model.tensors, *model.constants, *(n.id for b in bindings for n in b.names)}
    if rank or "I" in known or "I" not in names_in(expr):
        return expr
    one: tree.Expr = substituted(expr, {"I": tree.Number("1")})
    return one


def _literal_behind(expr: tree.Expr, bindings: tuple[tree.Binding, ...], constants: dict[str, Fraction]) -> tree.Expr:
    """The literal that a name of `where` stands for: a table of numbers is one, named or not."""
    named = {b.names[0].id: b.value for b in bindings if len(b.names) == 1}
    value = expr
    while isinstance(value, tree.Name) and value.id in named:
        value = named.pop(value.id)
    return expr if value is expr or evaluate(value, constants) is None else value


# --- reports ---


def report_undeclared(
    call: tree.Call, head: tree.Call, bindings: tuple[tree.Binding, ...], model: Model, sink: Sink
) -> None:
    """Report names in the parameters of an unsound factor that nothing declares: its types are never looked at."""
    if call.name == "truncate":
        return  # what is wrong in it has been said
    nets = {*model.nets, *FUNCTIONS}
    callables = nets | LAYERS.keys() | families().keys()
    variables = [a.value.id for a in (*head.args, *(head.given or ())) if isinstance(a.value, tree.Name)]
    declared = {*model.variables, *model.tensors, *model.constants, *variables, "pi"}
    bound = {n.id for b in bindings for n in b.names}
    for node in tree.walk(*(a.value for a in call.args), *(b.value for b in bindings)):
        if isinstance(node, tree.Name) and node.id not in declared | bound | nets:
            sink.add(
                "PGC101",
                node.span,
                f"{node.id} is not declared",
                **suggest(node.id, node.span, declared, f"declare it, as in `param {node.id} : real`"),
            )
        if isinstance(node, tree.Call) and node.given is None and node.name not in callables:
            sink.add(
                "PGC103",
                node.name_span,
                f"there is no function or net called {node.name}",
                **suggest(node.name, node.name_span, nets, f"declare it: `net {node.name} = Linear(64)`"),
            )


def _report_unknown_family(call: tree.Call, model: Model, sink: Sink) -> None:
    """Report a name that is no family: a net, a function, a layer, or no word of the language."""
    if call.name == "truncate":
        return  # what is wrong in it has been said
    known = families()
    text = " ".join(sink.source.snippet(call.span).split())
    if call.name in model.nets:
        sink.add(
            "PGC102",
            call.name_span,
            f"{call.name} is a net, and a factor is a family of distributions",
            help=f"write Normal({text}, 1), say, or Delta({text}) for the value itself",
        )
        return
    if call.name in model.flows:
        inside = " ".join(sink.source.snippet(call.args[0].span).split()) if call.args else "Normal(0, 1)"
        sink.add(
            "PGC102",
            call.name_span,
            f"{call.name} is a flow, and a factor is a family of distributions",
            help=f"a base seen through it is `Flow({inside}, {call.name})`",
        )
        return
    if call.name in FUNCTIONS:
        sink.add(
            "PGC102",
            call.name_span,
            f"{call.name} is a function, and a factor is a family of distributions",
            help=f"write Delta({text}) for the value itself, or Normal({text}, 1), say",
        )
        return
    also = {other: f.name for f in known.values() for other in f.also_called}
    otherwise = f"families are {', '.join(known)}"
    if call.name in LAYERS:
        otherwise = f"{call.name} is a layer: declare `net f = {call.name}(...)` and write Normal(f(z), 1), say"
    sink.add(
        "PGC102",
        call.name_span,
        f"there is no family called {call.name}",
        **suggest(call.name, call.name_span, () if call.name in LAYERS else known, otherwise, also),
    )


def _comma_help(call: tree.Call, sink: Sink) -> str | None:
    """A question after a forgotten comma, where values stand side by side and a parameter is missing."""
    for argument in call.args:
        if isinstance(argument.value, tree.Product):
            first, second = (" ".join(sink.source.snippet(f.span).split()) for f in argument.value.factors[:2])
            if "*" not in sink.source.snippet(argument.value.span):
                return f"is a comma missing between `{first}` and `{second}`?"
    return None


def _decimal_help(call: tree.Call, sink: Sink) -> str | None:
    """A hint at a decimal point, for `0,5` where too many parameters are given."""
    found = re.search(r"(\d+),(\d+)", sink.source.snippet(call.span))
    return f"if `{found[0]}` is a decimal, write `{found[1]}.{found[2]}`" if found is not None else None
