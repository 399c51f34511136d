"""The one error form of the whole product: a code, a place in the program, a sentence, a reason and a cure.

Rooms raise nothing for a bad program: they add `Diagnostic`s to a `Sink` and go on, so that one run reports
every mistake. Only the edges of the API (`pgcompile.compile`, the command line) turn a sink into an exception.
"""

from pgcompile.diagnostics.report import (
    CompileError,
    DataError,
    Diagnostic,
    Edit,
    InternalError,
    MissingPart,
    ProgramWarning,
    RequestError,
    Severity,
    Sink,
)
from pgcompile.diagnostics.source import NOWHERE, Source, Span
from pgcompile.diagnostics.spelling import nearest, suggest

__all__ = [
    "NOWHERE",
    "CompileError",
    "DataError",
    "Diagnostic",
    "Edit",
    "InternalError",
    "MissingPart",
    "ProgramWarning",
    "RequestError",
    "Severity",
    "Sink",
    "Source",
    "Span",
    "nearest",
    "suggest",
]
