"""The wheel and the sdist hold what a user needs, and the wheel works where there is no checkout."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.programs import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, the wheel made from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


def test_what_they_hold(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    needed = (
        "py.typed",
        "grammar/pgc.lark",
        "syntax/tables.json",
        "runtime/checks.py",
        "vocabulary/families/normal.py",
    )
    assert {f"pgcompile/{name}" for name in needed} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.split("/")[0] not in ("pgcompile",) and ".dist-info/" not in name]
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "examples/vae.pgc", "tests/test_packaging.py"} <= inside
    assert not [name for name in inside if name.startswith((".venv", "runs", ".ci"))]


def test_the_wheel_in_an_environment_of_its_own(built: Path, tmp_path: Path) -> None:
    """pgcompile comes from the wheel; what it depends on is that of these tests, for torch is large."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    place = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")}))
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(place)
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path / "vae.pgc").write_text((ROOT / "examples" / "vae.pgc").read_text())
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def pgc(*arguments: str) -> str:
        command = [str(python), "-m", "pgcompile", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    where = "import pgcompile; print(pgcompile.__file__)"
    found = subprocess.run([str(python), "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(place)
    assert "elbo" in pgc("check", "vae.pgc")
    pgc("compile", "vae.pgc", "-o", "vae.py")
    assert "import pgcompile" not in (tmp_path / "vae.py").read_text()
    digits = str(ROOT / "examples" / "data" / "digits.npz")
    pgc("train", "vae.pgc", "--data", digits, "--epochs", "1", "--out", "run", "--device", "cpu")
    assert (tmp_path / "run" / "model.safetensors").is_file()
