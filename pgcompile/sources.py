"""Program text from a file, a string, or the parts of the quick form."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgcompile.diagnostics import CompileError, Sink, Source, Span

_SPACE = re.compile(r"[a-z_]+(\s*\[[^\]]*\])*")
_OPTIMISED = re.compile(r"\s*(maximi[sz]e|minimi[sz]e)\b")
_NAMED = re.compile(r"\s*[^\W\d]\w*\s*=(?!=)")


def read_source(program: str | Path) -> Source:
    """The text of a program; a string that ends in `.pgc` and has one line is a path.

    Raises:
        FileNotFoundError: there is no such file.
        CompileError: the file is not UTF-8 text.
    """
    if isinstance(program, Path):
        return _read(program)
    if "\n" not in program and program.strip().endswith(".pgc"):
        return _read(Path(program.strip()))
    return Source(program)


def _read(path: Path) -> Source:
    data = path.read_bytes()
    try:
        return Source(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        sink = Sink(Source("", str(path)))
        sink.add(
            "PGC001",
            Span(0, 0),
            f"{path.name} is not UTF-8 text (byte {error.start} is {data[error.start]:#04x})",
            help="save the program as plain UTF-8 text",
        )
        raise CompileError(sink.diagnostics) from None


def source_of_parts(model: str | None, objective: str | None, where: Mapping[str, str | float | list[Any]]) -> Source:
    """One text from the parts of the quick form, each part remembered by what the user called it.

    Raises:
        TypeError: a part is neither text nor a number nor a list of numbers.
    """
    pieces: list[tuple[str, str]] = []
    for name, part in (("model", model), ("objective", objective)):
        if part is not None and not isinstance(part, str):
            raise TypeError(f"{name} is a formula in quotes, not {part!r}")
    if model is not None:
        pieces.append(("model", model))
    for key, given in where.items():
        if not isinstance(key, str) or not isinstance(given, str | int | float | list | tuple):
            raise TypeError(f"where[{key!r}] is a formula in quotes or a number, not {given!r}")
        value = given if isinstance(given, str) else str(list(given) if isinstance(given, tuple) else given)
        pieces.append((f'where["{key}"]', f"{key}{_sign(key, value)}{value}"))
    if objective is not None and _OPTIMISED.match(objective):
        pieces.append(("objective", objective))
    elif objective is not None:
        text = objective if _NAMED.match(objective) else f"objective = {objective}"
        name = text.split("=", 1)[0].strip()
        pieces.append(("objective", text))
        pieces.append(("objective", f"maximize {name}"))
    text, parts = "", []
    for label, piece in pieces:
        parts.append((len(text), label))
        # A part is one statement: its own lines must not be taken for several.
        text += "\n  ".join(line.strip() for line in piece.strip().splitlines()) + "\n"
    return Source(text, "<program>", tuple(parts))


def _sign(key: str, value: str) -> str:
    """The sign between the left side of a statement and its right."""
    word = key.split()[0] if key.strip() else ""
    if word == "extern":
        return " -> " if value.strip() else ""
    if word in ("param", "buffer", "input"):
        return " = " if ":" in key else " : "
    # `"x": "boolean[784]"` declares, `"y": "f(z)"` defines.
    return " : " if "(" not in key and " " not in key.strip() and _SPACE.fullmatch(value.strip()) else " = "
