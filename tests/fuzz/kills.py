"""Runs that are killed at random and go on: the weights at the end are those of a run that nobody touched."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

PROGRAM = """x : real[4]
z : real[2]
net f = Linear(8) >> Tanh >> Linear(4)
net g = Linear(2)
p(z) = Normal(0, 1)
p(x|z) = Normal(f(z), 1)
q(z|x) = Normal(g(x), 0.5)
l = ELBO[p || q]
maximize l using Adam(lr = 1e-3)
"""
MOST_KILLS = 4


def command(*more: str) -> list[str]:
    arguments = ["--data", "d.npz", "--out", "run", "--batch-size", "8", "--epochs", "12", "--save-every", "0.05"]
    return [sys.executable, "-m", "pgcompile", "train", "m.pgc", *arguments, "--device", "cpu", *more]


def prepared(folder: Path) -> None:
    """The program and its data in a folder."""
    (folder / "m.pgc").write_text(PROGRAM)
    np.savez(folder / "d.npz", x=np.random.default_rng(0).normal(size=(256, 4)).astype("float32"))


@cache
def untouched() -> bytes:
    """The weights of a run that goes through."""
    with tempfile.TemporaryDirectory() as made:
        prepared(Path(made))
        subprocess.run(command(), cwd=made, check=True, capture_output=True)
        return (Path(made) / "run" / "model.safetensors").read_bytes()


def check_kill(seed: int) -> list[str]:
    """Faults of a run that is killed a few times and resumed each time."""
    pick = Random(seed)
    wanted = untouched()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepared(folder)
        more: tuple[str, ...] = ()
        for _ in range(pick.randint(1, MOST_KILLS)):
            run = subprocess.Popen(command(*more), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pick.uniform(0.5, 8))
            if run.poll() is None:
                os.kill(run.pid, pick.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            run.wait()
            more = ("--resume",) if (folder / "run").exists() else ()
        done = subprocess.run(command(*more), cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return [f"not resumed: {done.stderr[-300:]}"]
        left = [path.name for path in (folder / "run").iterdir() if path.name.startswith(".")]
        found = (folder / "run" / "model.safetensors").read_bytes()
        return [*([] if found == wanted else ["other weights"]), *([f"left behind: {left}"] if left else [])]
