"""The command line as a user meets it: exit codes, files, messages."""

import importlib
import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click import Context
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

import pgcompile as pgc
from pgcompile.cli import commands, main
from tests.programs import ROOT

DIGITS = str(ROOT / "examples" / "data" / "digits.npz")
VAE = str(ROOT / "examples" / "vae.pgc")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_help_of_every_command() -> None:
    assert run("--help").exit_code == 0
    names = main.list_commands(Context(main))
    assert {"compile", "check", "train", "export"} <= {*names}
    for name in names:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert len(result.output) > 80


def test_exit_codes(tmp_path: Path) -> None:
    assert run("check", "p(x|z) p(z)").exit_code == 0
    assert run("check", "p(x|z) p(z|x)").exit_code == 1
    assert run("check", "missing.pgc").exit_code == 2
    assert run("compile", VAE, "--set", "D").exit_code == 2
    assert run("nonsense").exit_code == 2
    bad = tmp_path / "bad.pgc"
    bad.write_bytes(b"\xff\xfe\x00")
    result = run("check", str(bad))
    assert result.exit_code == 1
    assert "UTF-8" in result.output


def test_warnings_as_errors() -> None:
    program = "x : real\np(x) = Gamma(1, 1)"
    assert run("check", program).exit_code == 0
    assert run("check", program, "--warn", "error").exit_code == 1


def test_json() -> None:
    found = json.loads(run("check", "p(x|z) p(z|x)", "--json").output)
    assert found[0]["code"] == "PGC203"


def test_compile_writes_and_sets_sizes(tmp_path: Path) -> None:
    program = tmp_path / "my model.pgc"
    program.write_text("const D = 4\nx : real[D]\np(x) = Normal(0, 1)\ns = log p(x)")
    out = tmp_path / "deep" / "model.py"
    assert run("compile", str(program), "-o", str(out), "--set", "D=9").exit_code == 0
    text = out.read_text()
    assert "class MyModel(nn.Module)" in text
    assert "real[9]" in text
    assert run("compile", str(program), "--set", "E=9").exit_code == 1


def test_compiling_with_a_script_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pgcompile.cli import main\n"
        f"main(['compile', {VAE!r}, '-o', 'm.py', '--train', 't.py'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    assert '"arguments": ("x",)' in (tmp_path / "t.py").read_text()


