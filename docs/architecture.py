"""The page of the architecture and its picture: the divergence of the VAE's objective at each stage of its trip."""

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from textwrap import fill
from xml.sax.saxutils import escape

from pgcompile.backends.torch import emit
from pgcompile.diagnostics import Source, Span
from pgcompile.inference.generative import generative_part
from pgcompile.model.distributions import Distribution
from pgcompile.model.factors import FactorInstance
from pgcompile.objective.leaves import ClosedLeaf
from pgcompile.objective.terms import Add, Divergence, Draw, Env, LogDensity
from pgcompile.pipeline import Analysis, analyse
from pgcompile.plan.methods.planner import plan_module
from pgcompile.plan.values import Value
from pgcompile.syntax import tree
from pgcompile.syntax.format import format_expr

_ROOT = Path(__file__).parent.parent
_PROGRAM = _ROOT / "examples" / "vae.pgc"
_OBJECTIVE = "elbo"
_WIDTH = 96


@dataclass(frozen=True)
class Stage:
    """A stage of the trip.

    Args:
        name: what the formula is there.
        room: the package that makes it.
        about: one sentence.
        text: the object, printed.
        picture: the few lines of it that the picture shows.
    """

    name: str
    room: str
    about: str
    text: str
    picture: tuple[str, ...]


def stages() -> list[Stage]:
    """The stages of the divergence, with the real objects of this version of the compiler."""
    analysis = analyse(Source(_PROGRAM.read_text(encoding="utf-8"), _PROGRAM.name))
    (node,) = (n for n in tree.walk(analysis.model.objectives[_OBJECTIVE].expr) if isinstance(n, tree.Functional))
    text = analysis.source.snippet(node.span)
    term = _divergence(analysis)
    step = next(s for s in analysis.rewritten[_OBJECTIVE].steps if s.rule == "closed form")
    leaf = next(x for x in analysis.rewritten[_OBJECTIVE].leaves.values() if isinstance(x, ClosedLeaf))
    values, lines = _values(analysis, text), _lines(analysis, text)
    draw = _short(term.draw)
    assert node.right is not None
    return [
        Stage("text", "the user", "The program as it was written.", text, (text,)),
        Stage(
            "tree",
            "syntax",
            "The grammar knows spellings and brackets, and no distributions. Every node keeps its span.",
            printed(node),
            (
                f"Functional(kind={node.kind!r},",
                f"    left={type(node.left).__name__}: {format_expr(node.left)},",
                f"    right={type(node.right).__name__}: {format_expr(node.right)})",
            ),
        ),
        Stage(
            "term",
            "objective",
            "Names are settled: both sides are distributions of the model, the average is over one draw, and `body` "
            "is the definition that `vocabulary/functionals/kl.py` states.",
            printed(term),
            (f"Divergence(kind={term.kind!r}, draw={draw},", f"    body={_body(term)})"),
        ),
        Stage(
            "derivation",
            "objective/rules",
            "Rules are asked in turn; the one that closed the expectation is recorded with its reason. The formula "
            "is over symbols of the parameters.",
            f"{printed(step)}\n\n{printed(leaf.formula)}",
            (f"[{step.rule}] {step.before}", f"    = {step.after}"),
        ),
        Stage(
            "plan",
            "plan",
            "A program of tensor operations, single assignment; each value knows its event shape and the formula that "
            "it belongs to. Batch dimensions are understood.",
            "\n".join(values),
            (*values[:2], "...", *values[-2:]),
        ),
        Stage(
            "line",
            "backends/torch",
            "A table gives the source of each operation; values that are used once are written where they are used.",
            "\n".join(lines),
            tuple(lines),
        ),
    ]


def _divergence(analysis: Analysis) -> Divergence:
    whole = analysis.objectives[_OBJECTIVE]
    assert isinstance(whole, Add)
    return next(term for _, term in whole.terms if isinstance(term, Divergence))


def _body(term: Divergence) -> str:
    """The definition of a divergence: a sum of log-densities."""
    assert isinstance(term.body, Add)
    parts = [(sign, part.distribution) for sign, part in term.body.terms if isinstance(part, LogDensity)]
    return " ".join(f"{'+' if sign > 0 else '-'} log {_short(of)}" for sign, of in parts).removeprefix("+ ")


def _values(analysis: Analysis, text: str) -> list[str]:
    """The values of the plan that belong to a formula, a line each."""
    plan = plan_module(analysis.model, generative_part(analysis.model, analysis.resolver), analysis.rewritten)
    found: dict[int, Value] = {}

    def visit(value: Value) -> None:
        if value.number not in found:
            found[value.number] = value
            for arg in value.args:
                visit(arg)

    for _, output in next(m for m in plan.objectives if m.name == _OBJECTIVE).outputs:
        visit(output)
    own = [v for _, v in sorted(found.items()) if any(o.label == text for o in v.origins) and v.op != "module"]
    return [_value_text(value) for value in own]


def _value_text(value: Value) -> str:
    """`v13 = add(v11, v12)  [8]`, with a named value by its name."""
    args = ", ".join([*map(_argument, value.args), *map(repr, value.attributes)])
    return f"{_value_name(value):<4}= {value.op}({args})".ljust(32) + str(list(value.shape))


def _argument(value: Value) -> str:
    return str(value.constant) if value.constant is not None else _value_name(value)


def _value_name(value: Value) -> str:
    return value.hints[0] if value.hints else f"v{value.number}"


