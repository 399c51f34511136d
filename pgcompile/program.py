"""`Program`, the public face of a compiled program."""

from __future__ import annotations

import gc
import keyword
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcompile.atomic_write import write_atomically
from pgcompile.compiled import Compiled, class_name_of, taken_names
from pgcompile.diagnostics import RequestError, Source
from pgcompile.inference.generative import generative_part, graph_of
from pgcompile.inference.place_graphs import template_graph
from pgcompile.loading import loaded
from pgcompile.model.training import Objective
from pgcompile.pipeline import Analysis, analyse
from pgcompile.syntax.format import format_expr
from pgcompile.syntax.places import shown_place

if TYPE_CHECKING:
    import networkx as nx

    from pgcompile.verification import Check

NOTHING_TO_OPTIMISE = "the program says nothing to optimise: add `maximize elbo using Adam(lr = 1e-3)`"


class Program(Compiled):
    """A compiled program with everything that users ask of it: files, views, verification.

    It is made by `pgcompile.compile`.

    Examples:
        >>> import pgcompile as pgc
        >>> program = pgc.compile("x : real[3]\\nparam m : real[3]\\np(x) = Normal(m, 1)\\nfit = log p(x)")
        >>> print(program)
        p(x) = p(x)
          x : real[3]
          fit = log p(x)
        >>> model = program.Model()
        >>> sorted(name for name, _ in model.named_parameters())
        ['m']
    """

    @staticmethod
    def restored(
        module: str, text: str, name: str, class_name: str, constants: dict[str, int | float] | None, debug: bool
    ) -> Any:
        """An instance of a class without its state, for pickles and copies.

        Args:
            module: the module of its class, used where this process has it; else the program is compiled again.
            text: the program.
            name: what the program is called in messages.
            class_name: of the emitted class.
            constants: the sizes that it was compiled with.
            debug: whether it watches its values.
        """
        model: Any = loaded(module)
        if model is None:
            model = compile_source(Source(text, name), class_name, constants, link=False, debug=debug).Model
        return model.__new__(model)

    @property
    def graph(self) -> nx.DiGraph:
        """The generative graph: variables as nodes with their `factor`, edges from parent to child.

        Examples:
            >>> import pgcompile as pgc
            >>> program = pgc.compile("x, z : real\\np(z) = Normal(0, 1)\\np(x|z) = Normal(z, 1)")
            >>> list(program.graph.edges)
            [('z', 'x')]
        """
        graph = graph_of(self.analysis.model, self.generative)
        indices = self.analysis.model.indices.carried
        return template_graph(graph, self.analysis.model) if indices else graph

    def write(self, path: str | Path) -> Path:
        """Write the emitted module; an existing file is replaced only when the new one is complete.

        Args:
            path: of the file; folders that are missing are made.

        Returns:
            The path.

        Examples:
            >>> import pgcompile as pgc, tempfile
            >>> program = pgc.compile("x : real\\np(x) = Normal(0, 1)")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     program.write(f"{folder}/model.py").name
            'model.py'
        """
        return write_atomically(Path(path), self.source.encode("utf-8"))

    def training_script(self, module: str) -> str:
        """A script that trains the emitted module, under `python` or `torchrun`.

        Args:
            module: the name by which the script imports the emitted file.

        Returns:
            Its text, which needs torch and numpy only.

        Raises:
            RequestError: the program optimises nothing, or has extern parts.

        Examples:
            >>> import pgcompile as pgc
            >>> program = pgc.compile("x : real\\nparam m : real\\np(x) = Normal(m, 1)\\nfit = log p(x)\\nmaximize fit")
            >>> print(program.training_script("normal").partition("\\n")[0])
            \"\"\"Trains Model: maximize fit using Adam.
        """
        from pgcompile.backends.torch.script import script

        model = self.analysis.model
        if not model.optimise:
            raise RequestError(NOTHING_TO_OPTIMISE)
        if self.supplied:
            raise RequestError(f"the program has the extern part {self.supplied[0]}: write its script by hand")
        return script(model, self.class_name, module, self.losses, self.coupled)

    def verify(
        self,
        supplied: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        runs: int = 2400,
        progress: Callable[[str], None] = lambda what: None,
    ) -> list[Check]:
        """Compare the emitted module with the reference interpreter.

        Args:
            supplied: the program's extern parts, by the names of the constructor's arguments.
            seed: of parameters, data and noise.
            runs: evaluations of each sampled quantity on either side.
            progress: told what is about to be checked.

        Returns:
            The comparisons; `check.passed` says whether both sides agree, `str(check)` what was compared.

        Examples:
            >>> import pgcompile as pgc
            >>> program = pgc.compile("x : real[3]\\nparam m : real[3]\\np(x) = Normal(m, 1)\\nfit = log p(x)")
            >>> all(check.passed for check in program.verify())
            True
        """
        from pgcompile.verification import verify

        return verify(self, supplied, seed=seed, runs=runs, progress=progress)

    def latex(self) -> str:
        """The program's formulas for a paper.

        Examples:
            >>> import pgcompile as pgc
            >>> print(pgc.compile("x : real\\np(x) = Normal(0, 1)").latex())
            \\begin{align*}
              x &\\in \\mathbb{R} \\\\
              p(x) &= \\mathrm{Normal}(0, 1)
            \\end{align*}
        """
        from pgcompile.views.latex import latex

        return latex(self.analysis.tree)

    def explain(self) -> str:
        """Every rewrite of every objective, with the rule that allowed it.

        Examples:
            >>> import pgcompile as pgc
            >>> program = pgc.compile("z : real\\np(z) = Normal(0, 1)\\nq(z) = Normal(1, 2)\\nd = KL[q || p]")
            >>> print(program.explain())
            d = KL[q || p]
              [closed form] KL[q(z) || p(z)]
                  = 2 - log(2)
                  known for Normal
        """
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
    own = [name for name in model.variables if name in model.spaces and name not in model.indices.lags]
    spaces = [f"{shown_place(name)} : {model.spaces[name]}" for name in own]
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
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name) or name in taken_names()):
        raise RequestError(f"{name!r} cannot be the name of a class; give a Python name, such as Model")
    with _collector_paused():
        analysis = analyse(source, constants)
        analysis.raise_errors()
        class_name = name or class_name_of(source.name)
        return Program(analysis, class_name, link=link, debug=debug, constants=constants)


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
