"""The methods of formulas: objectives, losses, terms, log-densities."""

from dataclasses import replace

from pgcompile.backends.torch.by_place import (
    ALL_TERMS,
    called_by_place,
    called_for_each_place,
    check_per,
    indices_of,
    name_taken,
    places_of,
)
from pgcompile.backends.torch.layout import WIDTH, Line, bare, collection, docstring, stamped, statement
from pgcompile.backends.torch.method_writer import MethodWriter, canonical, category_range
from pgcompile.diagnostics import InternalError
from pgcompile.model.names import identifier
from pgcompile.plan.methods.description import Argument, Form, LossMethod, Method, Procedure
from pgcompile.plan.origin import merged
from pgcompile.plan.values import AxisKind
from pgcompile.syntax.places import shown_place


def formula_method(writer: MethodWriter, method: Method) -> list[Line]:
    """A method that gives the value of one formula."""
    lines = writer.head(identifier(method.name), method.arguments, "Tensor", per=bool(indices_of(method)))
    lines += docstring(method.formula, _shapes(method))
    return [*lines, *_body(writer, method, method.name)]


def _body(writer: MethodWriter, method: Method, name: str) -> list[Line]:
    """The call of another method, or the checks and statements of a method that goes by `name` in the class."""
    if method.same_as is not None:
        return _delegated(writer, method)
    body = writer.body_of(method, [v for _, v in method.outputs])
    body.turns_name = f"_{identifier(name)}_turns" if name.isidentifier() else ""
    name_taken(body, method)
    result = body.write()[0]
    writer.turns += body.methods
    writer.noise[name] = tuple(body.noise)
    returned = stamped(statement(f"return {result.text}"), *body.origins)
    lines = [*body.lines, *places_of(body, method, keyed=False), *returned]
    checks = check_per(writer, name, indices_of(method)) + writer.checks(name, method.arguments, lines)
    return [*checks, *writer.lengths(method.arguments, lines), *lines]


def _delegated(writer: MethodWriter, method: Method) -> list[Line]:
    """The call of the method that computes the value already."""
    delegate = method.same_as
    assert delegate is not None
    writer.noise[method.name] = writer.noise.get(delegate.name, ())
    call = f"self.{identifier(delegate.name)}({', '.join(map(identifier, delegate.arguments))})"
    origins = merged(*(value.origins for _, value in method.outputs))
    match delegate.form:
        case Form.VALUE:
            text = call
        case Form.TERM:
            text = f'{call}["{method.name}"]'
        case Form.MEAN:
            text = f"{call}.mean()"
        case Form.MINUS_MEAN:
            text = f"-{call}.mean()"
        case Form.LOG_PROB:
            raise InternalError(f"{method.name} is no method of its own")
    return stamped(statement(f"return {text}"), *origins)


def loss_method(writer: MethodWriter, loss: LossMethod) -> list[Line]:
    """The scalar that one training line minimises."""
    method = loss.mean
    sign = "minus " if loss.line.direction == "maximize" else ""
    mean = "the batch mean of " if loss.objective.batched else ""
    lines = writer.head(loss.name, method.arguments, "Tensor")
    lines.append(Line(f'        """The scalar to minimise: {sign}{mean}{loss.objective.name}."""'))
    return [*lines, *bare(_body(writer, method, loss.name))]


def terms_method(writer: MethodWriter) -> list[Line]:
    """The method of every named term at once."""
    plan = writer.plan
    method = plan.terms or plan.objectives[0]
    if plan.terms is None or plan.terms_one_by_one:
        return _terms_apart(writer, method.arguments)
    lines = writer.head("terms", method.arguments, "dict", per=bool(indices_of(method)))
    title = ALL_TERMS if indices_of(method) else "Every named term, in one pass."
    lines.append(Line(f'        """{title}"""'))
    body = writer.body_of(method, [v for _, v in method.outputs])
    body.before = max(len(f'    "{name}": ,') for name, _ in method.outputs)
    body.turns_name = "_terms_turns"
    name_taken(body, method)
    results = body.write()[: len(method.outputs)]
    writer.turns += body.methods
    writer.noise["terms"] = tuple(body.noise)
    entries = [f'"{name}": {text.text}' for (name, _), text in zip(method.outputs, results, strict=True)]
    lines += check_per(writer, "terms", indices_of(method)) + writer.checks("terms", method.arguments)
    places = places_of(body, method, keyed=True)
    written = [*body.lines, *places, *stamped(collection("return {", entries, "}"), *body.origins)]
    return [*lines, *writer.lengths(method.arguments, written), *written]