def _lines(analysis: Analysis, text: str) -> list[str]:
    """The emitted lines of a formula: its comment, and what follows up to the next one."""
    plan = plan_module(analysis.model, generative_part(analysis.model, analysis.resolver), analysis.rewritten)
    lines = emit(plan, "Vae", analysis.source).source.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(f"# {text}"))
    found = [lines[start].strip()]
    for line in lines[start + 1 :]:
        if line.strip().startswith(("#", "return")):
            break
        found.append(line.strip())
    return found


# --- printing ---


def _short(value: object) -> str | None:
    """The abbreviation of an object that is explained elsewhere; None for any other."""
    match value:
        case Draw():
            return f"<draw of {', '.join(map(str, value.variables))} from {value.distribution.spelled}>"
        case Distribution() | FactorInstance():
            return f"<{value.label}>"
        case Env():
            inside = ", ".join(f"{v}: {_short(d)}" for v, d in value.bindings)
            return f"<environment {inside or 'of observed variables'}>"
        case Span():
            return f"<characters {value.start} to {value.end}>"
    return None


def printed(value: object, indent: str = "") -> str:
    """An object as Python writes it, a field a line where it is long; `<...>` abbreviates."""
    short = _short(value)
    if short is not None:
        return short
    if isinstance(value, tuple):
        return _joined("(", [printed(item, indent + "    ") for item in value], ")", indent)
    if not is_dataclass(value):
        return repr(value)
    shown = [f for f in fields(value) if f.repr]
    parts = [f"{f.name}={printed(getattr(value, f.name), indent + '    ')}" for f in shown]
    return _joined(f"{type(value).__name__}(", parts, ")", indent)


def _joined(head: str, parts: list[str], tail: str, indent: str) -> str:
    flat = f"{head}{', '.join(parts)}{',' if head == '(' and len(parts) == 1 else ''}{tail}"
    if len(flat) + len(indent) <= _WIDTH and "\n" not in flat:
        return flat
    inside = "".join(f"{indent}    {part},\n" for part in parts)
    return f"{head}\n{inside}{indent}{tail}"


# --- page and picture ---


def rooms() -> str:
    """The table of rooms, as `CONTRIBUTING.md` has it."""
    text = (_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text[text.index("| room | holds |") :].split("\n\n")[0]


def page(template: str) -> str:
    """The page: its template with the objects of each stage and the table of rooms."""
    blocks = []
    for number, stage in enumerate(stages(), 1):
        room = f" (`{stage.room}`)" if stage.room != "the user" else ""
        blocks += [
            f"### {number}. {stage.name.capitalize()}{room}",
            "",
            fill(stage.about, 120),
            "",
            "```",
            stage.text,
            "```",
            "",
        ]
    return template.replace("STAGES\n\n", "\n".join(blocks) + "\n").replace("ROOMS\n", rooms() + "\n")


_LEFT, _BOX, _LINE, _PAD, _GAP = 170, 660, 19, 12, 30


def picture() -> str:
    """The trip as an SVG: a box a stage, from the text at the top to the emitted line at the bottom."""
    parts: list[str] = []
    y = 20
    every = stages()
    for number, stage in enumerate(every):
        height = len(stage.picture) * _LINE + 2 * _PAD - 4
        if number:
            parts.append(_arrow(y - _GAP, y))
        parts.append(_box(y, height, stage))
        if stage.name == "tree":
            parts.append(_branch(y, height))
        y += height + _GAP
    title = f"The trip of {every[0].text}, from text to PyTorch"
    width = _LEFT + _BOX + 140
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" role="img" '
        f'font-family="monospace" font-size="14">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _box(y: int, height: int, stage: Stage) -> str:
    middle = y + height // 2
    lines = [
        f'<text x="{_LEFT + _PAD}" y="{y + _PAD + 11 + i * _LINE}" xml:space="preserve" fill="#1b1f24">'
        f"{escape(line)}</text>"
        for i, line in enumerate(stage.picture)
    ]
    return "\n".join(
        [
            f'<rect x="{_LEFT}" y="{y}" width="{_BOX}" height="{height}" rx="6" fill="#f3f6fa" stroke="#5b7083"/>',
            *lines,
            _label(_LEFT - 14, middle - 3, stage.name, "#1b1f24", "bold"),
            _label(_LEFT - 14, middle + 14, stage.room, "#5b7083", "normal"),
        ]
    )


def _label(x: int, y: int, text: str, colour: str, weight: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="end" fill="{colour}" font-weight="{weight}">{escape(text)}</text>'


def _arrow(top: int, bottom: int) -> str:
    x = _LEFT + _BOX // 2
    return (
        f'<path d="M{x} {top + 3} V{bottom - 9}" stroke="#5b7083" fill="none"/>'
        f'<path d="M{x - 5} {bottom - 9} h10 l-5 8 z" fill="#5b7083"/>'
    )


def _branch(y: int, height: int) -> str:
    """The reference interpreter, which starts at the tree too."""
    x, middle = _LEFT + _BOX, y + height // 2
    return (
        f'<path d="M{x + 3} {middle} h22" stroke="#5b7083" stroke-dasharray="4 3" fill="none"/>'
        f'<path d="M{x + 25} {middle - 5} v10 l8 -5 z" fill="#5b7083"/>'
        f'<text x="{x + 40}" y="{middle - 3}" fill="#1b1f24" font-weight="bold">reference</text>'
        f'<text x="{x + 40}" y="{middle + 14}" fill="#5b7083">pgc verify</text>'
    )
