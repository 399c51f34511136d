"""The program that a command is given: its text, its analysis, its compiled form."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcompile.cli.messages import print_diagnostics
from pgcompile.diagnostics import Severity, Source

if TYPE_CHECKING:
    import networkx as nx

    from pgcompile.pipeline import Analysis
    from pgcompile.program import Program
    from pgcompile.training.applied import Applied

Constants = dict[str, int | float]


def source_of(program: str) -> Source:
    """The text of a program that is given as a path, as formulas in quotes, or as `-` on standard input."""
    from pgcompile.sources import read_source

    if program == "-":
        return Source(sys.stdin.read(), "<stdin>")
    path = Path(program)
    looks_like_path = program.endswith(".pgc") or (os.sep in program and "|" not in program and "(" not in program)
    if looks_like_path or (len(program) < 200 and path.is_file()):
        if not path.is_file():
            raise click.UsageError(f"there is no file {program}")
        return read_source(path)
    return Source(program)


def refuse_overwriting(program: str, *outputs: Path | None) -> None:
    """Refuse to write over the program itself.

    Raises:
        UsageError: an output is the file that the program is read from.
    """
    path = Path(program)
    try:
        same = [o for o in outputs if o is not None and path.is_file() and o.exists() and o.samefile(path)]
    except OSError:  # a text that is too long for a path
        return
    if same:
        raise click.UsageError(f"{same[0]} is the program itself: give another file")


def analysed(program: str, constants: Constants) -> Analysis:
    """The analysis of a program, which may have errors."""
    from pgcompile.pipeline import analyse

    return analyse(source_of(program), constants)


def checked(program: str, constants: Constants) -> Analysis:
    """The analysis of a program without errors.

    Raises:
        CompileError: it has errors.
    """
    analysis = analysed(program, constants)
    analysis.raise_errors()
    return analysis


def compiled(program: str, constants: Constants, *, warn: bool = False) -> Program:
    """The compiled program; with `warn`, its warnings are printed.

    Raises:
        CompileError: it has errors.
    """
    from pgcompile.program import compile_source

    made = compile_source(source_of(program), None, constants, link=False)
    if warn:
        print_diagnostics([d for d in made.diagnostics if d.severity is Severity.WARNING])
    return made


def applied(
    program: str,
    constants: Constants,
    weights: Path,
    data: Path | None,
    externs: tuple[str, ...],
    **settings: Any,
) -> Applied:
    """A trained program with its data.

    Args:
        program: path or formulas.
        constants: values of `--set`.
        weights: the checkpoint.
        data: file or folder of the data.
        externs: values of `--extern`.
        **settings: fields of `pgcompile.training.Settings`.
    """
    from pgcompile.cli.options import parts
    from pgcompile.training import Settings
    from pgcompile.training.applied import Applied

    return Applied(compiled(program, constants), weights, data, Settings(**settings), parts(externs))


def graph_of_program(analysis: Analysis) -> nx.DiGraph:
    """The generative graph of an analysed program, its templates where it has indices."""
    from pgcompile.inference.generative import generative_part, graph_of
    from pgcompile.inference.place_graphs import template_graph

    graph = graph_of(analysis.model, generative_part(analysis.model, analysis.resolver))
    return template_graph(graph, analysis.model) if analysis.model.indices.carried else graph


def graph_of_question(analysis: Analysis, asked: set[str]) -> nx.DiGraph:
    """The graph that a question is answered with: of places, where the program has indices."""
    from pgcompile.inference.generative import generative_part, graph_of
    from pgcompile.inference.place_graphs import placed_graph

    graph = graph_of(analysis.model, generative_part(analysis.model, analysis.resolver))
    return placed_graph(graph, analysis.model, asked) if analysis.model.indices.carried else graph
