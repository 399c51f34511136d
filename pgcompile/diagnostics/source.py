"""Program text and places in it."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, order=True)
class Span:
    """A half-open range of character offsets of the program text."""

    start: int
    end: int

    def to(self, other: "Span") -> "Span":
        """The smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


NOWHERE = Span(0, 0)


@dataclass(frozen=True)
class Source:
    """The text of one compile, and what to call each part of it.

    Args:
        text: the whole program.
        name: what to call it in messages, usually a file name.
        parts: for programs put together from several strings, `(offset, name)` of each part, in order.
    """

    text: str
    name: str = "<program>"
    parts: tuple[tuple[int, str], ...] = ()

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets at which lines begin."""
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        return starts

    @cached_property
    def primed(self) -> dict[str, str]:
        """Names that the program writes with a prime, by how they are kept: `x_prime` is `x'` there."""
        written = {f"{n}_prime": f"{n}'" for n in re.findall(r"(?<!\w)(\w+)['′]", self.text)}
        return {kept: name for kept, name in written.items() if kept not in self.text}

    def as_written(self, text: str) -> str:
        """A message with its names as the program writes them: `x_t` for the name `x_{t}` of a template too."""
        text = re.sub(r"_\{(?:=(\w+)|([^\W\d]\w*))\}", lambda found: f"_{found[1] or found[2]}", text)
        if not self.primed:
            return text
        return re.sub(r"(?<!\w)\w+_prime\b", lambda found: self.primed.get(found[0], found[0]), text)

    def position(self, offset: int) -> tuple[str, int, int]:
        """Name, line and column (both from 1) of an offset, counted within its part."""
        line = bisect_right(self.line_starts, offset) - 1
        column = offset - self.line_starts[line] + 1
        if not self.parts:
            return self.name, line + 1, column
        index = max(bisect_right([start for start, _ in self.parts], offset) - 1, 0)
        first = bisect_right(self.line_starts, self.parts[index][0]) - 1
        return self.parts[index][1], line - first + 1, column

    def line_at(self, offset: int) -> tuple[int, str]:
        """Start offset and text of the line that holds an offset."""
        start = self.line_starts[bisect_right(self.line_starts, offset) - 1]
        end = self.text.find("\n", start)
        return start, self.text[start : len(self.text) if end < 0 else end].rstrip("\r")

    def snippet(self, span: Span) -> str:
        """The program text under a span."""
        return self.text[span.start : span.end]