def _terms_apart(writer: MethodWriter, arguments: tuple[Argument, ...]) -> list[Line]:
    """The terms by the methods of each."""
    objectives = writer.plan.objectives
    indices = indices_of(*objectives)
    lines = writer.head("terms", arguments, "dict", per=bool(indices))
    lines.append(Line(f'        """{ALL_TERMS if indices else "Every named term."}"""'))
    if writer.plan.terms_one_by_one:
        writer.noise["terms"] = tuple(noise for m in objectives for noise in writer.noise[m.name])
    calls = {
        m.name: f"self.{identifier(m.name)}({', '.join(identifier(a.name) for a in m.arguments)})" for m in objectives
    }
    if indices and all(indices_of(m) == indices for m in objectives):
        calls = {name: called_by_place(call) for name, call in calls.items()}  # each looks at what is asked for
    elif indices:
        lines += check_per(writer, "terms", indices) + called_for_each_place(objectives, calls)
    return [*lines, *collection("return {", [f'"{name}": {call}' for name, call in calls.items()], "}")]


def procedure_method(writer: MethodWriter, procedure: Procedure) -> list[Line]:
    """A private method of what other methods have in common."""
    names = [identifier(argument.name) for argument in procedure.arguments]
    given = {argument.name for argument in procedure.arguments}
    body = writer.body(procedure.results, names, given)
    texts = [text.text for text in body.write()]
    if len(f"        return {', '.join(texts)}") > WIDTH:
        body = writer.body(procedure.results, names, given)
        body.with_lines = {value.number for value in procedure.results}
        texts = [text.text for text in body.write()]
    writer.noise[procedure.name] = tuple(body.noise)
    kind = "Tensor" if len(texts) == 1 else f"tuple[{', '.join(['Tensor'] * len(texts))}]"
    lines = writer.head(procedure.name, procedure.arguments, kind)
    *others, last = procedure.callers
    lines += docstring(f"Shared by {', '.join(others)} and {last}", _given_and_results(procedure))
    result = statement(f"return {', '.join(texts)}")
    if len(texts) > 1 and len(result[0].text) > WIDTH:
        result = collection("return (", texts, ")")
    written = [*body.lines, *stamped(result, *body.origins)]
    return [*lines, *writer.lengths(procedure.arguments, written), *written]


def _given_and_results(procedure: Procedure) -> str:
    """`x: [..., 784] -> logits [k, ...]`: the axes of a result stand before the batch."""
    results = []
    for value in procedure.results:
        axes = [str(axis.owner) if axis.kind is AxisKind.VALUE else str(axis.size) for axis in value.axes]
        dims = [*axes, *(["..."] if value.batched else []), *map(str, value.shape)]
        results.append(f"{f'{value.hints[0]} ' if value.hints else ''}[{', '.join(dims)}]")
    given = _arguments(procedure.arguments)
    return f"{given} -> {', '.join(results)}" if given else f"-> {', '.join(results)}"


