"""What a run leaves behind: its folder, whose it is, and its last good weights. Where output goes."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import pgcompile as pgc
from pgcompile.atomic_write import write_atomically
from pgcompile.diagnostics import DataError
from pgcompile.training.folder import locked
from pgcompile.training.settings import Settings
from pgcompile.training.trainer import Trainer

LINE = "x : real\nparam m : real = {start}\np(x) = Normal({loc}, 1)\nl = log p(x)\nmaximize l using SGD(lr = {rate})\n"
ROWS = np.linspace(1, 2, 32).astype("float32")


def pgc_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgcompile", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def trained(folder: Path, *more: str, text: str = LINE.format(start=0, loc="m", rate=0.1)) -> str:
    """What `pgc train` says on standard error; "" where all went well."""
    (folder / "m.pgc").write_text(text)
    np.savez(folder / "d.npz", x=ROWS)
    arguments = ("train", "m.pgc", "--data", "d.npz", "--out", "run", "--batch-size", "8", *more)
    done = pgc_command(*arguments, folder=folder)
    return "" if done.returncode == 0 else done.stderr


def test_a_second_run_asks_before_it_replaces_the_first(tmp_path: Path) -> None:
    assert not trained(tmp_path, "--epochs", "2")
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    says = trained(tmp_path, "--epochs", "2")
    assert "holds a run" in says and "--resume" in says and "--overwrite" in says
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    assert not trained(tmp_path, "--epochs", "3", "--resume")
    assert not trained(tmp_path, "--epochs", "1", "--overwrite")
    assert len(json.loads((tmp_path / "run" / "losses.json").read_text())["training"]) == 1


def test_a_run_goes_on_with_its_own_program_and_data_only(tmp_path: Path) -> None:
    assert not trained(tmp_path, "--epochs", "1")
    other = LINE.format(start=0, loc="2 * m", rate=0.1)
    says = trained(tmp_path, "--epochs", "2", "--resume", text=other)
    assert "-p(x) = Normal(m, 1)" in says and "+p(x) = Normal(2 * m, 1)" in says and "--allow-changes" in says
    assert not trained(tmp_path, "--epochs", "2", "--resume", "--allow-changes", text=other)
    # A comment, and the way in which it is spaced, are no change.
    assert not trained(tmp_path, "--epochs", "3", "--resume", text="# line\n" + other.replace("2 * m", "2*m"))
    np.savez(tmp_path / "e.npz", x=ROWS + 1)
    arguments = ("train", "m.pgc", "--data", "e.npz", "--out", "run", "--batch-size", "8", "--epochs", "4", "--resume")
    done = pgc_command(*arguments, folder=tmp_path)
    assert done.returncode != 0 and "other numbers in the rows" in done.stderr


def test_two_runs_do_not_write_to_one_folder_at_once(tmp_path: Path) -> None:
    trainer = Trainer(pgc.compile(LINE.format(start=0, loc="m", rate=0.1)).Model(), Settings(epochs=1))
    with locked(tmp_path), pytest.raises(DataError, match="another run writes to"):
        trainer.fit({"x": ROWS}, out=tmp_path)
    trainer.fit({"x": ROWS}, out=tmp_path)
    assert not (tmp_path / ".running").exists()


def test_a_fresh_run_that_is_cut_off_does_not_leave_the_run_before_it(tmp_path: Path) -> None:
    program = pgc.compile(LINE.format(start=0, loc="m", rate=0.1))
    Trainer(program.Model(), Settings(epochs=3)).fit({"x": ROWS}, out=tmp_path)
    (tmp_path / ".state.safetensors.abc").write_bytes(b"left by a kill")
    other = pgc.compile(LINE.format(start=0, loc="log(m - 5)", rate=0.1))
    with pytest.raises(DataError, match="became nan at step 1"):
        Trainer(other.Model(), Settings(epochs=3)).fit({"x": ROWS}, out=tmp_path)
    assert not (tmp_path / ".state.safetensors.abc").exists()
    assert not (tmp_path / "best.safetensors").exists()
    again = Trainer(other.Model(), Settings(epochs=3))
    with pytest.raises(DataError, match="became nan at step 1"):
        again.fit({"x": ROWS}, out=tmp_path, resume=True)


@pytest.mark.parametrize("save_every", ["0", "60"])
def test_weights_that_are_no_numbers_are_not_kept(save_every: str, tmp_path: Path) -> None:
    """The slope of a square root at 0 is infinite, and its loss is finite."""
    says = trained(
        tmp_path, "--epochs", "1", "--save-every", save_every, text=LINE.format(start=0, loc="sqrt(m)", rate=1e-3)
    )
    assert "finite" in says or "became nan" in says
    kept = load_file(tmp_path / "run" / "state.safetensors")
    assert all(value.isfinite().all() for value in kept.values() if value.is_floating_point())


def test_a_run_that_blows_up_at_its_end_fails(tmp_path: Path) -> None:
    text = LINE.format(start=1, loc="m^2", rate=1e12)
    says = trained(tmp_path, "--epochs", "1", "--batch-size", "32", text=text)  # one update
    assert "validation loss is" in says
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "NaN" not in log
    assert "Infinity" not in log
    assert abs(load_file(tmp_path / "run" / "state.safetensors")["state.model.m"].item()) < 10
    assert not (tmp_path / "run" / "model.safetensors").exists()


# --- where output goes ---


def test_a_link_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target.py"
    target.parent.mkdir()
    target.write_text("old")
    (tmp_path / "link.py").symlink_to(target)
    write_atomically(tmp_path / "link.py", b"new")
    assert (tmp_path / "link.py").is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(10)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically(Path("/dev/null"), b"nothing")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_standard_output_is_a_place_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "m.pgc").write_text(LINE.format(start=0, loc="m", rate=0.1))
    done = pgc_command("compile", "m.pgc", "-o", "/dev/stdout", "--quiet", folder=tmp_path)
    assert done.returncode == 0
    assert "class M(nn.Module)" in done.stdout


@pytest.mark.parametrize("option", ["-o", "--source-map"])
def test_the_program_is_not_written_over(option: str, tmp_path: Path) -> None:
    text = LINE.format(start=0, loc="m", rate=0.1)
    (tmp_path / "m.pgc").write_text(text)
    (tmp_path / "same.pgc").symlink_to(tmp_path / "m.pgc")
    for name in ("m.pgc", "same.pgc"):
        done = pgc_command("compile", "m.pgc", option, name, folder=tmp_path)
        assert done.returncode == 2
        assert "is the program itself" in done.stderr
    assert (tmp_path / "m.pgc").read_text() == text


def test_the_formatter_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "m.pgc").write_text("x:real\np(x)=Normal(0,1)\n")
    (tmp_path / "link.pgc").symlink_to(tmp_path / "m.pgc")
    assert pgc_command("fmt", "link.pgc", folder=tmp_path).returncode == 0
    assert (tmp_path / "link.pgc").is_symlink()
    assert (tmp_path / "m.pgc").read_text() == "x : real\np(x) = Normal(0, 1)\n"
