"""The functionals' definitions against sums over finite tables, and the words that they add to the language."""

import subprocess
import sys
from math import exp, log

import pytest

from pgcompile.diagnostics import Source
from pgcompile.pipeline import analyse
from pgcompile.reference.functionals import DEFINED
from pgcompile.syntax.grammar import parser
from pgcompile.views.latex import latex
from pgcompile.vocabulary.definition import (
    LEFT,
    Add,
    Density,
    Divide,
    Formula,
    Log,
    Mean,
    Number,
    Option,
    Raise,
    show,
)
from pgcompile.vocabulary.functional import Sides
from pgcompile.vocabulary.functionals import canonical_word, functional_of, functionals, two_sided

Q, P = (0.2, 0.5, 0.3), (0.6, 0.1, 0.3)


# Written out from the papers, with nothing of the package; `a` is the first side, `b` the second.
TEXTBOOK = {
    "KL": lambda a, b: sum(x * log(x / y) for x, y in zip(a, b, strict=True)),
    "H": lambda a, b: -sum(x * log(x) for x in a),
    "CE": lambda a, b: -sum(x * log(y) for x, y in zip(a, b, strict=True)),
    "ELBO": lambda a, b: sum(y * log(x / y) for x, y in zip(a, b, strict=True)),
    "IWAE": lambda a, b: log(sum(y * x / y for x, y in zip(a, b, strict=True))),
    "Renyi": lambda a, b: log(sum(x**0.3 * y**0.7 for x, y in zip(a, b, strict=True))) / (0.3 - 1),
    "Chi2": lambda a, b: sum((x - y) ** 2 / y for x, y in zip(a, b, strict=True)),
    "JS": lambda a, b: sum(
        0.5 * x * log(2 * x / (x + y)) + 0.5 * y * log(2 * y / (x + y)) for x, y in zip(a, b, strict=True)
    ),
    "Jeffreys": lambda a, b: sum((x - y) * log(x / y) for x, y in zip(a, b, strict=True)),
}


def _value(formula: Formula, tables: tuple[tuple[float, ...], tuple[float, ...]], at: int) -> float:
    match formula:
        case Number(value):
            return float(value)
        case Option():
            return 0.3
        case Density():
            return tables[formula != LEFT][at]
        case Mean(over, body):
            table = tables[over != LEFT]
            return sum(table[i] * _value(body, tables, i) for i in range(len(table)))
        case Log(operand):
            return log(_value(operand, tables, at))
        case Add(items):
            return sum(sign * _value(item, tables, at) for sign, item in items)
        case Divide(a, b):
            return _value(a, tables, at) / _value(b, tables, at)
        case Raise(a, b):
            return exp(_value(b, tables, at) * log(_value(a, tables, at)))
    raise AssertionError(formula)


def test_every_definition_has_a_textbook_value() -> None:
    assert {f.name for f in functionals().values() if f.definition is not None} == set(TEXTBOOK)


@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize("sides", [(Q, P), (P, Q)])
def test_definitions_are_the_textbooks(name: str, sides: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    definition = functionals()[name].definition
    assert definition is not None
    assert _value(definition, sides, 0) == pytest.approx(TEXTBOOK[name](*sides), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KL", "E_q[log q - log p]"),
        ("ELBO", "E_q[log p - log q]"),
        ("IWAE", "log E_q[p / q]"),
        ("Renyi", "log E_q[(q / p)^(alpha - 1)] / (alpha - 1)"),
        ("JS", "E_q[log q - log(q / 2 + p / 2)] / 2 + E_p[log p - log(q / 2 + p / 2)] / 2"),
    ],
)
def test_definitions_are_shown_as_papers_write_them(name: str, text: str) -> None:
    functional = functionals()[name]
    assert functional.definition is not None
    assert show(functional.definition, *functional.names_of_sides) == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("KL[", "KL"),
        ("D_{KL}[", "KL"),
        (r"D_{\mathrm{KL}}\left(", "KL"),
        (r"D_\text{KL}[", "KL"),
        (r"\mathrm{KL}\big[", "KL"),
        ("ℍ[", "H"),
        (r"\mathcal{H}[", "H"),
        (r"\mathrm{ELBO}\left[", "ELBO"),
        ("χ²[", "Chi2"),
        (r"\chi^2[", "Chi2"),
        ("Rényi[", "Renyi"),
        ("JS_critic[", "JS_critic"),
        ("Jeffreys [", "Jeffreys"),
    ],
)
def test_spellings(text: str, word: str) -> None:
    (token, *_) = parser().lex(text)
    assert token.type == "FUNCTIONAL"
    assert canonical_word(str(token)) == word
    assert functional_of(word) is not None


