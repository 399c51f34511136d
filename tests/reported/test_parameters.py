"""Parameters in constrained spaces, their starts, and the kinds of numbers that methods take."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributions as D

import pgcompile as pgc
from tests.conftest import compiled


def test_a_lower_triangular_parameter_has_nothing_above_its_diagonal() -> None:
    program = compiled(
        "x : real[2]\nparam L : lower_triangular[2,2] = normal(1)\np(x) = Normal(L @ [1, 1], 1)\n"
        "o = log p(x)\nmaximize o using SGD(lr = 1)\n"
    )
    torch.manual_seed(0)
    model = program.Model()
    before = model.L.detach().clone()
    model.train_step(model.optimizers(), x=torch.ones(3, 2))
    assert before[0, 1] == 0
    assert model.L[0, 1] == 0
    assert (model.L[1] != before[1]).all()
    assert all(check.passed for check in program.verify())


@pytest.mark.parametrize(
    ("space", "start"),
    [
        ("positive[2,3]", "eye"),
        ("positive", "eye"),
        ("positive[2,2]", "eye"),
        ("real[3]", "eye"),
        ("real[3]", "xavier_normal"),
        ("real", "orthogonal"),
        ("real[3]", "kaiming_uniform"),
        ("real[3]", "zeros(2)"),
        ("real[3]", "normal(-1)"),
        ("real[3]", "uniform(2, 1)"),
        ("lower_triangular[2,2]", "[[1, 2], [0, 1]]"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(space: str, start: str) -> None:
    with pytest.raises(pgc.CompileError, match="PGC315"):
        pgc.compile(f"x : real\nparam w : {space} = {start}\np(x) = Normal(sum(w), 1)\no = log p(x)\n")


@pytest.mark.parametrize("space", ["lower_cholesky[2,3,3]", "real[2,3,3]", "positive_definite[3,3]"])
def test_eye_fills_every_matrix(space: str) -> None:
    model = compiled(f"x : real\nparam w : {space} = eye\np(x) = Normal(sum(w), 1)\no = log p(x)\n").Model()
    count = 2 if "2" in space else 1
    expected = D.Normal(3.0 * count, 1.0).log_prob(torch.zeros(4))
    torch.testing.assert_close(model.o(x=torch.zeros(4)), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int8, torch.int32, torch.float32])
def test_a_category_of_another_type_is_an_index_or_named(dtype: torch.dtype) -> None:
    """torch reads bytes and booleans as masks."""
    model = compiled(
        "k : category[3]\nx : real\nparam m : real[3] = [0, 10, 20]\np(k) = Categorical([0.2,0.3,0.5])\n"
        "p(x|k) = Normal(m[k], 1)\no = log p(x|k) + log p(k)\n"
    ).Model()
    if dtype.is_floating_point:
        with pytest.raises(TypeError, match=r"k of o must be int64, not torch\."):
            model.o(x=torch.zeros(3), k=torch.ones(3).to(dtype))
        return
    wanted = D.Normal(10.0, 1.0).log_prob(torch.zeros(3)) + math.log(0.3)
    torch.testing.assert_close(model.o(x=torch.zeros(3), k=torch.ones(3).to(dtype)), wanted)


def test_the_divergence_of_certain_booleans() -> None:
    model = compiled(
        "b : boolean[2]\nbuffer r : unit_interval[2] = [0, 1]\nq(b) = Bernoulli(r)\np(b) = Bernoulli([0.3, 0.6])\n"
        "k = KL[q(b) || p(b)]\ns = KL[q(b) || q(b)]\nh = H[q(b)]\n"
    ).Model()
    first, second = D.Bernoulli(torch.tensor([0.0, 1.0])), D.Bernoulli(torch.tensor([0.3, 0.6]))
    torch.testing.assert_close(model.k(), D.kl_divergence(first, second).sum())
    assert model.h() == 0


# --- numbers from files ---


@pytest.mark.parametrize("ending", ["npy", "csv", "txt"])
def test_a_buffer_takes_its_numbers_from_a_file(tmp_path: Path, ending: str) -> None:
    numbers = np.array([[1.5, -2.0], [3.0, 4e-7], [0.1, 1 / 3]])
    path = tmp_path / f"m.{ending}"
    if ending == "npy":
        np.save(path, numbers)
    else:
        np.savetxt(path, numbers, delimiter="," if ending == "csv" else " ", fmt="%.17g")
    program = tmp_path / "p.pgc"
    program.write_text(
        f'x : real[3, 2]\nbuffer m : real[3, 2] = file("m.{ending}")\np(x) = Normal(m, 1)\nl = log p(x)\n'
    )
    model = pgc.compile(program).Model().double()
    torch.testing.assert_close(model.m, torch.tensor(numbers).float().double())
    assert "m.npy" not in pgc.compile(program).source.split("class ")[1]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("../m.npy", None, "no path below the folder"),
        ("m.pkl", None, "another ending"),
        ("gone.npy", None, "there is no file"),
        ("m.npy", np.array([1.0, 2.0]), r"it is \[2\]"),
        ("m.npy", np.array([1.0, np.nan, 2.0]), "not a number"),
        ("m.npy", np.array([None, 1, 2], dtype=object), "cannot be read"),
        ("m.npy", np.zeros(20_000), "20,000 values"),
        ("m.csv", "a,b,c", "cannot be read"),
    ],
)
def test_a_file_that_gives_no_numbers_is_refused(tmp_path: Path, name: str, content: object, reason: str) -> None:
    if isinstance(content, np.ndarray):
        np.save(tmp_path / name, content, allow_pickle=True)
    elif content is not None:
        (tmp_path / name).write_text(str(content))
    program = tmp_path / "p.pgc"
    program.write_text(f'x : real[3]\nbuffer m : real[3] = file("{name}")\np(x) = Normal(m, 1)\nl = log p(x)\n')
    found = pgc.check(program)
    assert [d.code for d in found] == ["PGC315"]
    assert re.search(reason, found[0].message)


@pytest.mark.parametrize(
    ("name", "value"), [("s", [-1.0, 1.0]), ("u", 1.5), ("k", 0.5), ("w", [0.5, 0.5, 0.5]), ("v", float("nan"))]
)
def test_a_value_outside_of_its_space_is_refused(name: str, value: object) -> None:
    text = """
x : real[2]
buffer s : positive[2] = 2
buffer u : unit_interval = 0
buffer k : nonnegative_integer = 3
param w : simplex[3]
param v : real
p(x) = Normal(v + u + k * w[0], s)
o = log p(x)
maximize o
"""
    model = pgc.compile(text).Model()
    before = model.get(name).clone()
    with pytest.raises(ValueError, match=name):
        model.set(name, value)
    torch.testing.assert_close(model.get(name), before)
    model.set("s", [3.0, 0.5])
    model.set("u", 1.0)
    model.set("w", [0.5, 0.25, 0.25])
    assert model.get("s").tolist() == [3.0, 0.5]
