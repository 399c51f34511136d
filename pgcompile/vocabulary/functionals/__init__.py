"""Every functional, found by listing this folder: a file that defines `FUNCTIONAL` is a word of the language.

Grammar, messages, LaTeX, documentation and the terms of objectives are made from the facts in these files.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from pgcompile.vocabulary.functional import Functional, Sides

_FONTS = ("mathrm", "mathbb", "mathcal", "mathit", "mathsf", "mathbf", "text", "operatorname")
# What may stand between the word and its bracket.
_SPACE = r"\s*(?:\\(?:left|big|Big|bigg|Bigg)[lr]?\s*)?"


@cache
def functionals() -> dict[str, Functional]:
    """All functionals by name, in the order of lists."""
    modules = sorted(module.name for module in iter_modules(__path__))
    found: list[Functional] = [import_module(f"{__name__}.{name}").FUNCTIONAL for name in modules]
    return {functional.name: functional for functional in sorted(found, key=lambda f: (f.order, f.name))}


def functional_of(word: str) -> Functional | None:
    """The functional of a canonical word; `JS_critic` is `JS_d` with the net `critic`."""
    found = functionals().get(word)
    if found is not None and not found.takes_net:
        return found
    head, subscript, _ = word.partition("_")
    found = functionals().get(f"{head}_d") if subscript else None
    return found if found is not None and found.takes_net else None


def net_of(word: str) -> str:
    """The net that a word such as `JS_critic` names; empty where it names none."""
    found = functional_of(word)
    return word.partition("_")[2] if found is not None and found.takes_net else ""


def two_sided() -> tuple[str, ...]:
    """Names of the functionals that compare two distributions without a net."""
    return tuple(f.name for f in functionals().values() if f.sides is not Sides.ONE and not f.takes_net)


def named() -> tuple[str, ...]:
    """Names of all functionals without a net."""
    return tuple(f.name for f in functionals().values() if not f.takes_net)


def listed(names: tuple[str, ...]) -> str:
    """`a, b and c`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


@cache
def synonyms() -> dict[str, str]:
    """Names of the functionals in other libraries and papers, with the words of the language."""
    return {other: f.name for f in functionals().values() for other in f.also_called}


def in_brackets(name: str) -> str | None:
    """Advice for a functional that was called like a function, by its name or by one that papers have for it."""
    found = functionals().get(synonyms().get(name, name))
    return None if found is None else f"{found.name} takes a distribution in square brackets, as in `{found.example}`"


def canonical_word(text: str) -> str:
    r"""The canonical word of a functional as it was typed: `D_{\mathrm{KL}}` and `KL` are both `KL`."""
    bare = _bare(text)
    return _spelled().get(bare, bare)


def _bare(text: str) -> str:
    """A spelling without fonts and braces."""
    return re.sub(rf"\\(?:{'|'.join(_FONTS)})(?![a-zA-Z])|[{{}}\s]", "", text)


@cache
def _spelled() -> dict[str, str]:
    return {_bare(spelling): f.name for f in functionals().values() for spelling in f.spellings}


@cache
def word_pattern() -> str:
    """The regular expression of a functional's word where a bracket follows it, for the grammar."""
    words = [f for f in functionals().values() if not f.takes_net]
    heads = _longest_first(f.name.removesuffix("_d") for f in functionals().values() if f.takes_net)
    round_too = _pattern_of([f for f in words if f.round_brackets])
    square_only = (
        f"{_pattern_of([f for f in words if not f.round_brackets])}|(?:{'|'.join(heads)})_(?:\\w+|\\{{\\s*\\w+\\s*\\}})"
    )
    return rf"(?:{round_too})(?={_SPACE}[\[(])|(?:{square_only})(?={_SPACE}\[)"


def _pattern_of(chosen: list[Functional]) -> str:
    r"""Spellings, plain and in a font: `KL`, `\mathrm{KL}`, `D_{KL}`, `D_{\mathrm{KL}}`."""
    words = _longest_first(word for f in chosen for word in (f.name, *f.spellings))
    plain = _in_font([w for w in words if "_" not in w])
    parts = (w.partition("_") for w in words if "_" in w)
    return "|".join([*(rf"{re.escape(head)}_\{{?(?:{_in_font([index])})\}}?" for head, _, index in parts), plain])


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(words, key=lambda w: (-len(w), w))


def _in_font(words: list[str]) -> str:
    either = "|".join(map(re.escape, words))
    return rf"{either}|\\(?:{'|'.join(_FONTS)})\{{\s*(?:{either})\s*\}}"
