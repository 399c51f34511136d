"""Which q stands for the latents where a command needs one, and what it needs beside them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import pgcompile as pgc
from pgcompile.cli import main
from pgcompile.training import Settings
from pgcompile.training.applied import Applied
from pgcompile.training.fit import fit
from pgcompile.training.posteriors import posterior_chain, reconstruct

JOINT = """
x : boolean[4]
y : category[3]
z : real[2]
net dx = Linear(4)
net dy = Linear(3)
net ex = Linear(2)
net e(x, y) = cat(x, one_hot(y)) >> Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Bernoulli(logits = dx(z))
p(y|z) = Categorical(logits = dy(z))
q_x(z|x) = Normal(ex(x), 0.7)
q(z|x,y) = Normal(e(x, y), 0.5)
elbo = ELBO[p(x|z) p(y|z) p(z) || q(z|x,y)]
bound = IWAE[p(x|z) p(y|z) p(z) || q(z|x,y); samples=400]
other = KL[q(z|x,y) || q_x(z|x)]
maximize elbo using Adam(lr = 1e-2)
"""

LADDER = """
x : boolean[4]
a : real[2]
b : real[2]
net up = Linear(2)
net d = Linear(4)
net ea = Linear(2)
net eb = Linear(2)
p(b) = Normal(0, 1)
p(a|b) = Normal(up(b), 1)
p(x|a) = Bernoulli(logits = d(a))
q_0(a|x) = Normal(ea(x), 1)
q(b|x) = Normal(eb(x), 1)
q(a|x,b) ∝ q_0(a|x) p(a|b)
elbo = ELBO[p(x|a) p(a|b) p(b) || q(a|x,b) q(b|x)]
maximize elbo using Adam(lr = 1e-2)
"""


@pytest.mark.parametrize(
    ("program", "rows", "labels"),
    [
        (JOINT, {"x", "y"}, ["q(z|x,y)"]),
        (JOINT, {"x"}, None),
        (LADDER, {"x"}, ["q(b|x)", "q(a|x,b)"]),
        (JOINT.replace("p(x|z) p(y|z) p(z) || q(z|x,y)]\nb", "p(x|z) p(z) || q_x(z|x)]\nb"), {"x", "y"}, ["q_x(z|x)"]),
    ],
)
def test_the_posterior_is_that_of_the_trained_objective(program: str, rows: set[str], labels: list[str] | None) -> None:
    chain = posterior_chain(pgc.compile(program), rows)
    assert (None if chain is None else [factor.label for factor in chain]) == labels


def test_the_bound_of_a_trained_program_is_that_of_its_objective(tmp_path: Path) -> None:
    program = pgc.compile(JOINT)
    rng = np.random.default_rng(0)
    data = {"x": (rng.random((200, 4)) < 0.7).astype("float32"), "y": rng.integers(0, 3, 200)}
    fit(program, data, tmp_path / "run", Settings(epochs=8, seed=0))
    found = Applied(program, tmp_path / "run" / "model.safetensors", data, Settings(seed=1)).evaluate(400)
    # Two estimates of one number with 400 draws a row; by q_x it is another bound.
    assert found["IWAE-400"] == pytest.approx(found["bound"], abs=0.02)


def test_what_stands_above_the_latents_is_given_too() -> None:
    program = pgc.compile("""
x : boolean[4]
y : category[3]
z : real[2]
param mu : real[3, 2] = normal(1)
net e(x, y) = cat(x, one_hot(y)) >> Linear(2)
net d = Linear(4)
p(y) = Categorical(logits = 0)
p(z|y) = Normal(mu[y], 1)
p(x|z) = Bernoulli(logits = d(z))
q(z|x,y) = Normal(e(x, y), 1)
bound = ELBO[p(x|z) p(z|y) p(y) || q(z|x,y)]
maximize bound
""")
    model = program.Model()
    rows = {"x": torch.ones(5, 4), "y": torch.tensor([0, 1, 2, 0, 1])}
    found = reconstruct(program, model, rows)
    assert found is not None
    assert list(found) == ["x"]
    z = model.factor("q(z|x,y)")(rows["x"], rows["y"]).mean
    torch.testing.assert_close(found["x"], model.d(z).sigmoid())


def test_factors_are_drawn_by_name(tmp_path: Path) -> None:
    run = CliRunner()
    program = tmp_path / "m.pgc"
    program.write_text(JOINT)
    rng = np.random.default_rng(0)
    data = {"x": (rng.random((6, 4)) < 0.7).astype("float32"), "y": rng.integers(0, 3, 6)}
    np.savez(tmp_path / "d.npz", **data, other=np.zeros(3))
    fit(pgc.compile(JOINT), data, tmp_path / "run", Settings(epochs=1, seed=0))
    weights = str(tmp_path / "run" / "model.safetensors")
    out = tmp_path / "s.npz"
    base = ["sample", str(program), "--checkpoint", weights, "-o", str(out)]
    drawn = run.invoke(main, [*base, "--part", "q(z|x,y)", "--given", str(tmp_path / "d.npz")])
    assert drawn.exit_code == 0, drawn.output
    assert "other left out, conditioned on x, y" in drawn.output
    assert np.load(out)["z"].shape == (6, 2)
    asked = run.invoke(main, [*base, "--part", "q(z|x,y)"])
    assert asked.exit_code == 1
    assert "q(z|x,y) needs x, y: give it in a file, --given FILE.npz" in asked.output
    assert run.invoke(main, [*base, "--part", "p(z)", "-n", "5"]).exit_code == 0
    assert np.load(out)["z"].shape == (5, 2)
    wrong = run.invoke(main, [*base, "--part", "q(w)"])
    assert wrong.exit_code == 1
    assert "q(w) is not one of p(z), p(x|z), p(y|z), q_x(z|x), q(z|x,y)" in wrong.output


def test_a_program_without_a_model_says_how_to_draw(tmp_path: Path) -> None:
    text = "z : real[2]\nparam m : real[2]\nq(z) = Normal(m, 1)\np(z) = LogDensity(-sum(z^2))\n"
    text += "l = E_{q(z)}[log p(z) - log q(z)]\nmaximize l"
    (tmp_path / "m.pgc").write_text(text)
    fit(pgc.compile(text), None, tmp_path / "run", Settings(epochs=1, seed=0))
    base = ["sample", str(tmp_path / "m.pgc"), "--checkpoint", str(tmp_path / "run" / "model.safetensors")]
    refused = CliRunner().invoke(main, [*base, "-o", str(tmp_path / "s.npz")])
    assert "--part, such as q(z)" in refused.output
    assert CliRunner().invoke(main, [*base, "-o", str(tmp_path / "s.npz"), "--part", "q(z)"]).exit_code == 0
