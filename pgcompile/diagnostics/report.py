"""Diagnostics as values, the sink that collects them, and the exceptions that carry them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from pgcompile.diagnostics.source import Source, Span
from pgcompile.diagnostics.suppressions import allowed_ranges, is_allowed


class Severity(Enum):
    """The severity of a diagnostic."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Edit:
    """A mechanical cure: replace the text under `span` by `text`."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One thing to tell the user about the program.

    Args:
        code: stable code such as `PGC203`, `W104` or `N101`.
        span: the place that is wrong.
        message: one sentence that names the user's own variables.
        source: the program the span points into.
        reasons: why it is so, a line each.
        help: what to write instead.
        related: further places, each with a short label; one without a label shares the caret line.
        edits: edits that cure it, if there is a mechanical cure.
        strict: whether it is an error although it is a warning by its code (`--warn error`).
    """

    code: str
    span: Span
    message: str
    source: Source = field(repr=False)
    reasons: tuple[str, ...] = ()
    help: str | None = None
    related: tuple[tuple[Span, str], ...] = ()
    edits: tuple[Edit, ...] = ()
    strict: bool = False

    @property
    def severity(self) -> Severity:
        """Derived from the code: `W...` warns, `N...` notes, all others are errors."""
        match self.code[0]:
            case "W":
                return Severity.ERROR if self.strict else Severity.WARNING
            case "N":
                return Severity.NOTE
            case _:
                return Severity.ERROR

    @property
    def line(self) -> int:
        """Line of the place, from 1."""
        return self.source.position(self.span.start)[1]

    @property
    def column(self) -> int:
        """Column of the place, from 1."""
        return self.source.position(self.span.start)[2]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary for tools (`--json`)."""
        name, line, column = self.source.position(self.span.start)
        _, end_line, end_column = self.source.position(self.span.end)
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "file": name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "reasons": list(self.reasons),
            "help": self.help,
            "related": [
                {
                    "line": self.source.position(span.start)[1],
                    "column": self.source.position(span.start)[2],
                    "label": label,
                }
                for span, label in self.related
            ],
            "edits": [{"start": e.span.start, "end": e.span.end, "text": e.text} for e in self.edits],
        }


# Codes that say that a name is missing.
_MISSING = frozenset(("PGC101", "PGC103", "PGC108", "PGC113", "PGC307", "PGC310", "PGC410"))


class Sink:
    """Collects the diagnostics of one compile.

    Args:
        source: the program.
        permanent: where faults go that are found once, whoever asks first; by default here.
    """

    def __init__(self, source: Source, permanent: "Sink | None" = None) -> None:
        self.source = source
        self.permanent: Sink = permanent or self
        self._found: dict[tuple[str, Span, str], Diagnostic] = {}
        self.unread: set[str] = set()
        """Names whose declaration could not be read; that they are missing is no error of its own."""

    def add(
        self,
        code: str,
        span: Span,
        message: str,
        *,
        reasons: Iterable[str] = (),
        help: str | None = None,
        related: Iterable[tuple[Span, str]] = (),
        edits: Iterable[Edit] = (),
    ) -> None:
        """Record a diagnostic: once at its place, and not if it only follows from a statement that was not read."""
        if code in _MISSING and self.unread:
            named = re.match(r"[^\W\d]\w*", self.source.snippet(span).strip())
            if named is not None and named[0] in self.unread:
                return
        written = self.source.as_written
        message, help = written(message), None if help is None else written(help)
        why = tuple(map(written, reasons))
        found = Diagnostic(code, span, message, self.source, why, help, tuple(related), tuple(edits))
        self._found.setdefault((code, span, message), found)

    def quiet(self) -> "Sink":
        """A sink of the same program that nobody reads, for a question whose faults are reported where they stand."""
        return Sink(self.source, self.permanent)

    def absorb(self, other: "Sink") -> None:
        """Take over what another sink of the same program recorded."""
        for key, found in other._found.items():
            self._found.setdefault(key, found)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Everything recorded, in source order, less the warnings allowed in place by `# pgc: allow CODE`."""
        allowed = allowed_ranges(self.source)
        found = [
            d
            for d in self._found.values()
            if not (d.severity is not Severity.ERROR and is_allowed(d.code, d.span, allowed))
        ]
        return sorted(found, key=lambda d: (d.span.start, d.span.end, d.code, d.message))

    @property
    def has_errors(self) -> bool:
        """True if the program cannot be compiled."""
        return any(d.severity is Severity.ERROR for d in self._found.values())


class CompileError(Exception):
    """The program has errors; `diagnostics` holds all of them, and the message shows each with its caret."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        from pgcompile.diagnostics.render import render_all

        self.diagnostics = diagnostics
        super().__init__("\n\n" + render_all(diagnostics, colour=False))


class ProgramWarning(UserWarning):
    """A program compiles, and a careful reviewer would remark on it."""


class DataError(Exception):
    """A data file, a checkpoint or a supplied part that does not fit the program."""


class MissingPart(DataError):
    """An extern part of the program was not supplied."""


class RequestError(ValueError):
    """A request that cannot be served as it is: a name, a setting or a question that is not one of those allowed."""


class InternalError(Exception):
    """A fault of pgcompile itself, not of the program."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}\nThis is a fault of pgcompile, not of your program; please report it with the program."
        )
