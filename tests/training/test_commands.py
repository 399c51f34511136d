"""The command line as a user meets it: exit codes, files, messages."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pgcompile.cli import main
from tests.programs import ROOT

DIGITS = str(ROOT / "examples" / "data" / "digits.npz")
VAE = str(ROOT / "examples" / "vae.pgc")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_help_of_every_command() -> None:
    assert run("--help").exit_code == 0
    for name in main.commands:
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
