"""The whole emitted file: imports, the special functions in use, and one class."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pgcompile.backends.torch.statements import WIDTH, Body, safe_comment, split_call
from pgcompile.backends.torch.flow_constructors import flow_lines
from pgcompile.backends.torch.constructor import initial_lines, module_lines, space_text
from pgcompile.backends.torch.printer import Text
from pgcompile.backends.torch.training import training_methods
from pgcompile.model.values import Extern, ExternNetwork, Factor, FamilyUse, FlowUse, Mixture
from pgcompile.plan.methods import (
    Argument,
    FactorMethod,
    LossMethod,
    Method,
    ModulePlan,
    Sampler,
    SampleStep,
    TableMethod,
)
from pgcompile.plan.names import factor_attribute, identifier
from pgcompile.plan.tensors import attribute_name
from pgcompile.plan.values import Value
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr
from pgcompile.vocabulary.library import Library, library
from pgcompile.vocabulary.reserved import METHODS
from pgcompile.vocabulary.spaces import Space

VERSION = "0.1.0"


@dataclass(frozen=True)
class Emitted:
    """The source of a module, and what its judge must know of it.

    Args:
        source: the text.
        attributes: Python names of its attributes by what the program calls them.
        noise: of each method, its draws in the order in which they are made.
        scored: named models whose log-density it computes.
        closed: objectives that use a closed form.
    """

    source: str
    attributes: dict[str, str]
    noise: dict[str, tuple[Value, ...]]
    scored: frozenset[str]
    closed: frozenset[str]


def emit(plan: ModulePlan, class_name: str, origin: str, *, link: bool = False, debug: bool = False) -> Emitted:
    """The module.

    Args:
        plan: what it computes.
        class_name: name of its class.
        origin: where the program came from, for the first line.
        link: import the special functions from pgcompile instead of copying them.
        debug: check the values of variables, and stop at the first value that is not finite.
    """
    module = _Module(plan, class_name, origin, link, debug)
    scored = frozenset([*(label for label, _ in plan.log_densities), *plan.aliases])
    return Emitted(module.write(), module.attributes, module.noise, scored, plan.closed)


@dataclass
class _Module:
    plan: ModulePlan
    class_name: str
    origin: str
    link: bool
    debug: bool = False
    text: str = ""
    used: dict[str, None] = field(default_factory=dict)
    noise: dict[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def library(self) -> Library:
        """What this module may copy."""
        return library(flows=bool(self.plan.tensors.flows))

    def write(self) -> str:
        self._settle_names()
        body = self._class()
        text = "\n".join(body)
        imports = self._imports(text)
        special = self._special()
        parts = [f'"""{self._title()}"""', "", *imports]
        if special:
            parts += ["", "", special]
        return "\n".join([*parts, "", "", text]) + "\n"

    def _title(self) -> str:
        origin = Path(self.origin).name if not self.origin.startswith("<") else "a program"
        what = safe_comment(_shortened(self._factorisation(), 56))
        return f"{what}, compiled by pgcompile {VERSION} from {safe_comment(origin)}."

    def _factorisation(self) -> str:
        groups: dict[str, list[str]] = {}
        for factor in self.plan.model.factors:
            groups.setdefault(factor.name.split("_")[0], []).append(factor.label)
        texts = [_shortened(" ".join(labels)) for labels in groups.values()]
        return "; ".join(texts) or "a model"

    # --- names ---

    def _settle_names(self) -> None:
        """Python names of attributes and arguments, none of which hides another."""
        methods = {identifier(m.name) for m in self.plan.objectives}
        methods |= {f.name for f in self.plan.factors} | {m.name for _, m in self.plan.log_densities}
        methods |= {table.method.name for table in self.plan.tables} | {m.name for _, m, _ in self.plan.mixtures}
        taken = METHODS | methods | {loss.name for loss in self.plan.losses}
        owned = [*self.plan.tensors.modules, *self.plan.tensors.constants]
        owned += [n for n in self.plan.tensors.externs if n in self.plan.model.nets]
        owned += self.plan.tensors.flows
        owned += [attribute_name(t) for t in self.plan.tensors.parameters.values()]
        self.attributes: dict[str, str] = {"_zero": "_zero"}
        for name in owned:
            wanted = identifier(name)
            while wanted in taken:
                wanted += "_net" if name in self.plan.tensors.modules else "_"
            self.attributes[name] = wanted
            taken = taken | {wanted}
        for factor in self.plan.model.factors:
            if isinstance(factor.definition, Extern):
                self.attributes[factor_attribute(factor)] = f"extern_{factor_attribute(factor)}"

    def rename(self, name: str) -> str:
        """Python name of an attribute or argument."""
        return self.attributes.get(name, identifier(name))

    def _rename_for(self, arguments: set[str]) -> Callable[[str], str]:
        def rename(name: str) -> str:
            return identifier(name) if name in arguments else self.rename(name)

        return rename

    def _use(self, name: str) -> None:
        self.used.setdefault(name)

    # --- head ---

    def _imports(self, text: str) -> list[str]:
        special = self._special()
        lines = ["import math", ""] if re.search(r"\bmath\.", special) else []
        lines.append("import torch")
        if " D." in text or "D." in special:
            lines.append("import torch.distributions as D")
        if re.search(r"\bF\.", text + special):
            lines.append("import torch.nn.functional as F")
        lines.append("from torch import Tensor, nn")
        if self.link and self.used:
            lines.append("")
            modules = self.library.modules
            for module in sorted({modules[name] for name in self.used}):
                names = sorted(name for name in self.used if modules[name] == module)
                lines += _linked(module, names)
        return lines

    def _special(self) -> str:
        if self.link or not self.used:
            return ""
        sources = self.library.sources
        needed: set[str] = set()
        pending = list(self.used)
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                pending += self.library.uses[name]
        return "\n\n\n".join(sources[name] for name in sources if name in needed)

    # --- the class ---

    def _class(self) -> list[str]:
        model = self.plan.model
        spaces = [f"{name}: {space}" for name, space in model.spaces.items() if name in model.variables]
        lines = [f"class {self.class_name}(nn.Module):"]
        lines += _docstring(f"{_shortened(self._factorisation())}; {', '.join(spaces)}", "", 4)
        lines.append("")
        head, lines = lines, []
        for method in self.plan.objectives:
            lines += ["", *self._objective(method)]
        for loss in self.plan.losses:
            lines += ["", *self._loss(loss)]
        lines += ["", *self._terms()] if self.plan.objectives else []
        if self.plan.sampler is not None:
            lines += ["", *self._sampler("sample", self.plan.sampler)]
            lines += ["", *self._sampler("sample_mean", self.plan.sampler)]
        if self.plan.log_prob is not None:
            lines += ["", *_bare(self._objective(self.plan.log_prob))]
        lines += self._log_prob_of()
        lines += self._factors()
        for definition, summary, statements in training_methods(self.plan, self.rename, self._use):
            lines += ["", *split_definition(f"    {definition}"), *_docstring(summary.rstrip("."), "")]
            lines += [f"        {statement}" for statement in statements]
        self.text = "\n".join(lines)
        return [*head, *self._init(), *lines]

    def _init(self) -> list[str]:
        tensors = self.plan.tensors
        arguments = [self.rename(name) for name in tensors.externs]
        owned = module_lines(tensors, self.rename) + flow_lines(tensors, self.rename, self._use)
        owned += initial_lines(tensors, self.rename)
        supplied = "".join(f", {name.removeprefix('extern_')}: nn.Module" for name in arguments)
        head = f"    def __init__(self{supplied}) -> None:"
        lines = split_definition(head)
        lines.append("        super().__init__()")
        for name in tensors.externs:
            lines += self._extern(name)
        lines += owned
        if "self._zero" in self.text:
            lines.append('        self.register_buffer("_zero", torch.zeros(()), persistent=False)')
        return lines

    def _extern(self, name: str) -> list[str]:
        net = self.plan.model.nets.get(name)
        attribute = self.rename(name)
        argument = attribute.removeprefix("extern_")
        if isinstance(net, ExternNetwork):
            results = ", ".join(f"{n}: {space_text(s)}" if n else space_text(s) for n, s in net.outputs)
            signature = f"{name}({', '.join(net.inputs)}) -> {results}"
            self._use("check_net")
            inputs = [
                f'torch.empty(2{"".join(f", {n}" for n in shape)}, device="meta")' + (".long()" if index else "")
                for shape, index in self.plan.tensors.externs[name]
            ]
            outputs = [f'"{n or name}": {s.shape}' for n, s in net.outputs]
            check = f"check_net({argument}, ({', '.join(inputs)},), {{{', '.join(outputs)}}})"
            return [
                f"        # {safe_comment(signature)}",
                f"        self.{attribute} = {argument}",
                *_statement(check, 8),
            ]
        return [f"        self.{attribute} = {argument}"]

    # --- methods of one value ---

    def _objective(self, method: Method) -> list[str]:
        names = [identifier(a.name) for a in method.arguments]
        lines = split_definition(f"    def {identifier(method.name)}(self{_arguments(method.arguments)}) -> Tensor:")
        lines += _docstring(method.formula, _shapes(method))
        lines += self._checks(method.name, method.arguments)
        body = self._body([v for _, v in method.outputs], names, {a.name for a in method.arguments})
        result = body.write()[0]
        self.noise[method.name] = tuple(body.noise)
        return [*lines, *body.lines, *_statement(f"return {result.text}", 8)]

    def _checks(self, formula: str, arguments: tuple[Argument, ...], *, batches: bool = True) -> list[str]:
        """The statement that checks the variables a method is given; inputs may have any batch."""
        model = self.plan.model
        given = [a for a in arguments if not a.is_input]
        if not given:
            return []
        self._use("expect")
        entries = [
            f"{identifier(a.name)}=({identifier(a.name)}, {a.shape}{_index_flag(model.spaces[a.name])})" for a in given
        ]
        lines = []
        if batches and len(given) > 1 and formula != "log_prob" and not formula.startswith("log_"):
            self._use("same_batch")
            ranks = [f"{identifier(a.name)}=({identifier(a.name)}, {len(a.shape)})" for a in given]
            lines = _collection("same_batch(", [f'"{formula}"', *ranks], ")", 8)
        lines = _collection("expect(", [f'"{formula}"', *entries], ")", 8) + lines
        if self.debug and batches:  # `sample_mean` hands means to factors, which need not lie in the space
            for argument in given:
                self._use("belongs")
                space = model.spaces[argument.name]
                size = space.categories if space.kind == "category" else None
                call = f'belongs("{argument.name}", {identifier(argument.name)}, "{space.kind}", {size})'
                lines += _statement(call, 8)
        return lines

    def _body(self, outputs: list[object], taken: list[str], arguments: set[str], indent: int = 8) -> Body:
        reserved = [*taken, *self.library.sources]
        body = Body(outputs, reserved, self._rename_for(arguments), self._use, indent)  # type: ignore[arg-type]
        body.watched = self.debug
        return body

    def _loss(self, loss: LossMethod) -> list[str]:
        method = loss.mean
        sign = "minus " if loss.line.direction == "maximize" else ""
        mean = "the batch mean of " if loss.objective.batched else ""
        lines = split_definition(f"    def {loss.name}(self{_arguments(method.arguments)}) -> Tensor:")
        lines.append(f'        """The scalar to minimise: {sign}{mean}{loss.objective.name}."""')
        lines += self._checks(loss.name, method.arguments)
        names = [identifier(a.name) for a in method.arguments]
        body = self._body([v for _, v in method.outputs], names, {a.name for a in method.arguments})
        result = body.write()[0]
        self.noise[loss.name] = tuple(body.noise)
        return [*lines, *_bare(body.lines), *_statement(f"return {result.text}", 8)]

    def _terms(self) -> list[str]:
        method = self.plan.terms or self.plan.objectives[0]
        lines = split_definition(f"    def terms(self{_arguments(method.arguments)}) -> dict:")
        if self.plan.terms is None:
            call = f"self.{identifier(method.name)}({', '.join(identifier(a.name) for a in method.arguments)})"
            return [*lines, '        """Every named term."""', f'        return {{"{method.name}": {call}}}']
        lines.append('        """Every named term, in one pass."""')
        lines += self._checks("terms", method.arguments)
        names = [identifier(a.name) for a in method.arguments]
        body = self._body([v for _, v in method.outputs], names, {a.name for a in method.arguments})
        body.before = max(len(f'    "{name}": ,') for name, _ in method.outputs)
        results = body.write()
        self.noise["terms"] = tuple(body.noise)
        entries = [f'"{name}": {text.text}' for (name, _), text in zip(method.outputs, results, strict=True)]
        return [*lines, *body.lines, *_collection("return {", entries, "}", 8)]

    # --- samplers ---

    def _sampler(self, name: str, sampler: Sampler) -> list[str]:
        lines = [f"    def {name}(self, shape: tuple = (), given: dict | None = None) -> dict:"]
        verb = "Draw" if name == "sample" else "Means through"
        lines += _docstring(f"{verb} {_shortened(sampler.label, 48)}; what is given is kept", "")
        self._use("condition")
        ancestors = dict(sampler.ancestors)
        facts = [
            f'"{step.variable}": ({self._rank(step.variable)}, {_tuple_text(ancestors[step.variable])})'
            for step in sampler.steps
            if step.factor is not None
        ]
        facts += [f'"{v}": ({self._rank(v)}, None)' for v in sampler.conditions]
        if sampler.inputs:
            self._use("take_inputs")
            names = [a.name for a in sampler.inputs]
            asked = ", ".join(["given", *(f'"{name}"' for name in names)])
            lines += _statement(f"{', '.join(['given', *map(identifier, names)])} = take_inputs({asked})", 8)
        whole = f"shape, known = condition(shape, given, {{{', '.join(facts)}}})"
        if len(whole) + 8 <= WIDTH:
            lines.append(f"        {whole}")
        else:
            lines += _collection("variables = {", facts, "}", 8)
            lines.append("        shape, known = condition(shape, given, variables)")
        outside = (*sampler.conditions, *(a.name for a in sampler.inputs))
        lines += [f'        {identifier(v)} = known["{v}"]' for v in sampler.conditions]
        taken = [identifier(s.variable) for s in sampler.steps] + [identifier(v) for v in outside]
        taken += ["shape", "known", "variables"]
        for step in sampler.steps:
            lines += self._sample_step(name, step, taken)
        entries = [f'"{v}": {identifier(v)}' for v in (*(s.variable for s in sampler.steps), *sampler.conditions)]
        return [*lines, *_collection("return {", entries, "}", 8)]

    def _rank(self, variable: str) -> int:
        return len(self.plan.model.spaces[variable].shape)

    def _sample_step(self, name: str, step: SampleStep, taken: list[str]) -> list[str]:
        target = identifier(step.variable)
        if step.factor is None:
            assert step.value is not None
            body = self._body(
                [step.value], [n for n in taken if n != target], {*step.parents, *(a.name for a in step.inputs)}
            )
            text = body.write()[0]
            assigned = [] if text.text == target else [f"        {target} = {text.text}"]
            return [*_bare(body.lines), *assigned]
        parents = ", ".join(identifier(p) for p in (*step.parents, *(a.name for a in step.inputs)))
        drawn = f"self.{factor_attribute(step.factor)}({parents})"
        if name == "sample":
            drawn += ".sample()" if step.batched else ".sample(shape)"
        else:
            drawn += self._centre(step)
        line = f'{target} = known["{step.variable}"] if "{step.variable}" in known else {drawn}'
        if len(line) + 8 <= WIDTH:
            return [f"        {line}"]
        return [
            f'        if "{step.variable}" in known:',
            f'            {target} = known["{step.variable}"]',
            "        else:",
            *self._drawn_lines(target, drawn),
        ]

    def _drawn_lines(self, target: str, drawn: str) -> list[str]:
        """A draw or a centre; one that is expanded and does not fit is expanded on a line of its own."""
        head, expanded, sizes = drawn.partition(".expand(")
        if expanded and len(f"{target} = {head}{expanded}") + 12 > WIDTH:
            return [*_statement(f"{target} = {head}", 12), *_statement(f"{target} = {target}.expand({sizes}", 12)]
        return _statement(f"{target} = {drawn}", 12)

    def _centre(self, step: SampleStep) -> str:
        assert step.factor is not None
        if isinstance(step.factor.definition, Mixture | FlowUse) and not step.batched:
            sizes = "".join(f", {n}" for n in self.plan.model.spaces[step.factor.targets[0]].shape)
            return f".mean.expand(*shape{sizes})"
        if not isinstance(step.factor.definition, FamilyUse):
            return ".mean"
        family = step.factor.definition.family
        shape = self.plan.model.spaces[step.factor.targets[0]].shape
        wrapped = len(shape) > family.event_rank and family.centre not in ("mean", "mode")
        text = f"{'.base_dist' if wrapped else ''}.{family.centre}"
        if step.batched:
            return text
        sizes = ", ".join(["*shape", *map(str, shape)])
        return f"{text}.expand({sizes})" if shape else f"{text}.expand(shape)"

    # --- densities and factors by name ---

    def _log_prob_of(self) -> list[str]:
        lines: list[str] = []
        methods = []
        for label, method in self.plan.log_densities:
            lines += ["", *self._objective(method)]
            methods.append(f'"{_canonical(label)}": self.{method.name}')
        if not self.plan.factors:
            return lines
        lines += [
            "",
            "    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:",
            '        """Log-density of a factor or model by its name, per example."""',
        ]
        if methods:
            lines += [
                *_collection("methods = {", methods, "}", 8),
                '        if name.replace(" ", "") in methods:',
                '            return methods[name.replace(" ", "")](**values)',
            ]
        self._use("log_density")
        return [*lines, "        return log_density(name, self.factor(name), values)"]

    def _factors(self) -> list[str]:
        lines: list[str] = []
        entries = []
        for method in self.plan.factors:
            lines += ["", *self._factor(method)]
            entries.append(f'"{_canonical(method.label)}": self.{method.name}')
        for table in self.plan.tables:
            lines += ["", *self._table(table)]
            entries.append(f'"{_canonical(table.label)}": self.{table.method.name}')
        for label, mixture, factor in self.plan.mixtures:
            lines += ["", *self._same_family(label, mixture, factor)]
            entries.append(f'"{_canonical(label)}": self.{mixture.name}')
        by_label = {m.label: m.name for m in self.plan.factors}
        entries += [
            f'"{_canonical(alias)}": self.{by_label[label]}'
            for alias, label in self.plan.aliases.items()
            if label in by_label
        ]
        if not entries:
            return []
        return [
            *lines,
            "",
            "    def factor(self, name: str):",
            '        """A factor by its name: call it with its parents for a distribution."""',
            *_collection("factors = {", entries, "}", 8),
            '        if name.replace(" ", "") not in factors:',
            "            raise KeyError(f\"{name} is not one of {', '.join(factors)}\")",
            '        return factors[name.replace(" ", "")]',
        ]

    def _table(self, table: TableMethod) -> list[str]:
        """A distribution over finite variables."""
        method = table.method
        names = [identifier(a.name) for a in method.arguments]
        single = len(table.variables) == 1
        result = "D.Distribution" if single else "TableOf"
        lines = split_definition(f"    def {method.name}(self{_arguments(method.arguments)}) -> {result}:")
        lines += _docstring(f"{table.label}, by the values of {', '.join(v for v, _ in table.variables)}", "")
        lines += self._checks(table.label, method.arguments)
        body = self._body([v for _, v in method.outputs], names, {a.name for a in method.arguments})
        (_, space), *_ = table.variables
        head = {"category": "D.Categorical", "one_hot": "D.OneHotCategorical"}.get(space.kind, "D.Bernoulli")
        body.before = len(f"return {head}(logits=, validate_args=False)")
        text = body.write()[0]
        if not single:
            self._use("TableOf")
            kinds = {"category": "index", "one_hot": "one_hot"}
            variables = ", ".join(f'{v}="{kinds.get(s.kind, "boolean")}"' for v, s in table.variables)
            return [*lines, *body.lines, *_statement(f"return TableOf({text.text}, {variables})", 8)]
        if head == "D.Bernoulli":
            lines += [*body.lines, *_statement(f"logits = {text.text}", 8)]
            odds = "logits[..., 1] - logits[..., 0]"
            return [*lines, *_statement(f"return D.Bernoulli(logits={odds}, validate_args=False)", 8)]
        return [*lines, *body.lines, *_statement(f"return {head}(logits={text.text}, validate_args=False)", 8)]

    def _same_family(self, label: str, method: Method, factor: Factor) -> list[str]:
        """A mixture whose components are of one family."""
        names = [identifier(a.name) for a in method.arguments]
        definition = factor.definition
        assert isinstance(definition, FamilyUse)
        lines = split_definition(f"    def {method.name}(self{_arguments(method.arguments)}) -> D.Distribution:")
        lines += _docstring(f"{label}, a mixture of {definition.family.name}", "")
        lines += self._checks(label, method.arguments)
        body = self._body([v for _, v in method.outputs], names, {a.name for a in method.arguments})
        body.before = max(len(f"    {name}=,") for name, _ in method.outputs)
        texts = body.write()
        # The logits of the choice come first; a parameter of the component may have that name too.
        logits, *rest = texts
        given = {n: text for (n, _), text in zip(method.outputs[1:], rest, strict=True)}
        inner, result = self._distribution(definition, given, self.plan.model.spaces[factor.targets[0]].shape)
        lines += _bare(body.lines)
        lines += _statement(f"choice = D.Categorical(logits={logits.text}, validate_args=False)", 8)
        lines += _statement(f"component = {inner}", 8)
        component = result.format("component")
        if component != "component":
            lines += _statement(f"component = {component}", 8)
        self._use("mixture_of")
        return [*lines, "        return mixture_of(choice, component)"]

    def _factor(self, method: FactorMethod) -> list[str]:
        names = [identifier(a.name) for a in method.arguments]
        lines = split_definition(f"    def {method.name}(self{_arguments(method.arguments)}) -> D.Distribution:")
        definition = method.factor.definition
        if isinstance(definition, Mixture):
            return [*lines, *self._mixture(method, definition, names)]
        if isinstance(definition, FlowUse):
            return [*lines, *self._flow_factor(method, definition, names)]
        if not isinstance(definition, FamilyUse):
            lines.append(f'        """{safe_comment(method.label)}, as supplied."""')
            self._use("as_event")
            rank = self._rank(method.factor.targets[0])
            result = f"as_event(self.{self.rename(method.name)}({', '.join(names)}), {rank})"
            return [*lines, *_statement(f"return {result}", 8)]
        if method.experts:
            lines = self._product_head(method)
        else:
            lines += _docstring(f"{method.label} = {method.formula}", "")
        statements, given = self._parameters(method, names)
        lines += statements
        shape = self.plan.model.spaces[method.factor.targets[0]].shape
        inner, result = self._distribution(definition, given, shape)
        if inner and len(result.format(inner)) + 15 > WIDTH:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", definition.family.name).lower()
            return [*lines, *_statement(f"{name} = {inner}", 8), f"        return {result.format(name)}"]
        return [*lines, *_statement(f"return {result.format(inner)}", 8)]

    def _parameters(self, method: FactorMethod, names: list[str]) -> tuple[list[str], dict[str, Text]]:
        """Statements that check the parents and compute a factor's parameters, and the source of each parameter."""
        lines = self._checks(method.label, method.arguments, batches=False)
        body = self._body([v for _, v in method.parameters], names, {a.name for a in method.arguments})
        body.before = max((len(f"    {name}=,") for name, _ in method.parameters), default=0)
        texts = body.write()
        given = {name: text for (name, _), text in zip(method.parameters, texts, strict=True)}
        return [*lines, *_bare(body.lines)], given

    def _flow_factor(self, method: FactorMethod, definition: FlowUse, names: list[str]) -> list[str]:
        """A base seen through a flow."""
        base = definition.base.definition
        assert isinstance(base, FamilyUse)
        lines = _docstring(f"{method.label} = {method.formula}", "")
        statements, given = self._parameters(method, names)
        context = given.pop("context", None)
        inner, result = self._distribution(base, given, self.plan.model.spaces[definition.base_name].shape)
        self._use("FlowDistribution")
        flow = f"self.{self.rename(definition.flow)}"
        more = [context.text] if context is not None else []
        more += ["inverted=True"] if definition.inverted else []
        lines += [*statements, *_statement(f"base = {result.format(inner)}", 8)]
        return [*lines, *_statement(f"return FlowDistribution({', '.join(['base', flow, *more])})", 8)]

    def _product_head(self, method: FactorMethod) -> list[str]:
        """The head of a product of experts, and what it is where not everything that it is conditioned on is given."""
        names = [identifier(a.name) for a in method.arguments]
        optional = "".join(f", {name}: Tensor | None = None" for name in names)
        head = f"    def {method.name}(self{optional}, present: dict | None = None) -> D.Distribution:"
        lines = split_definition(head)
        powers = [f"^{_power_text(p)}" if p is not None else "" for _, p in self.plan.model.products[method.label]]
        written = " ".join(f"{e.label}{power}" for (e, _), power in zip(method.experts, powers, strict=True))
        lines += _docstring(
            f"{method.label} ∝ {written}",
            "experts of what is not given are left out; `present` has a mask of the rows that have a variable",
        )
        missing = " or ".join(f"{name} is None" for name in names)
        lines += _statement(f"if present or {missing}:", 8)
        lines.append("            experts = []")
        by_factor = {m.factor: m for m in self.plan.factors}
        for (expert, power), needs in zip(method.experts, method.needs, strict=True):
            called = by_factor[expert]
            drawn = f"self.{called.name}({', '.join(identifier(a.name) for a in called.arguments)})"
            weight = "1.0"
            before: list[str] = []
            if power is not None:
                body = self._body([power], names, {a.name for a in method.arguments})
                weight = body.write()[0].text
                before = _bare(body.lines)
            if needs:
                self._use("row_mask")
                given = " and ".join(f"{identifier(n)} is not None" for n in needs)
                lines.append(f"            if {given}:")
                lines += [f"        {line}" for line in before]
                mask = ", ".join(f'"{n}"' for n in needs)
                lines += _statement(f"mask = row_mask(present, {mask})", 16)
                text = "mask" if weight == "1.0" else f"{weight} * mask"
                lines += _statement(f"experts.append(({text}, {drawn}))", 16)
            else:
                lines += [f"    {line}" for line in before]
                lines += _statement(f"experts.append(({weight}, {drawn}))", 12)
        lines += _statement(f"return {self._product_call(method.factor)}", 12)
        return lines

    def _product_call(self, factor: Factor) -> str:
        assert isinstance(factor.definition, FamilyUse)
        family = factor.definition.family
        special = {"Normal": "product_of_normals", "MultivariateNormal": "product_of_gaussians"}.get(family.name)
        if special is not None:
            self._use(special)
            return f"{special}(experts)"
        self._use("product_of_family")
        if family.torch_class is None:
            self._use(family.name)
        head = f"D.{family.torch_class}" if family.torch_class else family.name
        bases = ", ".join(f"{name}={base}" for name, base in PRODUCT_BASES[family.name].items())
        return f"product_of_family(experts, {head}, {bases})"

    def _mixture(self, method: FactorMethod, definition: Mixture, names: list[str]) -> list[str]:
        """A weighted choice between other factors."""
        lines = _docstring(f"{method.label} = {method.formula}", "")
        body = self._body([v for _, v in method.parameters], names, {a.name for a in method.arguments})
        weights = body.write()
        self._use("WeightedMixture")
        by_factor = {m.factor: m for m in self.plan.factors}
        parts = []
        for weight, component in zip(weights, definition.components, strict=True):
            given = ", ".join(identifier(a.name) for a in by_factor[component].arguments)
            parts.append(f"({weight.text}, self.{by_factor[component].name}({given}))")
        return [*lines, *_bare(body.lines), *_statement(f"return WeightedMixture({', '.join(parts)})", 8)]

    def _distribution(self, use: FamilyUse, given: dict[str, Text], shape: tuple[int, ...]) -> tuple[str, str]:
        """Source of the family's object, and of what is made of it (with `{}` in its place)."""
        family = use.family
        lead = len(shape) - family.event_rank
        if family.torch_class is None:
            self._use(family.name)
        if family.name == "Delta":
            return f"Delta({given['v'].text}, {len(shape)})", "{}"
        head = f"D.{family.torch_class}" if family.torch_class else family.name
        order = [p.name for p in family.parameters]
        positional = list(given) == order[: len(given)]
        inner = [self._parameter(use, name, text, positional) for name, text in given.items()]
        result = f"{head}({', '.join(inner)}, validate_args=False)"
        return result, f"D.Independent({{}}, {lead})" if lead else "{}"

    def _parameter(self, use: FamilyUse, name: str, text: Text, positional: bool) -> str:
        """One constructor argument; torch wants whole counts as ints and temperatures as tensors."""
        source = text.text
        parameter = use.family.parameter(name)
        if parameter.literal:
            source = str(int(float(source)))
        elif parameter.shared and source.replace(".", "").isdigit():
            source = f"torch.full_like(self._zero, {source})"
        return source if positional and name not in use.family.one_of else f"{name}={source}"


