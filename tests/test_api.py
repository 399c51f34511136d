"""The Python interface, and that the README tells the truth."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pgcompile as pgc
from pgcompile.diagnostics import CompileError
from tests.conftest import compiled
from tests.programs import ROOT, SMALL

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def test_the_readme_program_emits_the_readme_objective() -> None:
    program = next(text for _, text in BLOCKS if text.startswith("# vae.pgc"))
    method = next(text for language, text in BLOCKS if language == "python" and "def elbo" in text)
    assert method.rstrip() in pgc.compile(program).source


def test_the_readme_python_runs() -> None:
    code = next(text for language, text in BLOCKS if language == "python" and "pgc.compile(" in text)
    x = (torch.rand(4, 784) > 0.5).float()
    namespace = {"x": x}
    exec(compile(code.replace("print(", "str("), "README", "exec"), namespace)  # noqa: S102
    assert namespace["loss"].shape == ()  # type: ignore[attr-defined]
    assert namespace["drawn"]["x"].shape == (16, 784)  # type: ignore[index]


def test_the_readme_diagnostic_and_derivation() -> None:
    shown = next(text for _, text in BLOCKS if text.startswith('$ pgc check "p(x|z) p(z|x)"'))
    run = subprocess.run(
        [sys.executable, "-m", "pgcompile", "check", "p(x|z) p(z|x)"], capture_output=True, text=True, check=False
    )
    assert shown.split("\n", 1)[1].strip() in run.stderr
    program = next(text for _, text in BLOCKS if text.startswith("# vae.pgc"))
    derivation = next(text for _, text in BLOCKS if text.startswith("elbo = ") and "[closed form]" in text)
    assert pgc.compile(program).explain().strip() == derivation.strip()


def test_the_quick_form_means_the_same() -> None:
    where = {
        "x": "boolean[6]",
        "z": "real[3]",
        "net enc": "Linear(4) >> Tanh",
        "net loc": "Linear(3)",
        "net scale": "Linear(3) >> Softplus",
        "net dec": "Linear(6)",
        "p(z)": "Normal(0, 1)",
        "p(x|z)": "Bernoulli(logits = dec(z))",
        "q(z|x)": "Normal(loc(h), scale(h)) where h = enc(x)",
    }
    quick = pgc.compile(model="p(x|z) p(z)", objective="E_q[log p] - KL[q||p]", where=where)
    reverse = pgc.compile(model="p(z) p(x|z)", objective="E_q[log p] - KL[q||p]", where=where)
    assert quick.source == reverse.source
    full = pgc.compile(SMALL + "objective = E_q[log p] - KL[q||p]\nmaximize objective")
    assert quick.source.split("class Model")[1] == full.source.split("class Model")[1]
    named = pgc.compile(model="p(x|z) p(z)", objective="bound = ELBO[p || q]", where=where)
    assert named.Model().bound(x=torch.ones(2, 6)).shape == (2,)
    assert any(d.code == "N101" and "E_{q(z|x)}[log p(x|z)] - KL[q(z|x)||p(z)]" in d.message for d in quick.diagnostics)


def test_quick_form_with_params() -> None:
    program = pgc.compile(
        model="p(x)",
        objective="log p(x)",
        where={"x": "real[2]", "param m": "real[2] = 0", "input s": "positive", "p(x)": "Normal(m, s)"},
    )
    assert program.Model().objective(x=torch.zeros(3, 2), s=torch.tensor(1.0)).shape == (3,)


def test_quick_form_with_parts_from_python() -> None:
    program = pgc.compile(
        model="p(x|y) p(z)",
        objective="log p",
        where={
            "x": "real[2]",
            "z": "real[2]",
            "y": "tanh(f(z))",
            "extern net f(z)": "real[2]",
            "extern p(x|y)": "",
            "p(z)": "Normal(0, 1)",
        },
    )
    assert program.supplied == ("f", "p_x_given_y")


def test_wrong_use() -> None:
    with pytest.raises(TypeError):
        pgc.compile("p(x)", model="p(x)")
    with pytest.raises(FileNotFoundError):
        pgc.compile("nowhere.pgc")
    with pytest.raises(CompileError) as caught:
        pgc.compile("p(x|z) p(z)")
    assert {d.code for d in caught.value.diagnostics} == {"PGC211"}
    assert pgc.check("p(x|z) p(z)") == []


def test_constants_from_outside() -> None:
    text = "const D = 4\nconst E = 2 * D\nx : real[E]\np(x) = Normal(0, 1)\ns = log p(x)"
    assert compiled(text).Model().s(x=torch.zeros(1, 8)).shape == (1,)
    assert pgc.compile(text, constants={"D": 5}).Model().s(x=torch.zeros(1, 10)).shape == (1,)
    assert pgc.compile("x : real\np(x) = Normal(0, 1)", name="Thing").source.count("class Thing") == 1


def test_a_program_describes_itself() -> None:
    program = compiled(SMALL + "e = ELBO[p || q]\nmaximize e")
    text = str(program)
    assert "p(z,x) = p(z) p(x|z)" in text or "p(x,z)" in text
    assert "x : boolean[6]" in text
    assert "<svg" in program._repr_html_()


def test_writing_is_atomic(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("old")
    program = compiled(SMALL + "e = ELBO[p || q]")
    assert program.write(path).read_text() == program.source
    assert [p.name for p in tmp_path.iterdir()] == ["m.py"]
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(OSError, match="taken"):
        program.write(folder)
    assert list(folder.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.py", "taken"]


def test_deterministic_variables() -> None:
    text = """x, y : real[2]
