"""`Program`: what `pgcompile.compile` gives."""

from __future__ import annotations

import gc
import hashlib
import inspect
import keyword
import linecache
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcompile.compiler import Analysis, analyse, generate
from pgcompile.diagnostics import Diagnostic, MissingPart, Source
from pgcompile.model.values import Distribution, Objective, loss_name
from pgcompile.objective.review import generative_part, graph_of
from pgcompile.syntax.format import format_expr
from pgcompile.tracebacks import MAP_NAME, explain_errors_of
from pgcompile.writing import write_atomically

if TYPE_CHECKING:
    import networkx as nx

    from pgcompile.backends.source_map import SourceMap
    from pgcompile.verification import Check


def _taken_names() -> set[str]:
    """Names that an emitted file may have for something else."""
    from pgcompile.vocabulary.library import library_names

    return {"torch", "nn", "D", "F", "Tensor", *library_names()}


class Program:
    """A compiled program: its emitted source, its class, its graph and its derivations."""

    def __init__(self, analysis: Analysis, class_name: str, *, link: bool = False, debug: bool = False) -> None:
        self.analysis = analysis
        self.class_name = class_name
        self.debug = debug
        emitted = generate(analysis, class_name, link=link, debug=debug)
        self.source: str = emitted.source
        """The emitted module, as text."""
        self.source_map: SourceMap = emitted.source_map
        """The places of the program that each line of `source` comes from."""
        self.attributes = emitted.attributes
        """Python names of the class's nets, params and tables, by what the program calls them."""
        self.noise = emitted.noise
        """What each method draws, in the order in which it draws it."""
        self.scored = emitted.scored
        """Named models whose log-density the class computes."""
        self._closed = emitted.closed

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Warnings and notes, in source order."""
        return self.analysis.diagnostics

    @cached_property
    def Model(self) -> type[Any]:
        """The class of the emitted text; its lines appear in tracebacks."""
        digest = hashlib.sha256(self.source.encode()).hexdigest()[:12]
        filename = f"<pgcompile {self.class_name} {digest}>"
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(keepends=True), filename)
        namespace: dict[str, Any] = {"__name__": f"pgcompile.emitted.{self.class_name}", MAP_NAME: self.source_map}
        # The text is pgcompile's own, printed from a checked plan; nothing of the program reaches it unprinted.
        exec(compile(self.source, filename, "exec"), namespace)  # noqa: S102
        from pgcompile.lazy import with_lazy_factors

        model = with_lazy_factors(namespace[self.class_name])
        model.pgc_program = self  # what a Trainer goes by
        if self.debug:
            explain_errors_of(namespace[self.class_name])
        return model

    @property
    def graph(self) -> nx.DiGraph:
        """The generative graph: variables as nodes with their `factor`, edges from parent to child."""
        return graph_of(self.analysis.model, self.generative)

    @property
    def generative(self) -> Distribution | None:
        """The product of the model's generative factors."""
        return generative_part(self.analysis.model, self.analysis.resolver)

    def write(self, path: str | Path) -> Path:
        """Write the emitted module; an existing file is replaced only when the new one is complete."""
        return write_atomically(Path(path), self.source.encode("utf-8"))

    def training_script(self, module: str) -> str:
        """A script that trains the emitted module `module`, under `python` or `torchrun`.

        Raises:
            ValueError: the program optimises nothing, or has extern parts.
        """
        from pgcompile.backends.torch.script import script

        model = self.analysis.model
        if not model.optimise:
            raise ValueError("the program says nothing to optimise: add `maximize elbo using Adam(lr = 1e-3)`")
        if self.supplied:
            raise ValueError(f"the program has the extern part {self.supplied[0]}: write its script by hand")
        names = {loss_name(line, model.optimise) for line in model.optimise}
        arguments = {n: tuple(inspect.signature(getattr(self.Model, n)).parameters)[1:] for n in sorted(names)}
        return script(model, self.class_name, module, arguments)

    def closed_in(self, method: str) -> bool:
        """Whether a method of the class computes an expectation by a closed form."""
        lines = self.analysis.model.optimise
        losses = {loss_name(line, lines) for line in lines if line.objective in self._closed}
        return bool(self._closed) and (method == "terms" or method in losses or method in self._closed)

    @property
    def supplied(self) -> tuple[str, ...]:
        """Names of the constructor's arguments: the program's extern parts."""
        return tuple(inspect.signature(self.Model).parameters)

    def made(self, extern: Mapping[str, Any] | None = None) -> Any:
        """The module, of its extern parts.

        Raises:
            MissingPart: a part is missing.
        """
        given = dict(extern or {})
        if missing := [name for name in self.supplied if name not in given]:
            raise MissingPart(f"the program has the extern part {missing[0]}: give --extern {missing[0]}=pkg.mod:Class")
        return self.Model(**given)

    def verify(
        self,
        supplied: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        runs: int = 2400,
        progress: Callable[[str], None] = lambda what: None,
    ) -> list[Check]:
        """Compare the emitted module with the reference interpreter; see `pgcompile.verification.verify`."""
        from pgcompile.verification import verify

        return verify(self, supplied, seed=seed, runs=runs, progress=progress)

    def latex(self) -> str:
        """The program's formulas for a paper."""
        from pgcompile.views.latex import latex

        return latex(self.analysis.tree)

    def explain(self) -> str:
        """Every rewrite of every objective, with the rule that allowed it."""
        from pgcompile.views.explain import explain

        return explain(self.analysis)

    def __str__(self) -> str:
        return describe(self.analysis)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from pgcompile.views.notebook import notebook_html

        return notebook_html(self.analysis)


def describe(analysis: Analysis) -> str:
    """A short text of a model: its variables, factorisation and objectives."""
    model = analysis.model
    lines = []
    part = generative_part(model, analysis.resolver)
    if part is not None:
        lines.append(f"{part.label} = {part.spelled}")
    others = [f for f in model.factors if part is None or all(a.factor is not f for a in part.atoms)]
    if others:
        lines.append("with " + ", ".join(f.label for f in others))
    spaces = [f"{name} : {model.spaces[name]}" for name in model.variables if name in model.spaces]
    lines += [f"  {text}" for text in spaces]
    lines += [f"  {name} = {_objective_text(objective)}" for name, objective in model.objectives.items()]
    lines += [f"  {line.direction} {line.objective} using {line.optimiser}" for line in model.optimise]
    return "\n".join(lines)


def _objective_text(objective: Objective) -> str:
    return format_expr(objective.expr)


def compile_source(
    source: Source, name: str | None, constants: dict[str, int | float] | None, *, link: bool, debug: bool = False
) -> Program:
    """Compile a program's text."""
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name) or name in _taken_names()):
        raise ValueError(f"{name!r} cannot be the name of a class; give a Python name, such as Model")
    with _collector_paused():
        analysis = analyse(source, constants)
        analysis.raise_errors()
        return Program(analysis, name or class_name_of(source.name), link=link, debug=debug)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without cyclic garbage collection: a compile makes many small values and few cycles, and a third of the time of a
    large one would go into looking for them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def class_name_of(origin: str) -> str:
    """`Vae` for `models/vae.pgc`, `Model` where there is no name to go by."""
    stem = Path(origin).stem if not origin.startswith("<") else ""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in stem).split()
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if name in _taken_names():
        return f"{name}Model"  # a class of that name may stand in the file already
    return name if name.isidentifier() else "Model"
