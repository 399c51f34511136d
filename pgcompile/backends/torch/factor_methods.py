"""The methods of factors as distribution objects: a table from kinds of factor to their writers, and the lookup."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from pgcompile.backends.torch.distributions import construct
from pgcompile.backends.torch.layout import WIDTH, Line, bare, collection, docstring, safe_comment, stamped, statement
from pgcompile.backends.torch.method_writer import MethodWriter, batch_of, canonical
from pgcompile.backends.torch.printer import Text
from pgcompile.backends.torch.products import product_head
from pgcompile.backends.torch.tables import family_mixture, table_method
from pgcompile.diagnostics import InternalError
from pgcompile.model.factors import Extern, FamilyUse, FlowUse, Mixture
from pgcompile.model.names import identifier
from pgcompile.plan.methods.description import FactorMethod
from pgcompile.plan.origin import Origin

Kind = Callable[[MethodWriter, FactorMethod, Any], list[Line]]


def factor_methods(writer: MethodWriter) -> list[Line]:
    """A method for each factor and exact distribution, and `factor`, which finds one by its name."""
    plan = writer.plan
    lines: list[Line] = []
    entries = []
    for method in plan.factors:
        lines += [Line(""), *factor_method(writer, method)]
        entries.append(f'"{canonical(method.label)}": self.{writer.method_name(method.name)}')
    for table in plan.tables:
        lines += [Line(""), *stamped(table_method(writer, table), *writer.origins_of(table.label))]
        entries.append(f'"{canonical(table.label)}": self.{writer.method_name(table.method.name)}')
    for label, mixture, factor in plan.mixtures:
        made = family_mixture(writer, label, mixture, factor)
        lines += [Line(""), *stamped(made, *writer.origins_of(label))]
        entries.append(f'"{canonical(label)}": self.{writer.method_name(mixture.name)}')
    by_label = {m.label: writer.method_name(m.name) for m in plan.factors}
    entries += [
        f'"{canonical(alias)}": self.{by_label[label]}' for alias, label in plan.aliases.items() if label in by_label
    ]
    if not entries:
        return []
    return [
        *lines,
        Line(""),
        Line("    def factor(self, name: str):"),
        Line('        """A factor by its name: call it with its parents for a distribution."""'),
        *collection("law = {", entries, "}"),
        Line('        if (label := str(name).replace(" ", "")) not in law:'),
        Line("            raise KeyError(f\"{name} is not one of {', '.join(law)}\")"),
        Line("        return law[label]"),
    ]


def factor_method(writer: MethodWriter, method: FactorMethod) -> list[Line]:
    """The method of one factor, by the kind of its definition."""
    definition = method.factor.definition
    kind = KINDS.get(type(definition))
    if kind is None:
        raise InternalError(f"no method for a factor of the kind {type(definition).__name__}")
    return stamped(kind(writer, method, definition), Origin(method.factor.span, method.label))


def _family(writer: MethodWriter, method: FactorMethod, use: FamilyUse) -> list[Line]:
    """A factor of a family: its parameters, and the family's object."""
    if method.experts:
        lines = product_head(writer, method)
    else:
        lines = _head(writer, method) + docstring(f"{method.label} = {method.formula}", "")
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", use.family.name).lower()
    shape = writer.plan.model.spaces[method.factor.targets[0]].shape
    named: set[str] = set()
    while True:
        statements, given = _parameters(writer, method, named)
        made = construct(writer, use, given, shape)
        long = len(f"        {name} = {made.call}") > WIDTH
        left = {key: text.text for key, text in given.items() if key not in named and not text.text.isidentifier()}
        if not long or not left:
            break
        named.add(max(left, key=lambda key: len(left[key])))
    if len(f"        return {made.whole}") <= WIDTH:
        return [*lines, *statements, *statement(f"return {made.whole}")]
    made_lines = [*statement(f"{name} = {made.call}"), Line(f"        return {made.wrapper.format(name)}")]
    return [*lines, *statements, *made_lines]


