"""The single printer of diagnostics: the source line, carets, reasons and help."""

import unicodedata
from collections.abc import Iterable

from pgcompile.diagnostics.report import Diagnostic, Severity
from pgcompile.diagnostics.source import Source, Span

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
_MAX_LINE = 160


def render_all(diagnostics: Iterable[Diagnostic], *, colour: bool) -> str:
    """Every diagnostic, a blank line between them."""
    return "\n\n".join(render(d, colour=colour) for d in diagnostics)


def render(found: Diagnostic, *, colour: bool) -> str:
    """One diagnostic in the form of `docs/diagnostics.md`.

    Args:
        found: what to print.
        colour: whether to use ANSI colours.
    """
    paint = _painter(colour)
    tone = _COLOURS[found.severity]
    lines = [
        paint(f"{found.severity.value}[{found.code}]", tone, bold=True) + paint(f": {found.message}", None, bold=True)
    ]
    name, line, column = found.source.position(found.span.start)
    margin = " " * len(str(line))
    lines.append(f"{margin}{paint('-->', '34')} {name}:{line}:{column}")
    unlabelled = [span for span, label in found.related if not label]
    lines.extend(_frame(found.source, [found.span, *unlabelled], tone, margin, paint))
    for span, label in found.related:
        if not label:
            continue
        _, other, other_column = found.source.position(span.start)
        lines.append(f"{margin}{paint(':::', '34')} {label} (line {other}, column {other_column})")
        if other != line:
            lines.extend(_frame(found.source, [span], "34", margin, paint))
    lines.extend(f"{margin} {paint('=', '34')} {_indent(reason, margin)}" for reason in found.reasons)
    if found.help:
        lines.append(f"{margin} {paint('=', '34')} {paint('help', '32')}: {_indent(found.help, margin)}")
    return "\n".join(lines)


def render_place(source: Source, span: Span) -> str:
    """A place of a program: where it is, its line, and carets under it, without colours."""
    name, line, column = source.position(span.start)
    margin = " " * len(str(line))
    return "\n".join([f"{margin}--> {name}:{line}:{column}", *_frame(source, [span], "31", margin, _painter(False))])


class _painter:
    """Wraps text in ANSI codes, or leaves it alone."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, code: str | None, *, bold: bool = False) -> str:
        codes = ";".join(c for c in ("1" if bold else None, code) if c)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colour and codes else text


def _indent(text: str, margin: str) -> str:
    return text.replace("\n", f"\n{margin}   ")


def _frame(source: Source, spans: list[Span], tone: str, margin: str, paint: _painter) -> list[str]:
    """The source line of the first span (of its first line), with carets under it and under others on that line."""
    span, *others = spans
    start, text = source.line_at(span.start)
    _, line, _ = source.position(span.start)
    begin = span.start - start
    end = max(min(span.end - start, len(text)), begin + 1)
    if len(text) > _MAX_LINE:
        text, begin, end = _window(text, begin, end)
    more = [s for s in others if start <= s.start <= start + len(text)]
    bar = paint("|", "34")
    head = _printable(text[:begin])
    marked = _printable(text[begin:end])
    number = paint(str(line).rjust(len(margin)), "34")
    under = " " * _width(head) + "^" * max(_width(marked), 1)
    for other in sorted(more):
        under = under.ljust(_width(_printable(text[: other.start - start])))
        under += "^" * max(_width(_printable(text[other.start - start : other.end - start])), 1)
    carets = " " * (len(under) - len(under.lstrip())) + paint(under.lstrip(), tone, bold=True)
    return [f"{margin} {bar}", f"{number} {bar} {_printable(text)}", f"{margin} {bar} {carets}"]


def _window(text: str, begin: int, end: int) -> tuple[str, int, int]:
    """A readable stretch of a very long line around the marked part."""
    left = max(begin - _MAX_LINE // 2, 0)
    right = min(left + _MAX_LINE, len(text))
    prefix, suffix = ("..." if left else ""), ("..." if right < len(text) else "")
    shown = prefix + text[left:right] + suffix
    begin = begin - left + len(prefix)
    return shown, begin, min(end - left + len(prefix), len(shown))


def _printable(text: str) -> str:
    """Control characters made visible, so that a terminal cannot be steered by a program's text."""
    return "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    if char == "\t":
        return "    "
    if unicodedata.category(char) in ("Cc", "Cf", "Cs"):
        return "\N{REPLACEMENT CHARACTER}"
    return char


def _width(text: str) -> int:
    """Terminal columns: wide characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
