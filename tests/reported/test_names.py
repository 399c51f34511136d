"""Names of a program that meet each other, or those of the emitted module."""

import ast
import math
from pathlib import Path

import pytest
import torch

import pgcompile as pgc
from pgcompile.diagnostics import CompileError
from pgcompile.vocabulary.reserved import HELPERS
from tests.fuzz.names import fault_of, results, trials, written

ROOT = Path(pgc.__file__).parent / "runtime"


def test_any_name_in_any_role_gives_the_same_numbers() -> None:
    expected = results(written(), {})
    faults = [(names, fault) for names in trials(seed=5, count=60) if (fault := fault_of(names, expected))]
    assert not faults


def test_names_of_emitted_functions_are_those_of_the_library() -> None:
    texts = [p.read_text() for p in ROOT.glob("*.py") if p.name not in ("__init__.py", "library.py")]
    functions = {node.name for text in texts for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert functions == HELPERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class, class_ : real\np(class) = Normal(0, 1)\np(class_) = Normal(0, 1)\no = log p(class)\n",
            "class and class_ would both be `class_`",
        ),
        (
            "x : real\ninput shape, shape_ : real\np(x) = Normal(shape - shape_, 1)\no = log p(x)\n",
            "shape and shape_ would both be `shape_`",
        ),
        (
            "z, x, z_given_x : real\nq(z|x) = Normal(x, 1)\nq(z_given_x) = Normal(7, 1)\no = log q(z|x)\n",
            "q(z|x) and q(z_given_x) would both be `q_z_given_x`",
        ),
        (
            "x : real\nparam w : positive\nbuffer free_w : real = 5\np(x) = Normal(free_w, w)\no = log p(x)\n",
            "free_w is what the emitted module stores param w under",
        ),
        (
            "x : real\np(x) = Normal(0, 1)\npgc_program = log p(x)\n",
            "pgc_program is a name that the emitted module has",
        ),
        (
            "x : real\nparam w : real\np(x) = Normal(w, 1)\nloss_a = log p(x) + 1\na = log p(x)\nb = -log p(x)\n"
            "maximize a\nminimize b\n",
            "loss_a is what the emitted module calls the loss of `maximize a`",
        ),
    ],
)
def test_names_that_meet_are_refused(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        pgc.compile(text)
    (found,) = [d for d in caught.value.diagnostics if d.code == "PGC115"]
    assert message in found.message
    assert found.help


def test_a_binding_that_hides_a_variable_means_the_outer_one_on_its_right_side() -> None:
    model = pgc.compile(
        "loc, z : real[2]\nnet enc = Linear(4)\n"
        "q(z|loc) = Normal(loc, exp(s)) where (loc, s) = enc(loc), spare = loc\nu = log q(z|loc)\n"
    ).Model()
    data, z = torch.randn(5, 2), torch.randn(5, 2)
    loc, s = model.enc(data).chunk(2, -1)
    expected = (-0.5 * ((z - loc) / s.exp()) ** 2 - s - 0.5 * math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(model.u(loc=data, z=z), expected)


def test_a_bound_name_means_the_binding_outside_its_own_right_side() -> None:
    model = pgc.compile(
        "x, y : real[2]\nnet f = Linear(2)\np(y|x) = Normal(x, exp(s)) where x = f(x), s = x\no = log p(y|x)\n"
    ).Model()
    x, y = torch.randn(5, 2), torch.randn(5, 2)
    inner = model.f(x)
    expected = torch.distributions.Normal(inner, inner.exp()).log_prob(y).sum(-1)
    torch.testing.assert_close(model.o(x=x, y=y), expected)


def test_a_formula_that_a_factor_is_not_conditioned_on_is_said_so() -> None:
    with pytest.raises(CompileError) as caught:
        pgc.compile("x, z, y : real[2]\nh = 2 * y\np(z) = Normal(0, 1)\np(x|z) = Normal(h, 1)\no = log p(x|z)\n")
    assert [d.code for d in caught.value.diagnostics] == ["PGC114"]


def test_functions_of_the_emitted_file_are_free_as_names() -> None:
    model = pgc.compile(
        "watch, gradient : real\ninput ramp : real\np(watch) = Normal(ramp, 1)\np(gradient|watch) = Normal(watch, 1)\n"
        "o = log p(gradient|watch) + log p(watch)\n"
    ).Model()
    value = model.o(watch_=torch.tensor(1.0), gradient_=torch.tensor(3.0), ramp_=torch.tensor(0.5))
    assert math.isclose(value.item(), -0.5 * 4 - 0.5 * 0.25 - math.log(2 * math.pi), rel_tol=1e-5)
