"""Input is hostile until checked: a clear error with a code, never a traceback, never code in the module."""

import ast
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgcompile as pgc
from pgcompile.diagnostics import CompileError, Severity


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "PGC004"),
        ("   \n\n  # only a comment", "PGC004"),
        ("x\0y", "PGC001"),
        ("(" * 10_000, "PGC003"),
        ("a = " + "[" * 10_000 + "]" * 10_000, "PGC003"),
        ("p(x|z)) p(z)", "PGC008"),
        ("__import__(x)", "PGC111"),
        ("p(__class__) = Normal(0, 1)", "PGC111"),
        ("p(x) = Normal(0, 1)\x1b[31m", "PGC001"),
        ("a" * 5_000_000, "PGC002"),
    ],
    ids=lambda v: str(v)[:12],
)
def test_bad_text_gets_its_code(text: str, code: str) -> None:
    assert code in {d.code for d in pgc.check(text)}


def test_a_megabyte_of_noise() -> None:
    generator = random.Random(0)
    noise = "".join(
        generator.choice("abcxyz()[]{}|=:+-*/^,.;~@#\\_0123456789 \n\t'\"!?&%$£é☃") for _ in range(1_000_000)
    )
    diagnostics = pgc.check(noise)
    assert any(d.severity is Severity.ERROR for d in diagnostics)
    assert len(diagnostics) < 2_000


TOKENS = (
    "p q x z y ( ) [ ] { } | || = : , ; + - * / ^ @ >> -> ~ E_ "
    "E_{ KL[ H[ log exp ∫ dz sum_k Normal( Bernoulli( net param "
    "const where wrt using maximize minimize Linear( ReLU 1 0.5 1e999 real boolean [3] \n \n   # é".split(" ")
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(TOKENS), max_size=40))
def test_token_soup_never_raises(tokens: list[str]) -> None:
    pgc.check(" ".join(tokens))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_never_raises(text: str) -> None:
    pgc.check(text)


VAE = Path(__file__).parent.parent.parent.joinpath("examples", "vae.pgc").read_text(encoding="utf-8")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.integers(0, len(VAE) - 1),
    st.integers(1, 12),
    st.sampled_from(["", "(", ")", "|", "z", "=", "[", "0", "\n", "q"]),
)
def test_a_damaged_program_never_raises_anything_else(start: int, length: int, patch: str) -> None:
    damaged = VAE[:start] + patch + VAE[start + length :]
    try:
        source = pgc.compile(damaged).source
    except CompileError as error:
        assert error.diagnostics
    else:
        ast.parse(source)


ESCAPES = [
    '"""\nimport os\nos.system("true")\n"""',
    "''' + __import__('os').system('true') + '''",
    "\\",
    "\\N{BULLET}",
    "{0.__class__}",
    "%s %d {x}",
    "\u2028import os",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_text_cannot_escape_a_comment_or_docstring(escape: str) -> None:
    """Comments of the program, file names and class names are the ways text could reach the module."""
    program = "x : real  # " + escape.replace("\n", " ") + "\np(x) = Normal(0, 1)\nscore = log p(x)"
    module = ast.parse(pgc.compile(program).source)
    assert_only_tensor_code(module)


def assert_only_tensor_code(module: ast.Module) -> None:
    """The module's statements are a docstring, imports of torch and math, an alias, functions and one class."""
    for node in module.body:
        match node:
            case ast.Import(names=names):
                assert all(n.name.split(".")[0] in ("torch", "math") for n in names)
            case ast.ImportFrom(module=name):
                assert name is not None and name.split(".")[0] == "torch"
            case ast.Expr(value=ast.Constant()) | ast.Assign() | ast.FunctionDef() | ast.ClassDef():
                pass
            case _:
                raise AssertionError(f"unexpected {ast.dump(node)[:80]}")
    called = {n.func.id for n in ast.walk(module) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"eval", "exec", "open", "__import__", "compile", "getattr", "setattr"}


KEYWORDS = [
    "class",
    "lambda",
    "def",
    "self",
    "torch",
    "F",
    "D",
    "nn",
    "Tensor",
    "shape",
    "given",
    "known",
    "print",
    "None_",
    "math",
]


@pytest.mark.parametrize("word", KEYWORDS)
def test_python_words_are_good_variable_names(word: str) -> None:
    """A variable may be called what Python or the module's own code uses."""
    program = f"{word} : real[3]\nz : real[3]\np({word}|z) = Normal(z, 1)\np(z) = Normal(0, 1)\nscore = log p({word}|z)"
    compiled = pgc.compile(program)
    model = compiled.Model()
    drawn = model.sample((2,))
    assert set(drawn) == {word, "z"}
    assert model.log_prob_of(f"p({word}|z)", **drawn).shape == (2,)


@pytest.mark.parametrize(
    "word", ["train", "eval", "forward", "parameters", "loss", "sample", "score", "p_x", "_like", "to"]
)
def test_nets_cannot_replace_what_a_module_needs(word: str) -> None:
    name = word if not word.startswith("_") else "zero"
    program = (
        f"x, y : real[3]\nnet {name} = Linear(3)\np(x|y) = "
        f"Normal({name}(y), 1)\np_x(y) = Normal(0, 1)\nscore = log p(x|y)"
    )
    if name == "score":
        assert any(d.code == "PGC107" for d in pgc.check(program))
        return
    import torch

    model = pgc.compile(program).Model()
    assert model.train() is model
    assert model.score(x=torch.zeros(2, 3), y=torch.zeros(2, 3)).shape == (2,)


def test_checking_and_compiling_do_not_import_torch() -> None:
    code = (
        "import sys, pgcompile as pgc\n"
        "pgc.check('p(x|z) p(z)')\n"
        "pgc.compile('x : real\\np(x) = Normal(0, 1)\\ns = log p(x)').source\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
