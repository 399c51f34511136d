"""The methods that go through the generative model, parents first: `sample` and `sample_mean`."""

from pgcompile.backends.torch.layout import WIDTH, Line, bare, collection, docstring, shortened, stamped, statement
from pgcompile.backends.torch.method_writer import MethodWriter, with_range
from pgcompile.model.names import factor_attribute, identifier
from pgcompile.plan.methods.description import Sampler, SampleStep
from pgcompile.plan.origin import Origin

FEWEST_STEPS = 6
"""With as many variables, the means are taken by the method that draws."""

_VERBS = {"sample": "Draw from", "sample_mean": "Propagate means through"}
_EITHER = "either"


def sampler_methods(writer: MethodWriter, sampler: Sampler) -> list[list[Line]]:
    """`sample` and `sample_mean`, and what they have in common where that is long."""
    drawn = [step for step in sampler.steps if step.factor is not None]
    if len(drawn) < FEWEST_STEPS or not all(centre_of(writer, step).startswith(".mean") for step in drawn):
        return [[*_head(name, sampler), *_walk(writer, name, sampler)] for name in _VERBS]
    for name in ("draw_of", "mean_of"):
        writer.use(name)
    walk = _head("sample", sampler, ", by=draw_of")
    mean = [*_head("sample_mean", sampler), Line("        return self.sample(shape, given, mean_of)")]
    return [[*walk, *_walk(writer, _EITHER, sampler)], mean]


def _head(name: str, sampler: Sampler, more: str = "") -> list[Line]:
    held = "variables in `given` are held fixed"
    room = WIDTH - len(f'        """{_VERBS[name]} ; {held}."""')
    label = sampler.label if len(sampler.label) <= room else shortened(sampler.label, room - len(" ..."))
    return [
        Line(f"    def {name}(self, shape: tuple = (), given: dict | None = None{more}) -> dict:"),
        *docstring(f"{_VERBS[name]} {label}", held),
    ]


def _walk(writer: MethodWriter, name: str, sampler: Sampler) -> list[Line]:
    """The statements of one sampler, parents first."""
    lines = _conditions(writer, sampler)
    outside = (*sampler.conditions, *(a.name for a in sampler.inputs))
    taken = [identifier(s.variable) for s in sampler.steps] + [identifier(v) for v in outside]
    taken += ["shape", "held", "variables", "by"]
    for step in sampler.steps:
        lines += _step(writer, name, step, taken)
    entries = [f'"{v}": {identifier(v)}' for v in (*(s.variable for s in sampler.steps), *sampler.conditions)]
    return [*lines, *collection("return {", entries, "}")]


def _conditions(writer: MethodWriter, sampler: Sampler) -> list[Line]:
    """The statements that take inputs and conditions out of `given` and settle the batch shape."""
    writer.use("hold")
    ancestors = dict(sampler.ancestors)
    facts = [
        f'"{step.variable}": ({_shape_text(writer, step.variable)}, {_tuple_text(ancestors[step.variable])}'
        f"{with_range(writer.plan.model.spaces[step.variable])})"
        for step in sampler.steps
        if step.factor is not None
    ]
    spaces = writer.plan.model.spaces
    facts += [f'"{v}": ({_shape_text(writer, v)}, (){with_range(spaces[v])})' for v in sampler.conditions]
    lines: list[Line] = []
    if sampler.inputs:
        writer.use("take_inputs")
        names = [a.name for a in sampler.inputs]
        asked = "self, given, {" + ", ".join(f'"{a.name}": {tuple(a.dims)}' for a in sampler.inputs) + "}"
        lines += statement(f"{', '.join(['given', *map(identifier, names)])} = take_inputs({asked})")
    if sampler.conditions:
        writer.use("require_given")
        quoted = ", ".join(f'"{v}"' for v in sampler.conditions)
        lines += statement(f"require_given(given, {quoted})")
    whole = f"shape, held = hold(self, shape, given, {{{', '.join(facts)}}})"
    if len(whole) + 8 <= WIDTH:
        lines.append(Line(f"        {whole}"))
    else:
        lines += collection("variables = {", facts, "}")
        lines.append(Line("        shape, held = hold(self, shape, given, variables)"))
    return lines + [Line(f'        {identifier(v)} = held["{v}"]') for v in sampler.conditions]


def _step(writer: MethodWriter, name: str, step: SampleStep, taken: list[str]) -> list[Line]:
    """The statements of one variable."""
    target = identifier(step.variable)
    if step.factor is None:
        assert step.value is not None
        arguments = {*step.parents, *(a.name for a in step.inputs)}
        body = writer.body([step.value], [n for n in taken if n != target], arguments)
        text = body.write()[0]
        assigned = [] if text.text == target else [Line(f"        {target} = {text.text}")]
        return [*bare(body.lines), *stamped(assigned, *body.origins)]
    parents = ", ".join(identifier(p) for p in (*step.parents, *(a.name for a in step.inputs)))
    drawn = f"self.{writer.method_name(factor_attribute(step.factor))}({parents})"
    if name == _EITHER:
        drawn = f"by({drawn})" if step.batched else f"by({drawn}, shape)"
    elif name == "sample":
        drawn += ".sample()" if step.batched else ".sample(shape)"
    else:
        drawn += centre_of(writer, step)
    line = f'{target} = held["{step.variable}"] if "{step.variable}" in held else {drawn}'
    lines = [Line(f"        {line}")]
    if len(line) + 8 > WIDTH:
        lines = [
            Line(f'        if ({target} := held.get("{step.variable}")) is None:'),
            *_drawn_lines(target, drawn),
        ]
    return stamped(lines, Origin(step.factor.span, step.label))


def _drawn_lines(target: str, drawn: str) -> list[Line]:
    """A draw or a centre; one that is expanded and does not fit is expanded on a line of its own."""
    head, expanded, sizes = drawn.partition(".expand(")
    if expanded and len(f"{target} = {head}{expanded}") + 12 > WIDTH:
        return [*statement(f"{target} = {head}", 12), *statement(f"{target} = {target}.expand({sizes}", 12)]
    return statement(f"{target} = {drawn}", 12)


def centre_of(writer: MethodWriter, step: SampleStep, lead: str = "*shape") -> str:
    """The attribute of a distribution that stands for a draw, with the batch shape where it has none."""
    assert step.factor is not None
    shape = writer.plan.model.spaces[step.factor.targets[0]].shape
    text = ".mean"
    if (family := step.factor.family) is not None:
        wrapped = len(shape) > family.event_rank and family.centre not in ("mean", "mode")
        text = f"{'.base_dist' if wrapped else ''}.{family.centre}"
    if step.batched:
        return text
    sizes = ", ".join([lead, *map(str, shape)])
    return f"{text}.expand({sizes})" if shape or lead != "*shape" else f"{text}.expand(shape)"


def _shape_text(writer: MethodWriter, variable: str) -> str:
    """The event shape of a variable, as Python writes it."""
    return str(tuple(writer.plan.model.spaces[variable].shape))


def _tuple_text(names: tuple[str, ...]) -> str:
    inside = ", ".join(f'"{name}"' for name in names)
    return f"({inside},)" if len(names) == 1 else f"({inside})"