# What parameters of a family are counted from where densities are multiplied.
PRODUCT_BASES: dict[str, dict[str, float]] = {
    "Bernoulli": {"logits": 0.0},
    "Categorical": {"logits": 0.0},
    "OneHotCategorical": {"logits": 0.0},
    "Gamma": {"concentration": 1.0, "rate": 0.0},
    "Exponential": {"rate": 0.0},
    "Beta": {"concentration1": 1.0, "concentration0": 1.0},
    "Dirichlet": {"concentration": 1.0},
}


def _power_text(power: tree.Expr) -> str:
    text = format_expr(power)
    return text if isinstance(power, tree.Number | tree.Name) else f"{{{text}}}"


def _index_flag(space: Space) -> str:
    """Marks the variables that are indices, whose numbers are whole."""
    return ", True" if space.kind == "category" else ""


def _bare(lines: list[str]) -> list[str]:
    """Without comments: a factor's docstring has its formula already."""
    return [line for line in lines if not line.lstrip().startswith("#")]


def _tuple_text(names: tuple[str, ...]) -> str:
    inside = ", ".join(f'"{name}"' for name in names)
    return f"({inside},)" if len(names) == 1 else f"({inside})"


def _canonical(label: str) -> str:
    return label.replace(" ", "")


def _shortened(text: str, most: int = 70) -> str:
    """A long product with its middle left out."""
    if len(text) <= most:
        return text
    words = text.split(" ")
    kept = [words[0]]
    for word in words[1:]:
        if sum(map(len, kept)) + len(kept) + len(word) > most:
            return " ".join(kept) + " ..."
        kept.append(word)
    return " ".join(kept)