def _flow(writer: MethodWriter, method: FactorMethod, use: FlowUse) -> list[Line]:
    """A base seen through a flow."""
    base = use.base.definition
    assert isinstance(base, FamilyUse)
    lines = _head(writer, method) + docstring(f"{method.label} = {method.formula}", "")
    statements, given = _parameters(writer, method)
    context = given.pop("context", None)
    made = construct(writer, base, given, writer.plan.model.spaces[use.base_name].shape)
    writer.use("FlowDistribution")
    arguments = ["base", f"self.{writer.rename(use.flow)}"]
    arguments += [context.text] if context is not None else []
    arguments += ["inverted=True"] if use.inverted else []
    lines += [*statements, *statement(f"base = {made.whole}")]
    return [*lines, *statement(f"return FlowDistribution({', '.join(arguments)})")]


def _mixture(writer: MethodWriter, method: FactorMethod, mixture: Mixture) -> list[Line]:
    """A weighted choice between other factors."""
    lines = _head(writer, method) + docstring(f"{method.label} = {method.formula}", "")
    body = writer.body_of(method, [v for _, v in method.parameters])
    weights = body.write()
    writer.use("WeightedMixture")
    if mixture.by_entry:
        writer.use("each_entry")
    by_factor = {m.factor: m for m in writer.plan.factors}
    parts = []
    for weight, component in zip(weights, mixture.components, strict=True):
        given = ", ".join(identifier(a.name) for a in by_factor[component].arguments)
        made = f"self.{writer.method_name(by_factor[component].name)}({given})"
        parts.append(f"({weight.text}, {f'each_entry({made})' if mixture.by_entry else made})")
    if mixture.by_entry:
        rank = writer.rank(method.factor.targets[0])
        whole = f"D.Independent(WeightedMixture({', '.join(parts)}), {rank}, validate_args=False)"
        return [*lines, *bare(body.lines), *statement(f"return {whole}")]
    return [*lines, *bare(body.lines), *statement(f"return WeightedMixture({', '.join(parts)})")]


def _extern(writer: MethodWriter, method: FactorMethod, extern: Extern) -> list[Line]:
    """A factor supplied from Python."""
    lines = [*_head(writer, method), Line(f'        """{safe_comment(method.label)}, as supplied."""')]
    writer.use("as_event")
    given = ", ".join(identifier(a.name) for a in method.arguments)
    shape = tuple(writer.plan.model.spaces[method.factor.targets[0]].shape)
    lines += writer.checks(method.label, method.arguments, batches=False)
    supplied = f"self.{writer.rename(method.name)}({given})"
    known = [a for a in method.arguments if not a.is_input]
    batch = batch_of(known[0]) if known else "()"
    return [*lines, *statement(f'return as_event("{method.label}", {supplied}, {shape}, {batch})')]


KINDS: dict[type, Kind] = {FamilyUse: _family, FlowUse: _flow, Mixture: _mixture, Extern: _extern}
"""Writers of factor methods by the kind of definition."""


def _head(writer: MethodWriter, method: FactorMethod) -> list[Line]:
    return writer.head(writer.method_name(method.name), method.arguments, "D.Distribution")


def _parameters(
    writer: MethodWriter, method: FactorMethod, named: Iterable[str] = ()
) -> tuple[list[Line], dict[str, Text]]:
    """Statements that check the parents and compute a factor's parameters, and the source of each parameter.

    Args:
        writer: the class.
        method: of the factor.
        named: parameters that get a line of their own.
    """
    body = writer.body_of(method, [v for _, v in method.parameters])
    body.with_lines = {value.number for key, value in method.parameters if key in named}
    body.before = max((len(f"    {name}=,") for name, _ in method.parameters), default=0)
    texts = body.write()
    given = {name: text for (name, _), text in zip(method.parameters, texts, strict=True)}
    lines = writer.checks(method.label, method.arguments, body.lines, batches=False)
    return [*lines, *bare(body.lines)], given
