"""The whole emitted file: imports, the library functions in use, and one class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgcompile.backends.source_map import SourceMap
from pgcompile.backends.torch.constructor import extern_lines, initial_lines, module_lines
from pgcompile.backends.torch.factor_methods import factor_methods
from pgcompile.backends.torch.flow_constructors import flow_lines
from pgcompile.backends.torch.layout import (
    WIDTH,
    Line,
    bare,
    definition,
    docstring,
    linked,
    plain_lines,
    safe_comment,
    shortened,
    stamped,
)
from pgcompile.backends.torch.method_writer import MethodWriter
from pgcompile.backends.torch.objectives import (
    formula_method,
    log_densities,
    loss_method,
    procedure_method,
    terms_method,
)
from pgcompile.backends.torch.samplers import sampler_methods
from pgcompile.backends.torch.sequence_samplers import sequence_methods
from pgcompile.backends.torch.training import training_methods
from pgcompile.backends.torch.values import value_methods
from pgcompile.diagnostics import Source
from pgcompile.model.names import identifier
from pgcompile.plan.methods.description import ModulePlan
from pgcompile.plan.origin import Origin
from pgcompile.plan.values import Noise
from pgcompile.syntax.places import shown_place
from pgcompile.vocabulary.reserved import ANCHOR

VERSION = "0.1.0"


@dataclass(frozen=True)
class Emitted:
    """The source of a module, and the facts about it that other parts read.

    Args:
        source: the text.
        source_map: of each line, the places of the program that it comes from.
        attributes: Python names of its attributes by what the program calls them.
        noise: of each method, its draws in the order in which they are made.
        scored: named models whose log-density it computes.
        closed: objectives that use a closed form.
        losses: names of the arguments of each loss method.
        externs: names of the constructor's arguments, the extern parts.
    """

    source: str
    source_map: SourceMap
    attributes: dict[str, str]
    noise: dict[str, tuple[Noise, ...]]
    scored: frozenset[str]
    closed: frozenset[str]
    losses: dict[str, tuple[str, ...]]
    externs: tuple[str, ...]


def emit(plan: ModulePlan, class_name: str, program: Source, *, link: bool = False, debug: bool = False) -> Emitted:
    """The module of a plan.

    Args:
        plan: the methods and attributes of the class.
        class_name: name of the class.
        program: the program, for the first line and the source map.
        link: import the library functions from pgcompile instead of copying them.
        debug: check the values of variables, and stop at the first value that is not finite.
    """
    writer = MethodWriter(plan, debug)
    lines = _file(writer, class_name, program.name, link)
    source = "\n".join(line.text for line in lines) + "\n"
    scored = frozenset([*(label for label, _ in plan.log_densities), *plan.aliases])
    mapped = SourceMap.of(program, [line.origins for line in lines])
    losses = {loss.name: tuple(identifier(a.name) for a in loss.mean.arguments) for loss in plan.losses}
    externs = tuple(writer.rename(name).removeprefix("extern_") for name in plan.tensors.externs)
    return Emitted(source, mapped, writer.attributes, writer.noise, scored, plan.closed, losses, externs)


def _file(writer: MethodWriter, class_name: str, origin: str, link: bool) -> list[Line]:
    body = _class(writer, class_name)
    text = "\n".join(line.text for line in body)
    functions, checks = _library_texts(writer, link=link)
    lines = [Line(f'"""{_title(writer.plan, origin)}"""'), Line("")]
    lines += _imports(text, functions + checks)
    if link and writer.used:
        lines += [Line(""), *_library_imports(writer)]
    if functions:
        lines += plain_lines(["", "", *functions.split("\n")])
    lines += [Line(""), Line(""), *body]
    if checks:
        lines += plain_lines(["", "", "# What is said of calls that are wrong.", "", "", *checks.split("\n")])
    return lines


def _title(plan: ModulePlan, origin: str) -> str:
    name = Path(origin).name if not origin.startswith("<") else "a program"
    model = safe_comment(shortened(_factorisation(plan), 56))
    return f"{model}, compiled by pgcompile {VERSION} from {safe_comment(name)}."


def _factorisation(plan: ModulePlan) -> str:
    groups: dict[str, list[str]] = {}
    for factor in plan.model.factors:
        groups.setdefault(factor.name.split("_")[0], []).append(factor.label)
    texts = [shortened(" ".join(labels)) for labels in groups.values()]
    return "; ".join(texts) or "a model"


_GO_BY_ANCHOR = frozenset(
    "check_inputs hold hold_places log_prob_under take take_all take_expanded take_inputs take_sequences".split()
)
"""Functions of the library that read the module's dtype and device off its anchor."""

# --- head ---


def _imports(text: str, library: str) -> list[Line]:
    """Imports of the modules that the class and the copied functions name."""
    lines = ["import math", ""] if re.search(r"\bmath\.", text + library) else []
    lines.append("import torch")
    if " D." in text or "D." in library:
        lines.append("import torch.distributions as D")
    if re.search(r"\bF\.", text + library):
        lines.append("import torch.nn.functional as F")
    return plain_lines([*lines, "from torch import Tensor, nn"])


