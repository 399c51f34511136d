"""The methods of exact distributions over finite variables, and of mixtures over one of them."""

from pgcompile.backends.torch.distributions import construct
from pgcompile.backends.torch.layout import Line, bare, docstring, stamped, statement
from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.backends.torch.printer import Text
from pgcompile.model.factors import Factor, FamilyUse
from pgcompile.plan.methods.description import Method, TableMethod
from pgcompile.vocabulary.spaces import FINITE_KINDS

_HEADS = {"category": "D.Categorical", "one_hot": "D.OneHotCategorical"}


def table_method(writer: MethodWriter, table: TableMethod) -> list[Line]:
    """A distribution over finite variables, from the table of its log-probabilities."""
    method = table.method
    single = len(table.variables) == 1
    lines = writer.head(writer.method_name(method.name), method.arguments, "D.Distribution" if single else "TableOf")
    lines += docstring(f"{table.label}, by the values of {', '.join(v for v, _ in table.variables)}", "")
    lines += writer.checks(table.label, method.arguments)
    body = writer.body_of(method, [v for _, v in method.outputs])
    (_, space), *_ = table.variables
    head = _HEADS.get(space.kind, "D.Bernoulli")
    if single and head != "D.Bernoulli":
        body.before = len(f"return {head}(logits=, validate_args=False)")
    text = body.write()[0]
    if not single:
        writer.use("TableOf")
        variables = ", ".join(f'{v}="{FINITE_KINDS.get(s.kind, "boolean")}"' for v, s in table.variables)
        result = statement(f"return TableOf({text.text}, {variables})")
        if len(result) > 1:
            result = statement(f"logits = {text.text}") + statement(f"return TableOf(logits, {variables})")
    elif head == "D.Bernoulli":
        odds = "logits[..., 1] - logits[..., 0]"
        result = statement(f"logits = {text.text}")
        result += statement(f"return D.Bernoulli(logits={odds}, validate_args=False)")
    else:
        result = statement(f"return {head}(logits={text.text}, validate_args=False)")
    return [*lines, *body.lines, *stamped(result, *body.origins)]


def family_mixture(writer: MethodWriter, label: str, method: Method, factor: Factor) -> list[Line]:
    """A mixture whose components are of one family."""
    use = factor.definition
    assert isinstance(use, FamilyUse)
    lines = writer.head(writer.method_name(method.name), method.arguments, "D.Distribution")
    lines += docstring(f"{label}, a mixture of {use.family.name}", "")
    lines += writer.checks(label, method.arguments)
    body = writer.body_of(method, [v for _, v in method.outputs])
    body.before = max(len(f"    {name}=,") for name, _ in method.outputs)
    # The logits of the choice come first; a parameter of the component may have that name too.
    logits, *rest = body.write()
    known = {n: text for (n, _), text in zip(method.outputs[1:], rest, strict=True)}
    known |= {n: Text(str(t.literal)) for n, t in use.types.items() if use.family.parameter(n).literal}
    given = {p.name: known[p.name] for p in use.family.parameters if p.name in known}
    made = construct(writer, use, given, writer.plan.model.spaces[factor.targets[0]].shape)
    result = statement(f"choice = D.Categorical(logits={logits.text}, validate_args=False)")
    result += statement(f"component = {made.call}")
    component = made.wrapper.format("component")
    if component != "component":
        result += statement(f"component = {component}")
    writer.use("mixture_of")
    result += [Line("        return mixture_of(choice, component)")]
    return [*lines, *bare(body.lines), *stamped(result, *body.origins)]
