"""ASCII, Unicode and LaTeX spellings of one formula give one tree; formatting keeps it."""

import pytest

from pgcompile.diagnostics import Sink, Source
from pgcompile.syntax import parse
from pgcompile.syntax.format import format_program
from pgcompile.syntax.tree import Program

PAIRS = [
    ("E_{q_phi(z|x)}[log p_theta(x|z)]", r"\mathbb{E}_{q_\phi(z|x)}\left[\log p_\theta(x|z)\right]"),
    ("E_{q_phi(z|x)}[log p(x|z)]", "𝔼_{q_φ(z∣x)}[log p(x∣z)]"),
    ("KL[q(z|x) || p(z)]", r"D_{KL}\left[q(z \mid x) \,\|\, p(z)\right]"),
    ("KL[q(z|x) || p(z)]", r"D_{\mathrm{KL}}\left(q(z|x) \| p(z)\right)"),
    ("KL[q(z|x) || p(z)]", "D_KL[q(z|x) ∥ p(z)]"),
    ("p(x) = ∫ p(x|z) p(z) dz", r"p(x) = \int p(x|z) p(z) \, dz"),
    ("p(x) = ∫ p(x|z) p(z) dz", "p(x) = int p(x|z) p(z) dz"),
    ("p(x) = ∫ p(x|z_1,z_2) p(z_1) p(z_2) dz_1 dz_2", r"p(x) = \int p(x|z_1,z_2) p(z_1) p(z_2) dz_1 dz_{2}"),
    ("L = E_q[log p]", r"\mathcal{L} = \mathbb{E}_{q}[\log p]"),
    ("e = log p(x|z) p(z)", r"e = \log p(x|z) p(z)"),
    ("p_prior(z) = Normal(0, 1)", "p_{prior}(z) = Normal(0, 1)"),
    ("x_1 : real", "x₁ : real"),
    ("y = a * b", r"y = a \cdot b"),
    ("y = a^2", "y = a²"),
    ("y = a^2", "y = a**2"),
    ("y = a / b", r"y = \frac{a}{b}"),
    ("y = a - b", "y = a − b"),
    ("p(u|v) = p(x|z)[x -> u, z -> v]", r"p(u|v) = p(x|z)[x \to u, z → v]"),
    ("H[q(z|x)]", r"\mathbb{H}[q(z|x)]"),
    ("maximise e", "maximize e"),
    ("lambda = 1", r"\lambda = 1"),
    ("sigma = 1", "σ = 1"),
    ("p(x|z) p(z)", r"$$ p(x|z) \, p(z) $$"),
]


def tree_of(text: str) -> Program:
    sink = Sink(Source(text))
    program = parse(sink)
    assert not sink.has_errors, [d.message for d in sink.diagnostics]
    return program


@pytest.mark.parametrize(("plain", "other"), PAIRS)
def test_spellings_give_one_tree(plain: str, other: str) -> None:
    assert tree_of(plain) == tree_of(other)


@pytest.mark.parametrize("text", [text for pair in PAIRS for text in pair])
def test_format_keeps_the_tree(text: str) -> None:
    program = tree_of(text)
    formatted = format_program(program, Source(text))
    assert tree_of(formatted) == program
    assert format_program(tree_of(formatted), Source(formatted)) == formatted


LAYOUTS = [
    ("a = b +\nc", "a = b + c"),
    ("a =\nb", "a = b"),
    ("a = f(b,\nc)", "a = f(b, c)"),
    ("a = b\n  + c", "a = b + c"),
    ("a = b\n+ c", "a = b + c"),
    ("net f = Linear(3)\n  >> ReLU", "net f = Linear(3) >> ReLU"),
    ("   a = b\n   c = d", "a = b\nc = d"),
    ("a = b  # why\n\n\nc = d", "a = b\nc = d"),
    ("p(x) = Normal(m, s)\n  where m = f(y),\n        s = g(y)", "p(x) = Normal(m, s) where m = f(y), s = g(y)"),
    ("\ufeffa = b".lstrip("\ufeff"), "a = b"),
    ("a = b\r\nc = d\r\n", "a = b\nc = d"),
]


@pytest.mark.parametrize(("spread", "flat"), LAYOUTS)
def test_layout(spread: str, flat: str) -> None:
    assert tree_of(spread) == tree_of(flat)


def test_log_takes_the_juxtaposed_product() -> None:
    assert tree_of("a = log p(x|z) p(z)") == tree_of("a = log(p(x|z) p(z))")
    assert tree_of("a = log p(x|z) p(z) + 1") == tree_of("a = (log(p(x|z) p(z))) + 1")
    assert tree_of("a = log p(x,z) / q(z|x)") != tree_of("a = log(p(x,z) / q(z|x))")


def test_format_keeps_comments() -> None:
    text = "# head\n\nx : real   # a number\n\n\n# a prior\np(x)=Normal( 0,1 )\n"
    formatted = format_program(tree_of(text), Source(text))
    assert formatted == "# head\n\nx : real  # a number\n\n# a prior\np(x) = Normal(0, 1)\n"


def test_spans_cover_the_text_they_came_from() -> None:
    text = "elbo = E_{q(z|x)}[log p(x|z)] - KL[q(z|x) || p(z)]"
    statement = tree_of(text).statements[0]
    source = Source(text)
    assert source.snippet(statement.span) == text
    (_, first), (_, second) = statement.right.terms  # type: ignore[union-attr]
    assert source.snippet(first.span) == "E_{q(z|x)}[log p(x|z)]"
    assert source.snippet(second.left.span) == "q(z|x)"


@pytest.mark.parametrize(
    ("typeset", "plain"),
    [
        ("$p(z) = Normal(0, 1)$\nx : real", "p(z) = Normal(0, 1)\nx : real"),
        ("\\[ p(z) = Normal(0, 1). \\]\nx : real", "p(z) = Normal(0, 1)\nx : real"),
        (
            "\\begin{align}\na &= b + c, \\\\\n$d = e$\n\\end{align}",
            "a = b + c\nd = e",
        ),
    ],
)
def test_what_latex_puts_round_a_formula_says_nothing(typeset: str, plain: str) -> None:
    assert tree_of(typeset) == tree_of(plain)
