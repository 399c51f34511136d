"""Every statement of a program that is accepted has an effect in the module, or a diagnostic: none vanishes."""

import warnings

import pytest

from pgcompile.diagnostics import CompileError, Diagnostic, Source
from pgcompile.pipeline import analyse, generate, parse_only
from pgcompile.syntax import tree
from tests.fuzz.programs import random_program
from tests.programs import EXAMPLES


def emitted(text: str) -> tuple[str | None, list[Diagnostic]]:
    """The class that is emitted, None where the program is refused; and what is said of it."""
    try:
        analysis = analyse(Source(text))
        analysis.raise_errors()
        source = generate(analysis, "Made").source
    except CompileError as error:
        return None, error.diagnostics
    return source.split('"""', 2)[2], analysis.diagnostics


def without_effect(text: str) -> list[str]:
    """Statements that could be left out, of which nothing is said.

    A space that the formulas give just so may be left out: of it, another one in its place must make a difference.
    """
    whole, said = emitted(text)
    assert whole is not None, [d.message for d in said]
    found = []
    for statement in parse_only(Source(text)).statements:
        span = statement.span
        if any(d.span.start < span.end and d.span.end > span.start for d in said):
            continue
        written = text[span.start : span.end]
        other = written.partition(":")[0] + ": one_hot[97]" if isinstance(statement, tree.SpaceDeclaration) else ""
        if emitted(text[: span.start] + other + text[span.end :])[0] == whole:
            found.append(written)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_statement_of_an_example(name: str) -> None:
    assert without_effect(EXAMPLES[name]) == []


@pytest.mark.parametrize("seed", range(12))
def test_every_statement_of_a_random_program(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert without_effect(random_program(seed)) == []


LOST = {
    "a net that does not fit in a sum": "x : real[4]\nnet f = Linear(3) >> Conv2d(2, 3)\np(x) = Normal(0, 1)\n"
    "o = log p(x) + sum(f(x))\nmaximize o",
    "a net that does not fit in a mean": "x : real[4]\nnet f = Linear(3) >> Unflatten(2, 2)\np(x) = Normal(0, 1)\n"
    "o = log p(x) + mean(f(x))\nmaximize o",
    "a critic that does not fit": "x : real[4]\nz : real[2]\nnet g = Linear(4)\nnet d = Linear(3)\n"
    "p(z) = Normal(0, 1)\np(x|z) = Delta(g(z))\no = JS_d[p || data]\nminimize o wrt g using Adam(lr = 1e-3)\n"
    "maximize o wrt d using Adam(lr = 1e-3)",
    "a line of an objective that is not there": "x : real\np(x) = Normal(0, 1)\no = log p(x)\nmaximize p",
    "a net that is drawn nowhere": "x : real\nnet f = Linear(3)\np(x) = Normal(0, 1)\no = log p(x)\nmaximize o wrt f",
}


@pytest.mark.parametrize("name", LOST)
def test_what_does_not_fit_is_said(name: str) -> None:
    """The objective and its line do not go with it in silence."""
    source, said = emitted(LOST[name])
    assert source is None
    assert said