z : real[2]
net f = Linear(2)
p(z) = Normal(0, 1)
h = f(z) + 1
p(x|h) = Normal(h, 1)
p(y|h,z) = Normal(h * z, 1)
s = log p(x|h) p(y|h,z) p(z)
"""
    program = compiled(text)
    model = program.Model()
    drawn = model.sample((4,))
    assert set(drawn) == {"z", "h", "x", "y"}
    torch.testing.assert_close(drawn["h"], model.f(drawn["z"]) + 1)
    D = torch.distributions
    h = drawn["h"]
    expected = D.Normal(h, 1.0).log_prob(drawn["x"]) + D.Normal(h * drawn["z"], 1.0).log_prob(drawn["y"])
    expected = (expected + D.Normal(0.0, 1.0).log_prob(drawn["z"])).sum(-1)
    torch.testing.assert_close(model.s(x=drawn["x"], y=drawn["y"], z=drawn["z"]), expected)
    assert ("z", "h") in program.graph.edges


def test_indexing_with_a_category() -> None:
    text = """k : category[3]
x : real[2]
buffer means : real[3, 2] = [[0, 0], [1, 0], [2, 0]]
param scales : positive[3] = 0.5
p(k) = Categorical(logits = [0, 0, 1])
p(x|k) = Normal(means[k], scales[k])
s = log p(x|k) + log p(k)
"""
    program = pgc.check(text)
    assert [d.code for d in program] == [] or program[0].code == "PGC305"
    fixed = text.replace("scales[k])", "cat(scales[k] * [1, 1]))").replace("cat(scales[k] * [1, 1])", "scales[k]")
    model = compiled(fixed).Model()
    k = torch.tensor([0, 1, 2, 2])
    x = torch.randn(4, 2)
    D = torch.distributions
    expected = D.Normal(model.means[k], 0.5).log_prob(x).sum(-1) + torch.tensor([0.0, 0.0, 1.0]).log_softmax(0)[k]
    torch.testing.assert_close(model.s(k=k, x=x), expected)
    drawn = model.sample((1000,))
    assert 0.45 < float((drawn["k"] == 2).float().mean()) < 0.7


def test_the_quick_form_takes_numbers_and_refuses_what_is_no_formula() -> None:
    where = {"const D": 3, "x": "real[D]", "param m : real[D]": [1, 2, 3], "p(x)": "Normal(m, 1)"}
    model = pgc.compile(model="p(x)", objective="minimize -log p(x)", where=where).Model()
    assert model.loss(x=torch.tensor([[1.0, 2.0, 3.0]])).item() == pytest.approx(1.5 * math.log(2 * math.pi))
    with pytest.raises(TypeError, match=r"where\['x'\] is a formula in quotes"):
        pgc.compile(model="p(x)", where={"x": None})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="model is a formula in quotes"):
        pgc.compile(model=3)  # type: ignore[arg-type]
