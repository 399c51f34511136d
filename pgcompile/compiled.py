"""A compiled program: its emitted source, its class, and what the two must be known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pgcompile.backends.source_map import SourceMap
from pgcompile.diagnostics import DataError, Diagnostic, MissingPart
from pgcompile.inference.generative import generative_part
from pgcompile.loading import load
from pgcompile.model.distributions import Distribution
from pgcompile.model.training import loss_name
from pgcompile.objective.terms import over_rows
from pgcompile.objective.whole_data import whole_data
from pgcompile.pipeline import Analysis, generate
from pgcompile.tracebacks import explain_errors_of


class Compiled:
    """A checked program and the module that was emitted for it.

    Args:
        analysis: the program, without errors.
        class_name: name of the emitted class.
        link: import the special functions from pgcompile instead of copying them.
        debug: check the values of variables, and stop at the first value that is not finite.
        constants: sizes that replaced those of `const` declarations.

    Raises:
        CompileError: no code can be made of the program.
    """

    def __init__(
        self,
        analysis: Analysis,
        class_name: str,
        *,
        link: bool = False,
        debug: bool = False,
        constants: dict[str, int | float] | None = None,
    ) -> None:
        self.analysis = analysis
        self.constants = constants
        """The sizes that it was compiled with, where these are not those of the program's text."""
        self.class_name = class_name
        emitted = generate(analysis, class_name, link=link, debug=debug)
        self.debug = debug
        self.source: str = emitted.source
        """The emitted module, as text."""
        self.source_map: SourceMap = emitted.source_map
        """The places of the program that each line of `source` comes from."""
        self.attributes = emitted.attributes
        """Python names of the class's nets, params and tables, by what the program calls them."""
        self.noise = emitted.noise
        """Draws of each method, in the order in which it makes them."""
        self.scored = emitted.scored
        """Named models whose log-density the class computes."""
        self.supplied = emitted.externs
        """Names of the constructor's arguments: the program's extern parts."""
        self._closed = emitted.closed
        self.losses = emitted.losses
        """Names of the arguments of each loss method."""

    restored: ClassVar[Callable[..., Any]]
    """Makes an instance of the class from the program's text, for pickles and copies."""

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Warnings and notes, in source order."""
        return self.analysis.diagnostics

    @cached_property
    def Model(self) -> type[Any]:
        """The class of the emitted text, an `nn.Module`; its lines appear in tracebacks.

        Examples:
            >>> import pgcompile as pgc, torch
            >>> program = pgc.compile("x : real[3]\\np(x) = Normal(0, 1)\\nfit = log p(x)")
            >>> program.Model().fit(torch.zeros(5, 3)).shape
            torch.Size([5])
        """
        from pgcompile.lazy import with_lazy_factors

        model = with_lazy_factors(load(self))
        model.pgc_program = self  # which a Trainer goes by
        if self.debug:
            explain_errors_of(model)
        return model

    @property
    def generative(self) -> Distribution | None:
        """The product of the model's generative factors."""
        return generative_part(self.analysis.model, self.analysis.resolver)

    @cached_property
    def coupled(self) -> str | None:
        """A term over the rows of a batch together, as `MMD[q(z) || p(z)]`; None where every row stands alone."""
        return next((label for t in self.analysis.objectives.values() for label in over_rows(t)), None)

    @cached_property
    def whole_data(self) -> str | None:
        """An objective that no parts of a batch add up to, as it is no sum over the data points; None without one."""
        ranges = self.analysis.model.indices.ranges
        own = {name for name, known in ranges.items() if known.of_data}
        return next((name for name, term in self.analysis.objectives.items() if whole_data(term, own)), None)

    @cached_property
    def formatted(self) -> str:
        """The program in its one form, without comments, and the sizes that replaced its own: what it is known by."""
        from pgcompile.syntax.format import format_program

        text = format_program(replace(self.analysis.tree, comments=()), self.analysis.source)
        return "\n".join([text, *(f"--set {name}={value}" for name, value in sorted((self.constants or {}).items()))])

    def closed_in(self, method: str) -> bool:
        """True if a method of the class computes an expectation by a closed form."""
        lines = self.analysis.model.optimise
        losses = {loss_name(line, lines) for line in lines if line.objective in self._closed}
        return bool(self._closed) and (method == "terms" or method in losses or method in self._closed)

    def made(self, extern: Mapping[str, Any] | None = None) -> Any:
        """The module, of its extern parts.

        Args:
            extern: the parts, by the names of the constructor's arguments.

        Returns:
            An instance of `Model`.

        Raises:
            MissingPart: a part is missing.
            DataError: one of them cannot be called, or gives what was not declared.
        """
        given = dict(extern or {})
        if missing := [name for name in self.supplied if name not in given]:
            raise MissingPart(f"the program has the extern part {missing[0]}: give --extern {missing[0]}=pkg.mod:Class")
        try:
            return self.Model(**given)
        except Exception as error:  # any fault of a part, which is asked for its shapes here
            if not given:
                raise
            told = f"{type(error).__name__}: {error}"
            raise DataError(f"{' or '.join(given)}, as supplied, does not serve: {told}") from error


def taken_names() -> set[str]:
    """Names that an emitted file may have for something other than its class."""
    from pgcompile.runtime.library import library_names

    return {"torch", "nn", "D", "F", "Tensor", *library_names()}


def class_name_of(origin: str) -> str:
    """`Vae` for `models/vae.pgc`, `Model` where there is no name to go by."""
    stem = Path(origin).stem if not origin.startswith("<") else ""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in stem).split()
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if name in taken_names():
        return f"{name}Model"  # a class of that name may stand in the file already
    return name if name.isidentifier() else "Model"
