"""Sequences of unequal length: from lists, from files with an array each, and in batches cut to their longest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pgcompile.diagnostics import DataError
from pgcompile.training import Settings, Trainer
from tests.conftest import compiled

# A random walk with known mean: the loss is known in closed form, and no noise is drawn.
WALK = """
index t in 1..T padded
x_t, u_t : real
param m : real = 0.3
x_0 = 0
p(x_t|x_{t-1}, u_t) = Normal(x_{t-1} + m * u_t, 1)
fit = sum_t log p(x_t|x_{t-1}, u_t)
maximize fit using SGD(lr = 0.01)
"""
COUNTS = (3, 5, 1, 4, 2, 6, 2, 3)


def _rows() -> dict[str, list[np.ndarray]]:
    generator = np.random.default_rng(0)
    return {name: [generator.normal(size=n).astype(np.float32) for n in COUNTS] for name in ("x", "u")}


def _by_hand(rows: dict[str, list[np.ndarray]], m: float) -> float:
    total = 0.0
    for x, u in zip(rows["x"], rows["u"], strict=True):
        steps = np.diff(x.astype(np.float64), prepend=0.0) - m * u
        total += float((-0.5 * steps**2 - 0.5 * np.log(2 * np.pi)).sum())
    return -total / len(rows["x"])


def _trainer(**changes: Any) -> Trainer:
    return Trainer(compiled(WALK).Model(), Settings(epochs=1, validation=0.0, batch_size=3, device="cpu"), **changes)


def _object_array(rows: list[np.ndarray]) -> np.ndarray:
    found = np.empty(len(rows), dtype=object)
    found[:] = rows
    return found


@pytest.mark.parametrize("form", ["lists", "tensors", "objects", "numbered", "filled"])
def test_every_form_of_unequal_sequences_is_the_same_data(form: str, tmp_path: Path) -> None:
    rows, data = _rows(), dict[str, Any]()
    path = tmp_path / "d.npz"
    if form == "numbered":
        np.savez(path, **{f"{name}_{i}": row for name, own in rows.items() for i, row in enumerate(own)})
    elif form == "filled":
        filled = {name: np.zeros((len(COUNTS), 6), np.float32) for name in rows}
        for name, own in rows.items():
            for to, row in zip(filled[name], own, strict=True):
                to[: len(row)] = row
        np.savez(path, T=np.array(COUNTS, np.uint8), **filled)
    else:
        make = {"lists": list, "tensors": lambda own: list(map(torch.as_tensor, own)), "objects": _object_array}[form]
        data = {name: make(own) for name, own in rows.items()}
    trainer = _trainer()
    assert trainer.evaluate(data or path)["fit"] == pytest.approx(-_by_hand(rows, 0.3), rel=1e-5)
    fitted = trainer.fit(data or path)
    assert np.isfinite(fitted.training[0])


def test_batches_are_cut_to_their_longest_sequence() -> None:
    """And the step is that of the whole data: the mean of all is what one batch of all has."""
    trainer, rows, seen = _trainer(batch_size=2), _rows(), []
    player = trainer.players[0]
    loss = player.loss

    def watched(**given: Any) -> torch.Tensor:
        seen.append((given["x"].shape[1], given["u"].shape[1], int(given["T"].max())))
        return loss(**given)

    player.loss = watched
    trainer.fit(rows)
    assert len(seen) == 4
    assert all(x == u == longest for x, u, longest in seen)
    assert min(x for x, _, _ in seen) < 6
    still = compiled(WALK.replace("lr = 0.01", "lr = 0.0"))
    fitted = Trainer(still.Model(), Settings(epochs=1, validation=0.0, batch_size=2, device="cpu")).fit(rows)
    assert fitted.training[0] == pytest.approx(_by_hand(rows, 0.3), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda u: [*u[:3], u[3][:2], *u[4:]], "sequence 3 has 4 places in x, and 2 in u"),
        (lambda u: u[:-1], "x has 8 sequences, and u has 7"),
        (lambda u: [np.ones(6, np.float32)] * len(u), "sequence 0 has 3 places in x, and 6 in u"),
    ],
)
def test_two_variables_whose_lengths_differ_are_named(change: Any, says: str) -> None:
    rows = _rows()
    with pytest.raises(DataError, match=says):
        _trainer().fit({"x": rows["x"], "u": change(rows["u"])})


def test_what_a_file_of_sequences_may_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    rows = _rows()
    np.savez(path, x_0=rows["x"][0], x_2=rows["x"][2])
    with pytest.raises(DataError, match=r"d\.npz has x_2, and no x_1"):
        _trainer().fit(path)
    np.savez(path, x=_object_array(rows["x"]), u=_object_array(rows["u"]))
    with pytest.raises(DataError, match=r"it holds Python objects; sequences of unequal length are an array each"):
        _trainer().fit(path)


def test_a_length_beyond_the_data_is_refused() -> None:
    data = {"x": np.zeros((3, 4), np.float32), "u": np.zeros((3, 4), np.float32), "T": np.array([4, 9, 2])}
    with pytest.raises(DataError, match="T says 9 places in row 1, and x has 4"):
        _trainer().fit(data)
