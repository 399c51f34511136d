"""Applies the mechanical cures of diagnostics to a program's text."""

from collections.abc import Iterable

from pgcompile.diagnostics.report import Diagnostic, Edit


def apply_edits(text: str, diagnostics: Iterable[Diagnostic]) -> str:
    """The text with every edit made that does not overlap an earlier one.

    Args:
        text: what the diagnostics were found in.
        diagnostics: in source order; those without a cure change nothing.
    """
    taken: list[Edit] = []
    for found in diagnostics:
        if any(_overlap(edit, other) for edit in found.edits for other in taken):
            continue  # cured by a later run, when the first cure is in
        taken.extend(found.edits)
    for edit in sorted(taken, key=lambda e: (e.span.start, e.span.end), reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _overlap(a: Edit, b: Edit) -> bool:
    return (a.span.start < b.span.end and b.span.start < a.span.end) or a.span == b.span