def test_a_command_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding a command to the package is adding a module."""
    (tmp_path / "greet.py").write_text("import click\n\n@click.command()\ndef command():\n    click.echo('hello')\n")
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert run("greet").output == "hello\n"
    assert "greet" in run("--help").output


def test_views(tmp_path: Path) -> None:
    for suffix, sign in ((".svg", "<svg"), (".dot", "digraph"), (".mmd", "graph TD")):
        out = tmp_path / f"graph{suffix}"
        assert run("graph", VAE, "-o", str(out)).exit_code == 0
        assert sign in out.read_text()
    ElementTree.parse(tmp_path / "graph.svg")
    assert r"D_{\mathrm{KL}}\left[q(z \mid x) \,\|\, p(z)\right]" in run("latex", VAE).output
    explained = run("explain", VAE).output
    assert "known for Normal" in explained
    assert "one pathwise sample" in explained


def test_fmt(tmp_path: Path) -> None:
    path = tmp_path / "a.pgc"
    path.write_text("x:real   # why\np(x)=Normal( 0,1 )\n")
    assert run("fmt", str(path), "--check").exit_code == 1
    assert run("fmt", str(path)).exit_code == 0
    assert path.read_text() == "x : real  # why\np(x) = Normal(0, 1)\n"
    assert run("fmt", str(path), "--check").exit_code == 0


@pytest.mark.parametrize("name", ["vae", "conditional_vae", "classifier", "factor_analysis", "hierarchical_vae"])
def test_train_and_sample(name: str, tmp_path: Path) -> None:
    program = str(ROOT / "examples" / f"{name}.pgc")
    out = tmp_path / "run"
    result = run("train", program, "--data", DIGITS, "--epochs", "4", "--out", str(out))
    assert result.exit_code == 0, result.output
    losses = json.loads((out / "losses.json").read_text())
    assert losses["training"][-1] < losses["training"][0]
    assert (out / "model.safetensors").stat().st_size > 1000
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    if name == "vae":
        assert (out / "samples.png").read_bytes().startswith(b"\x89PNG")
        drawn = tmp_path / "drawn.npz"
        weights = str(out / "model.safetensors")
        assert run("sample", program, "--checkpoint", weights, "-n", "5", "-o", str(drawn)).exit_code == 0
        assert np.load(drawn)["x"].shape == (5, 64)
        assert run("sample", program, "--checkpoint", weights, "--mean", "-o", str(tmp_path / "a.png")).exit_code == 0


def test_a_flow_on_the_plane_shows_its_density(tmp_path: Path) -> None:
    moons = str(ROOT / "examples" / "data" / "moons.npz")
    out = str(tmp_path / "run")
    result = run("train", str(ROOT / "examples" / "realnvp.pgc"), "--data", moons, "--out", out, "--epochs", "1")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "samples.png").stat().st_size > 20_000
    drawn = tmp_path / "drawn.png"
    checkpoint = str(tmp_path / "run" / "model.safetensors")
    result = run("sample", str(ROOT / "examples" / "realnvp.pgc"), "--checkpoint", checkpoint, "-o", str(drawn))
    assert result.exit_code == 0, result.output
    assert drawn.is_file()


def test_a_density_is_fitted_without_data(tmp_path: Path) -> None:
    banana = str(ROOT / "examples" / "planar_banana.pgc")
    result = run("train", banana, "--out", str(tmp_path / "run"), "--epochs", "2")
    assert result.exit_code == 0, result.output
    losses = json.loads((tmp_path / "run" / "losses.json").read_text())
    assert losses["training"][1] < losses["training"][0]
    assert (tmp_path / "run" / "samples.png").is_file()
    missing = run("train", VAE, "--out", str(tmp_path / "other"))
    assert missing.exit_code == 1
    assert "observes x: give the data with --data" in missing.output


def test_a_seed_repeats_a_run(tmp_path: Path) -> None:
    runs = []
    for number in range(2):
        out = tmp_path / str(number)
        assert run("train", VAE, "--data", DIGITS, "--epochs", "2", "--seed", "7", "--out", str(out)).exit_code == 0
        runs.append((out / "model.safetensors").read_bytes())
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros((4, 64))}, "has no array x"),
        ({"x": np.zeros((4, 63))}, "rows of shape [63]"),
        ({"x": np.full((4, 64), 0.5)}, "value 0.5 outside its space `boolean[64]`"),
        ({"x": np.full((4, 64), np.nan)}, "not a number in row 0"),
        ({"x": np.zeros((0, 64))}, "has no rows"),
        ({"x": np.array([["a"] * 64])}, "not numbers"),
        ({"x": np.zeros((4, 8, 8))}, "reshape it to (4, 64)"),
    ],
)
def test_data_that_does_not_fit(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, **arrays)
    result = run("train", VAE, "--data", str(path), "--epochs", "1", "--out", str(tmp_path / "o"))
    assert result.exit_code == 1
    assert message in result.output


def test_a_broken_file_and_a_foreign_checkpoint(tmp_path: Path) -> None:
    broken = tmp_path / "d.npz"
    broken.write_bytes(b"not a zip")
    assert "cannot be read" in run("train", VAE, "--data", str(broken), "--out", str(tmp_path / "o")).output
    result = run("sample", VAE, "--checkpoint", str(broken), "-o", str(tmp_path / "a.npz"))
    assert result.exit_code == 1
    assert "not a checkpoint" in result.output


def test_an_input_must_be_given(tmp_path: Path) -> None:
    program = str(ROOT / "examples" / "beta_vae.pgc")
    out = str(tmp_path / "o")
    assert (
        "give it with --input beta=1" in run("train", program, "--data", DIGITS, "--epochs", "1", "--out", out).output
    )
    assert run("train", program, "--data", DIGITS, "--epochs", "1", "--out", out, "--input", "beta=2").exit_code == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    result = run("train", VAE, "--data", DIGITS, "--epochs", "2", "--out", str(out), "--device", "cpu")
    assert result.exit_code == 0, result.output
    return out


def test_what_training_leaves(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    pictures = {"loss.png", "samples.png", "reconstructions.png", "latents.png"}
    assert names >= {"model.safetensors", "best.safetensors", "state.safetensors", "log.jsonl", "model.py", *pictures}
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "epoch" in line] == [1.0, 2.0]
    assert all("loss" in line or "training" in line for line in lines)
    more = run("train", VAE, "--data", DIGITS, "--epochs", "3", "--out", str(trained), "--device", "cpu", "--resume")
    assert more.exit_code == 0
    assert len(json.loads((trained / "losses.json").read_text())["training"]) == 3


def test_evaluate(trained: Path) -> None:
    weights = str(trained / "model.safetensors")
    found = json.loads(
        run("evaluate", VAE, "--checkpoint", weights, "--data", DIGITS, "--bound", "64", "--json").output
    )
    assert set(found) == {"elbo", "IWAE-64"}
    assert -60 < found["elbo"] < found["IWAE-64"] < -15  # more samples, a tighter bound
    missing = run("evaluate", VAE, "--checkpoint", weights)
    assert missing.exit_code == 1
    assert "give the data with --data" in missing.output


def test_the_importance_weighted_bound_is_exact_where_the_posterior_is(tmp_path: Path) -> None:
    """p(x) is Normal(0, sqrt 2), and q is the posterior: every weight is p(x)."""
    program = tmp_path / "m.pgc"
    program.write_text(
        "x : real\nz : real\nparam s : real = 0.5\np(z) = Normal(0, 1)\np(x|z) = Normal(z, 1)\n"
        "q(z|x) = Normal(s * x, 0.7071067811865476)\nelbo = ELBO[p(x|z) p(z) || q(z|x)]\nmaximize elbo"
    )
    x = np.linspace(-2, 2, 9).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x)
    save_file({"s": torch.tensor(0.5)}, tmp_path / "w.safetensors")
    found = json.loads(
        run(
            *("evaluate", str(program), "--checkpoint", str(tmp_path / "w.safetensors"), "--data"),
            *(str(tmp_path / "d.npz"), "--bound", "3", "--json"),
        ).output
    )
    expected = float(np.mean(-(x**2) / 4 - 0.5 * np.log(4 * np.pi)))
    assert found["IWAE-3"] == pytest.approx(expected, abs=1e-5)


def test_reconstruct_and_interpolate(trained: Path, tmp_path: Path) -> None:
    weights = ("--checkpoint", str(trained / "model.safetensors"), "--data", DIGITS)
    for command in ("reconstruct", "interpolate"):
        for name in ("out.png", "out.npz"):
            result = run(command, VAE, *weights, "-o", str(tmp_path / name))
            assert result.exit_code == 0, result.output
            assert (tmp_path / name).stat().st_size > 100
        assert run(command, VAE, *weights, "-o", str(tmp_path / "out.txt")).exit_code == 1
    with np.load(tmp_path / "out.npz") as content:
        lines = content["x"]
    assert lines.shape == (8, 8, 64)
    middle = np.abs(np.diff(lines, axis=1)).max()
    assert 0 < middle < 1


@pytest.mark.parametrize("form", ["pt2", "onnx", "aoti"])
def test_export(form: str, trained: Path, tmp_path: Path) -> None:
    weights = str(trained / "model.safetensors")
    for part in ("q(z|x)", "sample") if form != "aoti" else ("q(z|x)",):
        out = tmp_path / f"{form}.bin"
        result = run("export", VAE, "--checkpoint", weights, "--part", part, "--format", form, "-o", str(out))
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 1000
        assert "differs from the module by" in result.output or part == "sample"
    wrong = run("export", VAE, "--checkpoint", weights, "--part", "elbow", "-o", str(tmp_path / "x"))
    assert wrong.exit_code == 1
    assert "there are sample, sample_mean, elbo" in wrong.output


@pytest.mark.parametrize(
    "using", ["lr = 0.1, clip_norm = 1, schedule = linear", "lr = 2, schedule = plateau(factor = 0.5, patience = 0)"]
)
def test_the_script_of_an_emitted_module(using: str, tmp_path: Path) -> None:
    """It needs no pgcompile, and trains to what the Trainer trains to."""
    from pgcompile.training import Trainer

    text = (
        "x : real[4]\ny : real\nparam w : real[4]\nparam b : real\np(y|x) = Normal(sum(w * x) + b, 1)\n"
        "fit = log p(y|x)\n"
        f"maximize fit using Adam({using})"
    )
    program = tmp_path / "m.pgc"
    program.write_text(text)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    data = {"x": x, "y": x.sum(-1)}
    np.savez(tmp_path / "d.npz", **data)
    made = run("compile", str(program), "-o", str(tmp_path / "line.py"), "--train", str(tmp_path / "train.py"))
    assert made.exit_code == 0
    for arguments in (["check"], ["format", "--check"]):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, "--isolated", "train.py"], cwd=tmp_path, check=True)
    trainer = Trainer(pgc.compile(text).Model(), device="cpu", batch_size=64, validation=0.0)
    trainer.fit(data, epochs=6)
    if "plateau" in using:
        assert trainer.players[0].optimizer.param_groups[0]["lr"] < 2
    launches = [
        [sys.executable],
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    ]
    for launch in launches:
        command = [*launch, "train.py", "--data", "d.npz", "--epochs", "6", "--batch-size", "64", "--device", "cpu"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        found = load_file(tmp_path / "model.safetensors")
        for name, value in trainer.model.state_dict().items():
            assert torch.allclose(found[name], value, atol=1e-5), name


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: path.write_bytes(b""), "does not hold weights, or is damaged"),
        (lambda path: path.write_bytes(b"\xff" * 40), "does not hold weights, or is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "does not hold weights, or is damaged"),
        (lambda path: save_file({"w": torch.zeros(3), "b": torch.zeros(())}, path), "another model: w does not fit"),
        (lambda path: save_file({"w": torch.zeros(4)}, path), "another model: b does not fit"),
        (lambda path: save_file({"w": torch.zeros(4), "b": torch.tensor(math.nan)}, path), "no number: b"),
    ],
)
def test_the_script_checks_the_weights_that_it_goes_on_with(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    program, weights = tmp_path / "m.pgc", tmp_path / "model.safetensors"
    program.write_text(
        "x : real[4]\ny : real\nparam w : real[4]\nparam b : real\np(y|x) = Normal(sum(w * x) + b, 1)\n"
        "fit = log p(y|x)\nmaximize fit using Adam(lr = 0.1)"
    )
    np.savez(tmp_path / "d.npz", x=np.ones((8, 4), np.float32), y=np.ones(8, np.float32))
    made = run("compile", str(program), "-o", str(tmp_path / "line.py"), "--train", str(tmp_path / "train.py"))
    assert made.exit_code == 0
    save_file({"w": torch.zeros(4), "b": torch.zeros(())}, weights)
    command = [sys.executable, "train.py", "--data", "d.npz", "--epochs", "1", "--device", "cpu", "--resume"]
    spoil(weights)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=200, text=True)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("compile", VAE), ("graph", VAE), ("init",)])
def test_a_dash_is_standard_output(command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*command, "-o", "-").stdout == run(*command).stdout != ""
    assert list(tmp_path.iterdir()) == []


def test_a_bound_needs_a_posterior_of_each_row(tmp_path: Path) -> None:
    """One draw of a `q` without parents would serve all rows and all weights."""
    program = tmp_path / "m.pgc"
    program.write_text(
        "x : real\nz : real\nparam m : real\np(z) = Normal(0, 1)\np(x|z) = Normal(z, 1)\n"
        "q(z) = Normal(m, 1)\nelbo = ELBO[p(x|z) p(z) || q(z)]\nmaximize elbo"
    )
    np.savez(tmp_path / "d.npz", x=np.zeros(3, dtype=np.float32))
    save_file({"m": torch.tensor(0.0)}, tmp_path / "w.safetensors")
    weights = ("--checkpoint", str(tmp_path / "w.safetensors"), "--data", str(tmp_path / "d.npz"))
    found = run("evaluate", str(program), *weights, "--bound", "5")
    assert found.exit_code == 1
    assert "a posterior q of what is not observed" in found.output
    assert run("evaluate", str(program), *weights).exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("sample", "--checkpoint", "any", "-o", "o.npz"),
        ("export", "--checkpoint", "any", "--part", "elbo", "-o", "o.pt2"),
        ("evaluate", "--checkpoint", "any"),
        ("train", "--out", "run"),
        ("verify",),
    ],
    ids=lambda command: command[0],
)
def test_every_command_asks_for_a_missing_extern_part(command: tuple[str, ...], tmp_path: Path) -> None:
    name, *options = command
    program = tmp_path / "model.pgc"
    program.write_text(
        "x : real\nz : real\nextern p(x|z)\np(z) = Normal(0, 1)\nq(z|x) = Normal(x, 1)\n"
        "elbo = E_q(z|x)[log p(x|z)] - KL[q(z|x) || p(z)]\nmaximize elbo using Adam(lr = 1e-3)\n"
    )
    (tmp_path / "any").write_bytes(b"")
    result = run(name, str(program), *(str(tmp_path / o) if o in ("any", "run") else o for o in options))
    assert result.exit_code == 2
    assert "give --extern p_x_given_z=pkg.mod:Class" in result.output


def test_a_program_on_standard_input() -> None:
    right = CliRunner().invoke(main, ["check", "-"], input="x : real\np(x) = Normal(0, 1)\nl = log p(x)\n")
    assert right.exit_code == 0
    wrong = CliRunner().invoke(main, ["check", "-"], input="x : real\np(x) = Normal(y, 1)\n")
    assert wrong.exit_code == 1
    assert "<stdin>:2:15" in wrong.output


EXTERN = """
x : real[4]
z : real[2]
extern net f(z) -> real[4]
net g = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(f(z), 1)
q(z|x) = Normal(g(x), 1)
l = ELBO[p || q]
maximize l using Adam
"""


@pytest.fixture
def trained_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Result]]:
    """`pgc train` of the program above, with a part from a file of the text that is given."""
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield lambda text: _trained_with(text, tmp_path)
    sys.modules.pop("part_0", None)


def _trained_with(part: str, folder: Path) -> Result:
    (folder / "part_0.py").write_text(part)
    (folder / "m.pgc").write_text(EXTERN)
    np.savez(folder / "d.npz", x=np.zeros((8, 4), "float32"))
    return run("train", "m.pgc", "--data", "d.npz", "--out", "run", "--epochs", "1", "--extern", "f=part_0:f")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise RuntimeError('boom')", "fails with RuntimeError: boom (part_0.py, line 1)"),
        ("f = (", "fails with SyntaxError"),
        ("import sys\nsys.exit(3)", "fails with SystemExit: 3"),
        ("f = 3", "is a int, and no module"),
        ("", "has no attribute 'f'"),
        ("import nosuchmodule", "No module named 'nosuchmodule'"),
        ("import torch\nf = torch.nn.Linear", "fails with TypeError"),
        ("import torch\nf = torch.nn.Linear(3, 4)", "f, as supplied, does not serve: ValueError: f fails on inputs"),
        ("import torch\nf = torch.nn.Linear(2, 5)", "f gives [5]"),
        (
            "import torch\nclass f(torch.nn.Module):\n    def forward(self, z):\n        raise ValueError('inside')",
            "f fails on inputs of the event shapes [2]: inside",
        ),
        ("import torch\nclass f(torch.nn.Module):\n    def forward(self, z):\n        return None", "does not serve"),
    ],
)
def test_a_part_that_fails_is_told_in_a_line(text: str, says: str, trained_with: Callable[[str], Result]) -> None:
    done = trained_with(text)
    assert done.exit_code and "Traceback" not in done.output
    assert says in done.output.replace("\n", " ")


def test_a_module_that_is_made_already_is_a_part(trained_with: Callable[[str], Result]) -> None:
    done = trained_with("import torch\nf = torch.nn.Linear(2, 4)")
    assert done.exit_code == 0, done.output
