"""`# pgc: allow W104`: warnings and notes that a program switches off where they arise."""

import re
from typing import TYPE_CHECKING

from pgcompile.diagnostics.source import Source, Span

if TYPE_CHECKING:
    from pgcompile.diagnostics.report import Sink

_MARK = "# pgc: allow"


def allowed_ranges(source: Source) -> list[tuple[int, int, dict[str, Span]]]:
    """`(start, end, codes)` for every allow comment: its own line, or the next one when it stands alone.

    A comment on an indented line serves the lines before it too, up to the one where their statement begins.
    """
    ranges = []
    at = source.text.find(_MARK)
    while at >= 0:
        start, line = source.line_at(at)
        written = re.finditer(r"[\w-]+", line[at - start + len(_MARK) :])
        first = at + len(_MARK)
        codes = {found[0]: Span(first + found.start(), first + found.end()) for found in written}
        end = start + len(line)
        if not line[: at - start].strip() and end + 1 < len(source.text):
            _, following = source.line_at(end + 1)
            end += 1 + len(following)
        while line[:1].isspace() and line[: at - start].strip() and start > 0:
            start, line = source.line_at(start - 1)
        ranges.append((start, end, codes))
        at = source.text.find(_MARK, at + 1)
    return ranges


def is_allowed(code: str, span: Span, allowed: list[tuple[int, int, dict[str, Span]]]) -> bool:
    """True if a comment at this place allows the code."""
    return any(start <= span.start <= end and code in codes for start, end, codes in allowed)


def check_allowed(sink: "Sink") -> None:
    """Report codes that do not exist, and errors, which no comment allows."""
    if _MARK not in sink.source.text:
        return
    from pgcompile.diagnostics.catalogue import CATALOGUE
    from pgcompile.diagnostics.spelling import nearest

    known = [entry.code for entry in CATALOGUE]
    for _, _, codes in allowed_ranges(sink.source):
        for code, span in codes.items():
            if code in known and not code.startswith("PGC"):
                continue
            near = nearest(code, [c for c in known if not c.startswith("PGC")])
            sink.add(
                "W125",
                span,
                f"{code} is an error, which a comment cannot allow" if code in known else f"there is no code {code}",
                help=f"did you mean {near}?" if near and code not in known else "only warnings and notes are allowed",
            )
