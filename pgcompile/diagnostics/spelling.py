"""Nearest-name proposals: what a misspelt or foreign name was probably meant to be."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import TypedDict

from pgcompile.diagnostics.report import Edit
from pgcompile.diagnostics.source import Span


class Suggestion(TypedDict):
    """The help of a diagnostic and the edit that follows it, as arguments of `Sink.add`."""

    help: str
    edits: tuple[Edit, ...]


def suggest(
    name: str, span: Span, known: Iterable[str], otherwise: str, also: Mapping[str, str] | None = None
) -> Suggestion:
    """A proposal for an unknown name.

    Args:
        name: what was written.
        span: where; the edit replaces it.
        known: names that exist here.
        otherwise: the help where nothing is near.
        also: names of other languages and what they are called here; a value of several words is told, not edited.
    """
    known = list(known)
    called = {k.casefold(): v for k, v in (also or {}).items() if v in known or " " in v}.get(name.casefold())
    if called is not None:
        if " " in called:
            return Suggestion(help=f"{name} is {called}", edits=())
        return Suggestion(help=f"{name} is called {called}", edits=(Edit(span, called),))
    close = nearest(name, known)
    if close is None:
        return Suggestion(help=otherwise, edits=())
    # Only a slip of the keys is mended; that one name begins like the other is no more than a guess.
    slip = distance(name.casefold(), close.casefold()) <= max(1, len(close) // 4)
    return Suggestion(help=f"did you mean {close}?", edits=(Edit(span, close),) if slip else ())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is close (case is ignored).

    Close is a slip of the keys (a letter wrong, missing, doubled or swapped, more of them in longer names), or one name
    being the start of the other.
    """
    folded = name.casefold()
    found: list[tuple[int, int, float, str]] = []
    for candidate in known:
        other = candidate.casefold()
        slips = distance(folded, other)
        shorter = min(len(folded), len(other))
        if slips <= max(1, len(other) // 4) and slips < shorter and (shorter > 1 or folded == other):
            likeness = SequenceMatcher(None, folded, other).ratio()
            found.append((slips, abs(len(folded) - len(other)), -likeness, candidate))
        elif shorter >= 3 and (other.startswith(folded) or folded.startswith(other)):
            found.append((len(other) + len(folded), 0, 0.0, candidate))
    return min(found)[3] if found else None


def distance(a: str, b: str) -> int:
    """Letters to change, add, drop or swap with a neighbour to get from one word to the other (Damerau 1964)."""
    if abs(len(a) - len(b)) > 4:
        return max(len(a), len(b))
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
