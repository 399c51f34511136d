"""Two processes over gloo against one: the same gradients, losses and weights."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.programs import ROOT

# No noise and no input that is drawn: two halves of a batch must give what the whole gives.
PROGRAM = """
x : real[4]
y : real
net h = Linear(8) >> Tanh >> Linear(1)
param s : positive = 1
p(y|x) = Normal(h(x)[0], s)
fit = log p(y|x)
maximize fit using Adam(lr = 0.01, clip_norm = 0.5)
"""
PLAYERS = """
x : real[4]
y : real
net h = Linear(8) >> Tanh >> Linear(1)
net g = Linear(1)
p(y|x) = Normal(h(x)[0], 1)
q(y|x) = Normal(g(x)[0], 1)
one = log p(y|x)
two = log p(y|x) - 0.1 log q(y|x)
maximize one wrt h using SGD(lr = 0.1)
minimize two wrt g using SGD(lr = 0.1)
"""


def _train(folder: Path, program: str, processes: int, *options: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "m.pgc").write_text(program)
    generator = np.random.default_rng(3)
    x = generator.normal(size=(70, 4)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, y=np.sin(x.sum(-1)).astype(np.float32))
    out = folder / f"run_{processes}{''.join(options)}"
    launch = [sys.executable, "-m", "pgcompile"]
    if processes > 1:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        launch += ["-m", "pgcompile"]
    arguments = ["train", str(folder / "m.pgc"), "--data", str(folder / "d.npz"), "--out", str(out), "--device", "cpu"]
    arguments += ["--epochs", "3", "--batch-size", "16", "--validation", "0.1", "--log-every", "1", *options]
    run = subprocess.run([*launch, *arguments], capture_output=True, cwd=ROOT, timeout=240, check=False)
    assert run.returncode == 0, run.stderr.decode()[-3000:]
    return out


def _losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    first = next(key for key in lines[0] if key.startswith("loss"))
    return [line[first] for line in lines if first in line]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_are_one(strategy: str, tmp_path: Path) -> None:
    """Through Adam and clipping, so that gradients and losses of every step are those of the joined batch."""
    alone = _train(tmp_path, PROGRAM, 1)
    together = _train(tmp_path, PROGRAM, 2, "--strategy", strategy)
    assert _losses(together) == pytest.approx(_losses(alone), rel=1e-4)
    one, two = load_file(alone / "model.safetensors"), load_file(together / "model.safetensors")
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-5), name


def test_players_in_two_processes(tmp_path: Path) -> None:
    """Started by the command itself."""
    alone = _train(tmp_path, PLAYERS, 1)
    together = _train(tmp_path, PLAYERS, 1, "--accumulate", "2", "--processes", "2")
    assert _losses(together) == pytest.approx(_losses(alone), rel=1e-4)
    one, two = load_file(alone / "model.safetensors"), load_file(together / "model.safetensors")
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_run_of_two_goes_on(strategy: str, tmp_path: Path) -> None:
    """Sharded weights and optimisers are gathered into one file, and spread again."""
    out = _train(tmp_path, PROGRAM, 2, "--strategy", strategy)
    alone = _train(tmp_path, PROGRAM, 1)
    for folder, processes in ((out, 2), (alone, 1)):
        _go_on(tmp_path, folder, processes, strategy)
    assert _losses(out) == pytest.approx(_losses(alone), rel=1e-4)
    assert len(_losses(out)) == 5 * 4


def _go_on(folder: Path, out: Path, processes: int, strategy: str) -> None:
    launch = [sys.executable, "-m", "pgcompile"]
    if processes > 1:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        launch += ["-m", "pgcompile"]
    arguments = ["train", str(folder / "m.pgc"), "--data", str(folder / "d.npz"), "--out", str(out), "--device", "cpu"]
    arguments += ["--epochs", "5", "--batch-size", "16", "--validation", "0.1", "--log-every", "1", "--resume"]
    run = subprocess.run(
        [*launch, *arguments, "--strategy", strategy], capture_output=True, cwd=ROOT, timeout=240, check=False
    )
    assert run.returncode == 0, run.stderr.decode()[-3000:]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_run_of_two_and_says_so_in_a_line(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    (tmp_path / "m.pgc").write_text(PROGRAM)
    np.savez(tmp_path / "d.npz", x=np.ones((64, 4), np.float32), y=np.ones(64, np.float32))
    out = tmp_path / "run"
    arguments = ["train", str(tmp_path / "m.pgc"), "--data", str(tmp_path / "d.npz"), "--out", str(out)]
    arguments += ["--device", "cpu", "--epochs", "1000000", "--processes", "2", "--log-every", "1"]
    command = [sys.executable, "-m", "pgcompile", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, text=True) as run:
        log = out / "log.jsonl"
        deadline = time.monotonic() + 200
        while not (log.exists() and "loss" in log.read_text()):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        run.send_signal(number)
        said = run.communicate(timeout=100)[0].replace("\r", "\n").splitlines()
    words = [line for line in said if line.strip() and "step/s" not in line]
    assert words == [f"stopped by {number.name}: the run is saved in {out}, and goes on with --resume"]
    assert run.returncode == status
    assert (out / "state.safetensors").exists()