def _arguments(arguments: tuple[Argument, ...]) -> str:
    return "".join(f", {identifier(a.name)}: {'Tensor | float' if a.is_input else 'Tensor'}" for a in arguments)


def _shapes(method: Method) -> str:
    """`x: [..., 784] -> [...]`."""
    parts = []
    for argument in method.arguments:
        dims = ", ".join([*([] if argument.is_input else ["..."]), *map(str, argument.shape)])
        parts.append(f"{argument.name}: [{dims}]" if dims else f"{argument.name}: a number")
    result = "[...]" if method.batched else "a scalar"
    return f"{', '.join(parts)} -> {result}" if parts else f"-> {result}"


def _docstring(text: str, more: str, indent: int = 8) -> list[str]:
    """A docstring of one line, or folded when it is long."""
    pad = " " * indent
    text = safe_comment(text)
    line = f'{pad}"""{text}{f"; {more}" if more else ""}."""'
    if len(line) <= WIDTH:
        return [line]
    whole = f"{text}{'' if more else '.'}"
    folded = _fold(whole, WIDTH - indent - 4)
    if len(folded) == 1 and not more:
        # Only the quotes do not fit: ruff would put them back on the line.
        folded = _fold(whole, len(whole) - 1)
    lines = [f'{pad}"""{folded[0]}', *(f"{pad}{part}" for part in folded[1:])]
    if more:
        lines[-1] += ";"
        lines += [f"{pad}{part}" for part in _fold(f"{more}.", WIDTH - indent)]
    return [*lines, f'{pad}"""']