def _library_imports(writer: MethodWriter) -> list[Line]:
    """Imports of the library functions in use."""
    modules = writer.library.modules
    lines: list[Line] = []
    for module in sorted({modules[name] for name in writer.used if name in modules}):
        lines += linked(module, sorted(name for name in writer.used if modules.get(name) == module))
    return lines


def _library_texts(writer: MethodWriter, *, link: bool) -> tuple[str, str]:
    """The text of the library functions in use and of those that they call; where linked, of those without a module.

    Checks of calls come by themselves: they stand behind the class, which is what people open the file for.
    """
    sources, modules = writer.library.sources, writer.library.modules
    needed: set[str] = set()
    pending = list(writer.used)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += writer.library.uses[name]
    copied = [name for name in sources if name in needed and not (link and name in modules)]
    checks = [name for name in copied if modules.get(name) == "pgcompile.runtime.checks"]
    functions = [name for name in copied if name not in checks]
    return "\n\n\n".join(map(sources.__getitem__, functions)), "\n\n\n".join(map(sources.__getitem__, checks))


# --- the class ---


def _class(writer: MethodWriter, class_name: str) -> list[Line]:
    plan = writer.plan
    spaces: dict[str, list[str]] = {}
    for name, space in plan.model.spaces.items():
        if name in plan.model.variables and name not in plan.model.indices.lags:
            spaces.setdefault(str(space), []).append(shown_place(name))
    declared = ", ".join(f"{', '.join(names)}: {space}" for space, names in spaces.items())
    head = [Line(f"class {class_name}(nn.Module):")]
    head += docstring(f"{_model_text(plan, len(declared))}; {declared}", "", 4)
    lines: list[Line] = []
    for method in _methods(writer):
        lines += method
    return [*head, Line(""), *_constructor(writer, lines), *lines]


def _model_text(plan: ModulePlan, behind: int) -> str:
    """The factors of a model for a docstring; a list that is cut anyway leaves room for the text behind it."""
    text = shortened(_factorisation(plan))
    room = WIDTH - len('    """; ."""') - behind
    return shortened(text.removesuffix(" ..."), room - 4) if text.endswith(" ...") and room > 20 else text


def _methods(writer: MethodWriter) -> list[list[Line]]:
    """Every method but the constructor, in the order in which a reader meets them."""
    plan = writer.plan
    spans = {name: objective.span for name, objective in plan.model.objectives.items()}
    # Procedures first, for who calls one makes its draws; they stand after the methods that a reader wants.
    procedures = [procedure_method(writer, procedure) for procedure in plan.procedures]
    found: list[list[Line]] = []
    terms = terms_method(writer) if plan.objectives and not plan.terms_one_by_one else []
    for method in plan.objectives:
        found.append(stamped(formula_method(writer, method), Origin(spans[method.name], method.name)))
    for loss in plan.losses:
        found.append(stamped(loss_method(writer, loss), Origin(spans[loss.line.objective], loss.line.objective)))
    found += [terms or terms_method(writer)] if plan.objectives else []
    if plan.sequences is not None:
        found += sequence_methods(writer, plan.sequences)
    if plan.sampler is not None:
        found += sampler_methods(writer, plan.sampler)
    if plan.log_prob is not None:
        found.append(bare(formula_method(writer, plan.log_prob)))
    lines = [[Line(""), *method] for method in [*found, *procedures, *writer.turns]]
    lines += [log_densities(writer), factor_methods(writer)]
    lines += [[Line(""), *method] for method in value_methods(writer)]
    origins = [Origin(line.span, f"{line.direction} {line.objective}") for line in plan.model.optimise]
    for head, summary, statements in training_methods(plan, writer.rename, writer.use):
        method_lines = [*definition(f"    {head}"), *docstring(summary.rstrip("."), "")]
        method_lines += [Line(f"        {text}") for text in statements]
        lines.append([Line(""), *stamped(method_lines, *origins)])
    return lines


def _constructor(writer: MethodWriter, methods: Sequence[Line]) -> list[Line]:
    """`__init__`: extern parts, nets, flows, parameters and tables."""
    tensors = writer.plan.tensors
    arguments = [writer.rename(name) for name in tensors.externs]
    supplied = "".join(f", {name.removeprefix('extern_')}: nn.Module" for name in arguments)
    lines = definition(f"    def __init__(self{supplied}) -> None:")
    lines.append(Line("        super().__init__()"))
    for name in tensors.externs:
        lines += extern_lines(writer.plan, name, writer.rename, writer.use)
    lines += module_lines(tensors, writer.rename, writer.use)
    lines += flow_lines(tensors, writer.rename, writer.use)
    lines += initial_lines(tensors, writer.rename)
    if _GO_BY_ANCHOR & writer.used.keys() or any(f"self.{ANCHOR}" in line.text for line in methods):
        lines.append(Line(f'        self.register_buffer("{ANCHOR}", torch.zeros(()), persistent=False)'))
    return lines
