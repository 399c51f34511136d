"""The pipeline, from text to source, in one screen of code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pgcompile.declare import build
from pgcompile.diagnostics import CompileError, Diagnostic, Severity, Sink, Source
from pgcompile.diagnostics.suppressions import check_allowed
from pgcompile.inference.distributions import Resolver
from pgcompile.inference.generative import generative_part
from pgcompile.lint.models import check_model
from pgcompile.lint.objectives import remark
from pgcompile.model.factors import Undefined
from pgcompile.model.model import Model
from pgcompile.objective.resolve import resolve_objectives
from pgcompile.objective.terms import Term
from pgcompile.syntax import parse, tree

if TYPE_CHECKING:
    from pgcompile.backends.torch import Emitted
    from pgcompile.objective.derivation import Rewritten

Constants = dict[str, int | float] | None


@dataclass(frozen=True, eq=False)
class Analysis:
    """A program that has been read and checked, before any code is made."""

    source: Source
    tree: tree.Program
    model: Model
    resolver: Resolver
    objectives: dict[str, Term]
    sink: Sink

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Everything found so far, in source order."""
        return self.sink.diagnostics

    @cached_property
    def rewritten(self) -> dict[str, Rewritten]:
        """The objectives after every rule. Loads sympy."""
        from pgcompile.objective.rewrite import rewrite

        named: dict[str, tuple[Term, Rewritten]] = {}
        found = self.objectives.items()
        return {name: rewrite(term, self.model, self.sink, name, named=named) for name, term in found}

    def raise_errors(self) -> None:
        """Raise `CompileError` if the program has errors."""
        if self.sink.has_errors:
            raise CompileError([d for d in self.diagnostics if d.severity is not Severity.NOTE])


def analyse(source: Source, constants: Constants = None) -> Analysis:
    """Read and check a program. Never raises for a bad one."""
    sink = Sink(source)
    program = parse(sink)
    model, resolver = build(program, sink, constants)
    objectives = {} if model.is_structure else resolve_objectives(model, resolver, sink)
    if not sink.has_errors:
        check_model(model, resolver, objectives, sink)
        remark(program, model, objectives, sink)
        check_allowed(sink)
    return Analysis(source, program, model, resolver, objectives, sink)


def parse_only(source: Source) -> tree.Program:
    """The tree of a program; faults of its text are raised."""
    sink = Sink(source)
    program = parse(sink)
    if sink.has_errors:
        raise CompileError(sink.diagnostics)
    return program


def generate(analysis: Analysis, class_name: str, *, link: bool = False, debug: bool = False) -> Emitted:
    """The module of a checked program; errors found on the way are raised."""
    from pgcompile.backends.torch import emit
    from pgcompile.plan.methods.planner import plan_module

    model = analysis.model
    if model.is_structure:
        _report_missing_families(analysis)
    rewritten = analysis.rewritten
    analysis.raise_errors()
    plan = plan_module(model, generative_part(model, analysis.resolver), rewritten)
    return emit(plan, class_name, analysis.source, link=link, debug=debug)


def _report_missing_families(analysis: Analysis) -> None:
    for factor in analysis.model.factors:
        if isinstance(factor.definition, Undefined):
            analysis.sink.add(
                "PGC211",
                factor.span,
                f"{factor.label} has no family, so no code can be made of it",
                help=f"define it: `{factor.label} = Normal(...)`",
            )
    analysis.raise_errors()