@pytest.mark.parametrize("text", ["ELBO(", "H(", "KLD[", "W", "Chi2 :", "JSq["])
def test_words_that_are_no_functional(text: str) -> None:
    assert next(iter(parser().lex(text))).type == "NAME"


def test_every_functional_is_read_back_from_its_latex() -> None:
    for functional in functionals().values():
        if functional.takes_net:
            continue
        sides = "q(z)" if functional.sides is Sides.ONE else "q(z) || p(z)"
        typeset = latex(_parsed(f"e = {functional.name}[{sides}]"))
        body = typeset.split("&= ")[1].split("\n")[0].replace(r"\mid", "|")
        assert _parsed(f"e = {body}").statements[0].right.kind == functional.name


def _parsed(text: str):  # type: ignore[no-untyped-def]
    from pgcompile.pipeline import parse_only

    return parse_only(Source(text))


def test_two_sided_words_are_eleven() -> None:
    assert two_sided() == ("KL", "CE", "ELBO", "IWAE", "Renyi", "Chi2", "JS", "Jeffreys", "MMD", "W", "SW")


def test_the_registry_needs_neither_torch_nor_sympy() -> None:
    code = (
        "import sys; from pgcompile.vocabulary.functionals import functionals; functionals(); "
        "print([m for m in ('torch', 'sympy', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _diagnostics(program: str) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in analyse(Source(program)).diagnostics]


@pytest.mark.parametrize(
    "program",
    [
        "param Chi2 : real[3]\nx : real\np(x) = Normal(Chi2[0], 1)",
        "param W : real[3, 2]\nx : real\np(x) = Normal(W[0, 1], 1)",
        "param W_1 : real[3]\nx : real\np(x) = Normal(W_1[0], 1)",
        "param E : real[3]\nx : real\np(x) = Normal(E[0], 1)",
        "param E_z : real[3]\nx : real\np(x) = Normal(E_z[0], 1)",
        "net KL = Linear(1)\nx, z : real[1]\np(x|z) = Normal(KL(z), 1)",
        "net H = Linear(1)\nx, z : real[1]\np(x|z) = Normal(H(z), 1)",
        "MI, x : real[1]\np(x|MI) = Normal(MI[0], 1)",
        "x, z : real[1]\np(x|z) = Normal(W[0], 1) where W = sin(z)",
        "x, z : real[2]\nnet f(MI) = Linear(2)\np(x|z) = Normal(f(z), 1)",
    ],
)
def test_a_declared_name_is_meant(program: str) -> None:
    assert _diagnostics(program) == []


def test_two_sides_or_options_are_a_functional_beside_a_declared_name() -> None:
    program = (
        "W, x : real[1]\nparam H : real[2]\np(x|W) = Normal(W[0], 1)\np(W) = Normal(H[0], 1)\nq(W|x) = Normal(x, 1)\n"
        "e = W[q(W|x) || p(W)] + H[q(W|x); samples=1]"
    )
    assert [code for code, _ in _diagnostics(program)] == ["N107", "N107"]


def test_a_hidden_functional_is_told_of() -> None:
    program = "z : real[2]\nparam H : real[2]\np(z) = Normal(0, 1)\ne = H[p] + log p(z)"
    (found,) = analyse(Source(program)).diagnostics
    assert found.code == "PGC401"
    assert found.help == "H is the declared one here; call it something else if H[q] is meant"


def test_a_bounded_divergence_is_not_called_infinite() -> None:
    """JS is at most log 2, and MMD and W compare samples: only the others are infinite beyond a support."""
    program = "x : real\np(x) = Exponential(1)\nq(x) = Normal(0, 1)\ne = {}[q(x) || p(x)]"
    for name in ("JS", "MMD", "W"):
        assert "W104" not in [code for code, _ in _diagnostics(program.format(name))]
    assert "W104" in [code for code, _ in _diagnostics(program.format("KL"))]


def test_close_words_are_proposed() -> None:
    program = "z : real[2]\np(z) = Normal(0, 1)\nq(z) = Normal(1, 1)\ne = {}"
    for formula, help in (
        ("Entopy[q]", "did you mean H[q]?"),
        ("Jefreys[q]", "did you mean Jeffreys[q || p]?"),
        ("KLD[q]", "KLD is called KL"),
        ("Frobenius[q]", "divergences and bounds are KL[q || p], H[q], CE[q || p], ELBO[p || q], IWAE[p || q], "),
    ):
        (found,) = analyse(Source(program.format(formula))).diagnostics
        assert found.help is not None and found.help.startswith(help)


def test_the_judge_defines_every_functional_itself() -> None:
    """Those with a critic (`KL_d`) are its losses, which `reference/critics.py` has."""
    assert {name for name in functionals() if not name.endswith("_d")} <= DEFINED.keys()