def _fold(text: str, width: int) -> list[str]:
    lines, current = [], ""
    for word in text.split(" "):
        if current and len(current) + 1 + len(word) > width:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    return [*lines, current]


def split_definition(head: str) -> list[str]:
    """A `def` line, an argument a line where it is too long."""
    if len(head) <= WIDTH:
        return [head]
    start, rest = head.split("(", 1)
    inside, result = rest.rsplit(") ->", 1)
    return [f"{start}(", *(f"        {part}," for part in inside.split(", ")), f"    ) ->{result}"]


def _linked(module: str, names: list[str]) -> list[str]:
    """An import of names of the library."""
    line = f"from {module} import {', '.join(names)}"
    return [line] if len(line) <= WIDTH else _collection(f"from {module} import (", names, ")", 0)


def _statement(text: str, indent: int) -> list[str]:
    return [" " * indent + part for part in split_call(text, WIDTH - indent)]


def _collection(start: str, entries: list[str], end: str, indent: int) -> list[str]:
    pad = " " * indent
    line = f"{pad}{start}{', '.join(entries)}{end}"
    if len(line) <= WIDTH:
        return [line]
    lines = [f"{pad}{start}"]
    for entry in entries:
        parts = split_call(entry, WIDTH - indent - 5)
        parts[-1] += ","
        lines += [f"{pad}    {part}" for part in parts]
    return [*lines, f"{pad}{end}"]
