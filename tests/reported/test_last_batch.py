"""Terms that compare the rows of a batch: a last batch of one row, batches of one, and batches in parts."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pgcompile as pgc
from pgcompile.diagnostics import DataError
from pgcompile.training.coupled import count_batches, split_rows
from pgcompile.training.settings import Settings
from pgcompile.training.trainer import Trainer

HEAD = """
x : real[2]
z : real[2]
net d = Linear(2)
net a = Linear(4)
p(z) = Normal(0, 1)
p(x|z) = Normal(d(z), 1)
q(z|x) = Normal(m, exp(s)) where (m, s) = a(x)
"""
TERMS = {
    "MMD": "MMD[q(z|x) || p(z)]",
    "TC": "TC[q(z|x)]",
    "MI": "MI[q(z|x)]",
}


def program_of(term: str) -> pgc.Program:
    return pgc.compile(f"{HEAD}o = E_{{q(z|x)}}[log p(x|z)] - {TERMS[term]}\nmaximize o\n")


@pytest.mark.parametrize("term", TERMS)
def test_a_last_batch_of_one_row_joins_the_one_before(term: str) -> None:
    rows = {"x": torch.randn(19, 2)}
    trainer = Trainer(program_of(term).Model(), Settings(epochs=2, batch_size=8, validation=0.1))  # 18 rows, 1 held out
    with pytest.raises(DataError, match="1 row held out is too few"):
        trainer.fit(rows)
    trainer = Trainer(program_of(term).Model(), Settings(epochs=2, batch_size=8, validation=0.0))
    fitted = trainer.fit({"x": torch.randn(17, 2)})
    assert len(fitted.training) == 2
    assert all(np.isfinite(fitted.training))
    assert np.isfinite(trainer.evaluate({"x": torch.randn(9, 2)})["o"])


@pytest.mark.parametrize("term", TERMS)
def test_batches_of_one_row_and_batches_in_parts_are_refused_before_the_first_step(term: str) -> None:
    settings = Settings(epochs=1, batch_size=8)
    with pytest.raises(DataError, match="batch_size is 1"):
        Trainer(program_of(term).Model(), replace(settings, batch_size=1))
    with pytest.raises(DataError, match="leave out accumulate"):
        Trainer(program_of(term).Model(), replace(settings, accumulate=2))


def test_programs_whose_rows_stand_alone_take_batches_of_one_row() -> None:
    program = pgc.compile(f"{HEAD}o = ELBO[p || q]\nmaximize o\n")
    fitted = Trainer(program.Model(), Settings(epochs=1, batch_size=1, validation=0.0)).fit({"x": torch.randn(3, 2)})
    assert np.isfinite(fitted.training[0])


@pytest.mark.parametrize("rows", range(1, 12))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("least", [1, 2, 4])
def test_rows_are_split_into_all_of_them(rows: int, size: int, least: int) -> None:
    if size < least:
        return
    chunks = split_rows(torch.arange(rows), size, least)
    assert torch.cat(chunks).tolist() == list(range(rows))
    assert len(chunks) == 1 or min(map(len, chunks)) >= least
    assert len(chunks) == count_batches(rows, size, least)


def test_the_training_script_leaves_out_a_last_batch_of_one_row(tmp_path: Path) -> None:
    program = program_of("MMD")
    program.write(tmp_path / "model.py")
    (tmp_path / "train.py").write_text(program.training_script("model"))
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(17, 2)).astype("float32"))
    command = [sys.executable, "train.py", "--data", "d.npz", "--epochs", "1", "--batch-size", "8"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused = subprocess.run([*command, "--accumulate", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "leave out --accumulate" in refused.stderr
