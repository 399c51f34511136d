"""Writes the parts of the documentation that are made from the code: `python docs/generate.py [--check]`."""

import sys
from pathlib import Path

from pgcompile.atomic_write import write_atomically
from pgcompile.diagnostics.catalogue import CATALOGUE, Entry
from pgcompile.syntax import tables
from pgcompile.syntax.grammar import tables_are_current, tables_text
from pgcompile.vocabulary.definition import show
from pgcompile.vocabulary.families import families
from pgcompile.vocabulary.functionals import functionals
from pgcompile.vocabulary.functions import FUNCTIONS
from pgcompile.vocabulary.initialisers import INITIALISERS
from pgcompile.vocabulary.layers import LAYERS
from pgcompile.vocabulary.transforms import summaries, transform_words

sys.path.insert(0, str(Path(__file__).parent.parent))
from docs.architecture import page as architecture_page
from docs.architecture import picture
from docs.closed_forms import page as closed_forms
from docs.hoisting import page as indices_page
from docs.hoisting import picture as hoisting
from tests.fuzz.mutants import MUTANTS  # the repository's own tests, which are not installed

DOCS = Path(__file__).parent
_LONGEST = 400


def diagnostics() -> str:
    """The catalogue as a page."""
    blocks = [
        "# Diagnostics",
        "",
        "Every code, with a program that gets it and the same program mended. Made from "
        "`pgcompile/diagnostics/catalogue/` by `python docs/generate.py`; a test compiles every example.",
        "",
        "Errors are `PGC...`, warnings `W...`, notes `N...`. A warning is allowed in place by a comment "
        "`# pgc: allow W102` on its line or on the line before; `pgc check --warn error` makes warnings errors.",
        "",
        "| code | means |",
        "| --- | --- |",
        *(f"| [{e.code}](#{e.code.lower()}) | {e.title} |" for e in CATALOGUE),
    ]
    for entry in CATALOGUE:
        blocks += ["", f"## {entry.code}", "", f"{entry.title[0].upper()}{entry.title[1:]}.", "", *_examples(entry)]
    return "\n".join(blocks) + "\n"


def _examples(entry: Entry) -> list[str]:
    return ["Wrong:", "", "```", _shown(entry.wrong), "```", "", "Right:", "", "```", _shown(entry.right), "```"]


def _shown(program: str) -> str:
    """A program as the page prints it: control characters visible, endless ones cut."""
    text = program.replace("\0", "\\0").strip("\n")
    return text if len(text) < _LONGEST else f"{text[:60]} ... ({len(text):,} characters)"


def families_table() -> str:
    """One row a family."""
    rows = []
    for family in families().values():
        names = ", ".join(p.name for p in family.parameters)
        equation = family.equation.replace("|", "\\|")
        rows.append(f"| `{family.name}({names})` | `{equation}` |")
    return "\n".join(rows)


def functionals_table() -> str:
    """One row a functional: a use, its definition and its source."""
    rows = []
    for functional in functionals().values():
        means = functional.in_words
        if functional.definition is not None:
            means = f"`{show(functional.definition, *functional.names_of_sides)}`"
        said = "; ".join(part for part in (means, functional.about) if part)
        rows.append(f"| `{functional.example}` | {said} |".replace("||", r"\|\|").replace("z|x", r"z\|x"))
    return "\n".join(rows)


def language() -> str:
    """The language page with its lists filled in."""
    text = (DOCS / "language.template.md").read_text(encoding="utf-8")
    filled = text.replace("FAMILIES\n", families_table() + "\n\n").replace("`FUNCTIONS`", f"`{' '.join(FUNCTIONS)}`")
    filled = filled.replace("FUNCTIONALS\n", functionals_table() + "\n")
    filled = filled.replace("`LAYERS`", f"`{' '.join(LAYERS)}`")
    return filled.replace("INITIALISERS", ", ".join(f"`{name}`" for name in sorted(INITIALISERS)))


def flows() -> str:
    """The page of flows with its table of transforms."""
    rows = ["| transform | options |", "| --- | --- |"]
    about_each = summaries()
    for word in transform_words().values():
        listed = ", ".join(f"`{o.name}={_option(o.default)}`" for o in word.options)
        about = about_each[word.name].replace("|", "\\|")
        rows.append(f"| `{word.name}`: {about} | {listed} |")
    text = (DOCS / "flows.template.md").read_text(encoding="utf-8")
    return text.replace("TRANSFORMS\n", "\n".join(rows) + "\n")


def _option(value: object) -> str:
    """A default as programs write it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def testing() -> str:
    """The testing page with the compiler's mutants."""
    rows = [f"| {m.what} | `{m.caught_by.removeprefix('tests/')}` |" for m in MUTANTS]
    text = (DOCS / "testing.template.md").read_text(encoding="utf-8")
    return text.replace("MUTANTS\n", "\n".join(rows) + "\n")


def architecture() -> str:
    """The page of the architecture, with the objects of one formula's trip."""
    return architecture_page((DOCS / "architecture.template.md").read_text(encoding="utf-8"))


def main() -> int:
    """Write the pages, or say which are out of date."""
    pages = {
        "diagnostics.md": diagnostics(),
        "language.md": language(),
        "flows.md": flows(),
        "testing.md": testing(),
        "closed_forms.md": closed_forms(),
        "architecture.md": architecture(),
        "trip.svg": picture(),
        "indices.md": indices_page((DOCS / "indices.template.md").read_text(encoding="utf-8")),
        "hoisting.svg": hoisting(),
    }
    stale = [n for n, t in pages.items() if not (DOCS / n).is_file() or (DOCS / n).read_text(encoding="utf-8") != t]
    if not tables_are_current():
        stale.append("the tables of the parser")
    if "--check" in sys.argv:
        print("out of date:", ", ".join(stale)) if stale else print("up to date")
        return int(bool(stale))
    for name in stale:
        if name in pages:
            write_atomically(DOCS / name, pages[name].encode())
    if not tables_are_current():
        write_atomically(tables.PATH, tables_text().encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
