"""The page of indices and its picture: what of a recurrent model runs before its loop, in it, and after it."""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, wrap
from xml.sax.saxutils import escape

from pgcompile.backends.torch import emit
from pgcompile.diagnostics import Source
from pgcompile.inference.generative import generative_part
from pgcompile.pipeline import analyse
from pgcompile.plan.methods.planner import plan_module

_PROGRAM = Path(__file__).parent.parent / "examples" / "sequences" / "vrnn.pgc"
_LOOP = "_elbo_turns"
_WIDE = 106


@dataclass(frozen=True)
class Part:
    """A part of the emitted objective: where it runs, and a formula with its lines, each in turn."""

    title: str
    about: str
    blocks: tuple[tuple[str, tuple[str, ...]], ...]


def _source() -> str:
    source = Source(_PROGRAM.read_text(encoding="utf-8"), _PROGRAM.name)
    analysis = analyse(source)
    plan = plan_module(analysis.model, generative_part(analysis.model, analysis.resolver), analysis.rewritten)
    return emit(plan, "Vrnn", source).source


def _method(source: str, name: str) -> list[str]:
    """The lines of a method, its head and docstring left out."""
    text = source[source.index(f"    def {name}(") :].split("\n    def ", 2)
    body = text[0] if len(text) == 1 else text[0] or text[1]
    return dedent(body.split('"""', 2)[2]).strip("\n").splitlines()


def _blocks(lines: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Statements under the comment that says of which formula they are."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("#"):
            found.append((line.removeprefix("# "), []))
        elif found and line.startswith((" ", ")")):
            found[-1][1][-1] += line.strip() if line.startswith(")") else f" {line.strip()}"
        elif found:
            found[-1][1].append(line)
    joined = ((head, [re.sub(r"\( ", "(", s).replace(",)", ")") for s in statements]) for head, statements in found)
    return tuple((head, tuple(statements)) for head, statements in joined)


def parts() -> tuple[Part, ...]:
    """What runs before the loop, in each turn of it, and after it."""
    source = _source()
    objective = _method(source, "elbo")
    start = next(i for i, line in enumerate(objective) if f"self.{_LOOP}(" in line)
    end = next(i for i, line in enumerate(objective) if i > start and line.startswith(")"))
    return (
        Part("before the loop", "all places at once", _blocks(objective[:start])),
        Part("in the loop", "a place at a time", _blocks(turn())),
        Part("after the loop", "all places at once", _blocks(objective[end + 1 :])),
    )


def turn() -> list[str]:
    """The lines of one turn of the loop."""
    lines = _method(_source(), _LOOP)
    start = next(i for i, line in enumerate(lines) if line.startswith("for "))
    inside = [line for line in lines[start + 1 :] if line.startswith("    ")]
    return dedent("\n".join(inside)).splitlines()


def page(template: str) -> str:
    """The page of indices."""
    text = "".join(line for line in _PROGRAM.read_text(encoding="utf-8").splitlines(keepends=True) if line[:1] != "#")
    return template.replace("PROGRAM\n", text.strip() + "\n").replace("TURN\n", "\n".join(turn()) + "\n")


_LEFT, _BOX, _LINE, _PAD, _GAP = 164, 820, 18, 12, 34
_COLOURS = {"before the loop": "#eef5ee", "in the loop": "#fdf1e3", "after the loop": "#eef2fa"}


def picture() -> str:
    """The parts as an SVG, from the top to the bottom, and what the loop carries from turn to turn."""
    drawn: list[str] = []
    y = 20
    every = parts()
    for number, part in enumerate(every):
        lines = _lines(part)
        height = len(lines) * _LINE + 2 * _PAD - 4
        if number:
            drawn.append(_arrow(y - _GAP, y))
        drawn.append(_box(y, height, part, lines))
        if part.title == "in the loop":
            drawn.append(_again(y, height))
        y += height + _GAP
    width = _LEFT + _BOX + 130
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" role="img" '
        f'font-family="monospace" font-size="12.5">\n<title>What of a variational recurrent net takes turns</title>\n'
        f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _lines(part: Part) -> list[tuple[str, bool]]:
    """Lines of a box, and whether each is a formula of the program."""
    found: list[tuple[str, bool]] = []
    for head, statements in part.blocks:
        found.append((head, True))
        for statement in statements:
            found += [
                (f"    {'' if i == 0 else '    '}{row}", False) for i, row in enumerate(wrap(statement, _WIDE - 8))
            ]
    return found


def _box(y: int, height: int, part: Part, lines: list[tuple[str, bool]]) -> str:
    middle = y + height // 2
    rows = [
        f'<text x="{_LEFT + _PAD}" y="{y + _PAD + 10 + i * _LINE}" xml:space="preserve" '
        f'fill="{"#1b1f24" if is_formula else "#45566a"}" font-weight="{"bold" if is_formula else "normal"}">'
        f"{escape(line)}</text>"
        for i, (line, is_formula) in enumerate(lines)
    ]
    label = f'<text x="{_LEFT - 14}" text-anchor="end"'
    return "\n".join(
        [
            f'<rect x="{_LEFT}" y="{y}" width="{_BOX}" height="{height}" rx="6" fill="{_COLOURS[part.title]}" '
            'stroke="#5b7083"/>',
            *rows,
            f'{label} y="{middle - 3}" fill="#1b1f24" font-weight="bold">{part.title}</text>',
            f'{label} y="{middle + 14}" fill="#5b7083">{part.about}</text>',
        ]
    )


def _arrow(top: int, bottom: int) -> str:
    x = _LEFT + _BOX // 2
    return (
        f'<path d="M{x} {top + 3} V{bottom - 9}" stroke="#5b7083" fill="none"/>'
        f'<path d="M{x - 5} {bottom - 9} h10 l-5 8 z" fill="#5b7083"/>'
    )


def _again(y: int, height: int) -> str:
    """The arrow from the end of a turn to the next one, with what is carried."""
    source = _source()
    carried = re.search(rf"def {_LOOP}\(.*?\n        \((.*?)\) = carried", source, re.DOTALL)
    assert carried is not None
    x, low, high = _LEFT + _BOX, y + height - 14, y + 14
    return (
        f'<path d="M{x + 3} {low} h26 V{high} h-16" stroke="#b06a1c" fill="none"/>'
        f'<path d="M{x + 14} {high - 5} v10 l-9 -5 z" fill="#b06a1c"/>'
        f'<text x="{x + 36}" y="{(low + high) // 2}" fill="#b06a1c">{escape(carried[1].rstrip(","))}</text>'
    )