def log_densities(writer: MethodWriter) -> list[Line]:
    """The methods of named models' log-densities, and `log_prob_of`, which finds one by its name."""
    plan = writer.plan
    lines: list[Line] = []
    methods = []
    for label, planned in plan.log_densities:
        if planned.same_as is not None and planned.same_as.form is Form.LOG_PROB:
            continue  # the distribution is found by its name
        if planned.same_as is not None:
            methods.append(f'"{canonical(label)}": self.{identifier(planned.same_as.name)}')
            continue
        method = replace(planned, name=writer.method_name(planned.name))
        lines += [Line(""), *stamped(formula_method(writer, method), *writer.origins_of(label))]
        methods.append(f'"{canonical(label)}": self.{method.name}')
    if not plan.factors and not methods:
        return lines
    lines += [
        Line(""),
        Line("    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:"),
        Line('        """Log-density of a factor or model by its name, per example."""'),
    ]
    if methods and not plan.factors:
        return [
            *lines,
            *collection("methods = {", methods, "}"),
            Line('        if (label := str(name).replace(" ", "")) not in methods:'),
            Line("            raise KeyError(f\"{name} is not one of {', '.join(methods)}\")"),
            Line("        return methods[label](**values)"),
        ]
    if len(methods) == 1:
        key, _, called = methods[0].partition(": ")
        lines += [
            Line(f'        if str(name).replace(" ", "") == {key}:'),
            Line(f"            return {called}(**values)"),
        ]
    elif methods:
        lines += [
            *collection("methods = {", methods, "}"),
            Line('        if (label := str(name).replace(" ", "")) in methods:'),
            Line("            return methods[label](**values)"),
        ]
    writer.use("log_prob_under")
    return [*lines, *_of_a_factor(writer)]


_OF_A_FACTOR = (
    "        factor = self.factor(name)",
    '        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")',
    '        targets, parents = head.split(","), [n for n in rest.split(",") if n]',
    "        if missing := {*targets, *parents} - values.keys():",
    '            raise KeyError(f"{name} needs {min(missing)}")',
    "        asked = {n: values.pop(n) for n in targets}",
    "        found = factor(*[values.pop(n) for n in parents], **values)",
)
"""The rest of `log_prob_of`: the factor's parents and targets by its name; what its name lacks are inputs."""


def _of_a_factor(writer: MethodWriter) -> list[Line]:
    """The rest of `log_prob_of`, for which names with an index are those of Python."""
    lines, model = list(map(Line, _OF_A_FACTOR)), writer.plan.model
    ranges = {n: category_range(model.spaces[n]) for n in model.variables if n not in model.indices.lags}
    kinds = [f"{identifier(name)}={values}" for name, values in ranges.items() if values]
    lines += collection("return log_prob_under(", ["self", "name", "found", "asked", *kinds], ")")
    if not model.indices.carried:
        return lines
    entries = []
    known: list[tuple[str, tuple[str, ...], tuple[str, ...]]]
    known = [(planned.label, planned.factor.targets, planned.factor.parents) for planned in writer.plan.factors]
    known += [(n.label, n.distribution.target_names, tuple(v.name for v in n.parents)) for n in model.named]
    for label, given, by in {entry[0]: entry for entry in known}.values():
        targets, parents = ("[" + ", ".join(f'"{identifier(n)}"' for n in side) + "]" for side in (given, by))
        entries.append(f'"{canonical(label)}": ({targets}, {parents})')
    table = [
        *collection("variables = {", entries, "}"),
        Line('        targets, parents = variables[name.replace(" ", "")]'),
    ]
    return [lines[0], *table, *lines[3:]]


def _shapes(method: Method) -> str:
    """`x: [..., 784] -> [...]`."""
    given = _arguments(method.arguments)
    result = "[...]" if method.batched else "a scalar"
    return f"{given} -> {result}" if given else f"-> {result}"


def _arguments(arguments: tuple[Argument, ...]) -> str:
    """`x: [..., 784], k, j: [...]`; those of one shape that stand beside each other have it once."""
    parts: list[tuple[list[str], str]] = []
    for argument in arguments:
        dims = ", ".join([*([] if argument.is_input else ["..."]), *map(str, argument.dims)])
        shape = f"[{dims}]" if dims else "a number"
        if parts and parts[-1][1] == shape:
            parts[-1][0].append(shown_place(argument.name))
        else:
            parts.append(([shown_place(argument.name)], shape))
    return ", ".join(f"{', '.join(names)}: {shape}" for names, shape in parts)
