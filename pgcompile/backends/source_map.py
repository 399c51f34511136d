"""The source map of an emitted file: from its lines to the places of the program that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgcompile.diagnostics import Source
from pgcompile.plan.origin import Origin

VERSION = 1
"""Version of the JSON form; it grows when a reader of the old form would misread the new one."""


@dataclass(frozen=True)
class SourceMap:
    """Places of the program by line of the emitted file.

    Args:
        program: the program.
        lines: of every line of the file, in order, its origins, the nearest first.

    Examples:
        >>> import pgcompile as pgc
        >>> program = pgc.compile("x : real[3]\\np(x) = Normal(0, 1)\\nfit = log p(x)")
        >>> lines = program.source.splitlines()
        >>> line = next(n for n, text in enumerate(lines, 1) if "x.square()" in text)
        >>> [origin.label for origin in program.source_map.at(line)]
        ['p(x)', 'log p(x)', 'fit']
    """

    program: Source
    lines: tuple[tuple[Origin, ...], ...]

    @classmethod
    def of(cls, program: Source, lines: Sequence[tuple[Origin, ...]]) -> SourceMap:
        """The map of a file; text spread over several lines of the file has an entry for each."""
        return cls(program, tuple(lines))

    def at(self, line: int) -> tuple[Origin, ...]:
        """Origins of a line of the emitted file, counted from 1; empty for what every file has."""
        return self.lines[line - 1] if 0 < line <= len(self.lines) else ()

    def to_json(self) -> dict[str, object]:
        """A plain dictionary, as `pgc compile --source-map` writes it; docs/emitted.md has its schema."""
        numbers: dict[Origin, int] = {}
        lines = {}
        for number, origins in enumerate(self.lines, 1):
            if origins:
                lines[str(number)] = [numbers.setdefault(origin, len(numbers)) for origin in origins]
        return {
            "version": VERSION,
            "program": self.program.name,
            "origins": [self._place(origin) for origin in numbers],
            "lines": lines,
        }

    def _place(self, origin: Origin) -> dict[str, object]:
        name, line, column = self.program.position(origin.span.start)
        _, end_line, end_column = self.program.position(origin.span.end)
        return {
            "label": origin.label,
            "file": name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "start": origin.span.start,
            "end": origin.span.end,
        }
