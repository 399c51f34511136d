"""The layout of text on the page: folded comments and docstrings, calls an argument a line, lists an entry a line."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgcompile.plan.origin import Origin, merged

WIDTH = 88


@dataclass(frozen=True)
class Line:
    """One line of the emitted file.

    Args:
        text: the line, without its end.
        origins: the places of the program that it comes from, the nearest first; empty for what every file has.
    """

    text: str
    origins: tuple[Origin, ...] = ()


def stamped(lines: Iterable[Line], *origins: Origin) -> list[Line]:
    """Lines that come from some places as well as from their own."""
    return [Line(line.text, merged(line.origins, origins)) for line in lines]


def plain_lines(texts: Iterable[str]) -> list[Line]:
    """Lines of some texts, whose origins are not known yet."""
    return [Line(text) for text in texts]


def docstring(text: str, more: str, indent: int = 8) -> list[Line]:
    """A docstring of one line, or folded when it is long."""
    pad = " " * indent
    text = safe_comment(text)
    line = f'{pad}"""{text}{f"; {more}" if more else ""}."""'
    if len(line) <= WIDTH:
        return [Line(line)]
    whole = f"{text}{'' if more else '.'}"
    folded = _fold(whole, WIDTH - indent - 4)
    if len(folded) == 1 and not more:
        # Only the quotes do not fit: ruff would put them back on the line.
        folded = _fold(whole, len(whole) - 1)
    lines = [f'{pad}"""{folded[0]}', *(f"{pad}{part}" for part in folded[1:])]
    if more:
        lines[-1] += ";"
        lines += [f"{pad}{part}" for part in _fold(f"{more}.", WIDTH - indent)]
    return plain_lines([*lines, f'{pad}"""'])


def definition(head: str) -> list[Line]:
    """A `def` line, an argument a line where it is too long."""
    if len(head) <= WIDTH:
        return [Line(head)]
    start, rest = head.split("(", 1)
    inside, result = rest.rsplit(") ->", 1)
    return plain_lines([f"{start}(", *(f"        {part}," for part in inside.split(", ")), f"    ) ->{result}"])


def statement(text: str, indent: int = 8) -> list[Line]:
    """A statement; a call that does not fit is written an argument a line, with the comma that keeps it so."""
    return [Line(" " * indent + part) for part in split_call(text, WIDTH - indent)]


def collection(start: str, entries: list[str], end: str, indent: int = 8) -> list[Line]:
    """A call, list or dictionary, an entry a line where it is too long."""
    pad = " " * indent
    line = f"{pad}{start}{', '.join(entries)}{end}"
    if len(line) <= WIDTH:
        return [Line(line)]
    lines = [f"{pad}{start}"]
    for entry in entries:
        parts = split_call(entry, WIDTH - indent - 5)
        parts[-1] += ","
        lines += [f"{pad}    {part}" for part in parts]
    return plain_lines([*lines, f"{pad}{end}"])


def linked(module: str, names: list[str]) -> list[Line]:
    """An import of names of the library."""
    line = f"from {module} import {', '.join(names)}"
    return [Line(line)] if len(line) <= WIDTH else collection(f"from {module} import (", names, ")", 0)


def comment(text: str, indent: int) -> list[Line]:
    """A comment, folded to the page."""
    pad = " " * indent
    words = safe_comment(text).split(" ")
    lines, current = [], "#"
    for word in words:
        if len(pad) + len(current) + 1 + len(word) > WIDTH and current != "#":
            lines.append(pad + current)
            current = "#  "
        current += f" {word}"
    return plain_lines([*lines, pad + current])


def indented(lines: Iterable[Line], by: int) -> list[Line]:
    """Lines moved to the right, into a block."""
    return [Line(" " * by + line.text, line.origins) for line in lines]


def bare(lines: list[Line]) -> list[Line]:
    """Without comments: a factor's docstring has its formula already."""
    return [line for line in lines if not line.text.lstrip().startswith("#")]


def shortened(text: str, most: int = 70) -> str:
    """A long product with its middle left out."""
    if len(text) <= most:
        return text
    words = text.split(" ")
    kept = [words[0]]
    for word in words[1:]:
        if sum(map(len, kept)) + len(kept) + len(word) > most:
            return " ".join(kept) + " ..."
        kept.append(word)
    return " ".join(kept)


def safe_comment(text: str) -> str:
    """Text that cannot end the comment or docstring it stands in."""
    flat = " ".join(text.split())
    return flat.replace("\\", "").replace('"""', "'''").replace('"', "'")


def _fold(text: str, width: int) -> list[str]:
    lines, current = [], ""
    for word in text.split(" "):
        if current and len(current) + 1 + len(word) > width:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    return [*lines, current]


def split_call(text: str, width: int) -> list[str]:
    """A statement that ends in a call, or a list: an argument a line where it is wider than the page."""
    if len(text) <= width or not text.endswith((")", "]")):
        return [text]
    depth = 0
    opening = None
    for position in range(len(text) - 1, -1, -1):
        depth += {")": 1, "]": 1, "}": 1, "(": -1, "[": -1, "{": -1}.get(text[position], 0)
        if depth == 0:
            opening = position
            break
    if opening is None:
        return [text]
    before = text[opening - 1] if opening else ""
    is_call = text[-1] == ")" and (before.isalnum() or before in tuple("_])"))
    if not is_call and not (text[-1] == "]" and not before):
        return [text]  # brackets around a sum are no call: a comma would make a tuple of it
    arguments = split_arguments(text[opening + 1 : -1])
    held = text.startswith("values = ")
    if not held and (not arguments or (opening >= width and " = " in text[:opening])):
        # Brackets around the call would be right for one width of the page only; `values` is no name of a program's.
        targets, equals, call = text.partition(" = ")
        return [*split_call(f"values = {call}", width), f"{targets} = values"] if equals else [text]
    if not arguments:
        return [text]
    lines = [text[: opening + 1]]
    for argument in arguments:
        inner = split_call(argument, width - 5)
        inner[-1] += ","
        lines += [f"    {part}" for part in inner]
    return [*lines, text[-1]]


def split_arguments(text: str) -> list[str]:
    """The arguments of a call, split at its own commas."""
    parts, depth, current, quoted = [], 0, "", False
    for char in text:
        if char == '"':
            quoted = not quoted
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0) * (not quoted)
        if char == "," and depth == 0 and not quoted:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [*parts, current.strip()] if current.strip() else parts
